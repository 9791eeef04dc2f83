import { Type } from 'typebox'
import type { FastifyPluginAsyncTypebox, TypeBoxTypeProvider } from 'type-provider-typebox-1'
import Fastify from 'fastify'
import { expect, test } from 'tstyche'
import '../../lib/index.js'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()

const Price = Type.Object({ symbol: Type.String(), price: Type.Number() })
const events = { price: Price, closed: Type.String() }
const price = { symbol: 'ACME', price: 1 }

test('TypeBox 1: payload is checked against the events', () => {
  app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: { symbol: 'ACME', price: 1 } }) })
  app.sseRoute({ url: '/', events, interval: 1_000, payload: async (request) => ({ event: 'closed', data: request.id }) })
  app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ event: 'price', data: price }), events: { price: Price } })
  // @ts-expect-error "nope"
  app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'nope', data: price }) })
  // @ts-expect-error Type 'string' is not assignable to type 'number'
  app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: { symbol: 'ACME', price: '1' } }) })
  // @ts-expect-error Property 'data' is missing
  app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price' }) })
})

test('TypeBox 1: source is checked against the events', () => {
  app.sseRoute({ url: '/', events, source: async function * () { yield { event: 'price', data: price }; yield { event: 'closed', data: '' } } })
  // @ts-expect-error not assignable
  app.sseRoute({ url: '/', events, source: async function * () { yield { event: 'price', data: 1 } } })
  // @ts-expect-error not assignable
  app.sseRoute({ url: '/', events, source: () => [{ event: 'nope', data: price }] })
})

test('TypeBox 1: a `message` needs no name, and can be a bare string if its data is one', () => {
  app.sseRoute({ url: '/', events: { message: Price }, interval: 1_000, payload: () => ({ data: price }) })
  app.sseRoute({ url: '/', events: { message: Type.String({ format: 'date-time' }) }, interval: 1_000, payload: () => new Date().toISOString() })
  // @ts-expect-error Type '"text"' is not assignable to type
  app.sseRoute({ url: '/', events: { message: Price }, interval: 1_000, payload: () => 'text' })
})

test('TypeBox 1: stream.send is checked, and the request has the types of the schema', () => {
  app.sseRoute({
    url: '/:symbol',
    schema: {
      params: Type.Object({ symbol: Type.String() }),
      querystring: Type.Object({ since: Type.Optional(Type.Integer()) })
    },
    events,
    interval: 1_000,
    shared: (request) => request.params.symbol,
    payload: (request) => {
      expect(request.query).type.toBe<{ since?: number }>()
      return { event: 'closed', data: request.params.symbol }
    },
    onConnect: (request, stream) => {
      expect(request.params).type.toBe<{ symbol: string }>()
      expect(stream.send).type.toBeCallableWith({ event: 'price', data: price })
      expect(stream.send).type.not.toBeCallableWith({ event: 'nope', data: price })
      expect(stream.send).type.not.toBeCallableWith({ event: 'price', data: 1 })
      expect(stream.send).type.not.toBeCallableWith({ event: 'price' })
    }
  })
})

test('TypeBox 1: a plugin function can have its own provider', () => {
  const plugin: FastifyPluginAsyncTypebox = async (child) => {
    child.sseRoute({
      url: '/:id',
      schema: { params: Type.Object({ id: Type.Number() }) },
      events: { count: Type.Number() },
      interval: 1_000,
      payload: (request) => ({ event: 'count', data: request.params.id })
    })
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    child.sseRoute({ url: '/', events: { count: Type.Number() }, interval: 1_000, payload: () => ({ event: 'count', data: '1' }) })
  }
  Fastify().register(plugin)
})
