import type { FastifyPluginAsyncJsonSchemaToTs, JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import '../../lib/index.js'

const priceSchema = {
  type: 'object',
  properties: { symbol: { type: 'string' }, price: { type: 'number' } },
  required: ['symbol', 'price'],
  additionalProperties: false
} as const
const price = { symbol: 'ACME', price: 1 }

describe('plain JSON Schema without a type provider', () => {
  const app = Fastify()

  test('checks the names of events; their data may be anything', () => {
    app.sseRoute({ url: '/', events: { price: { type: 'object' } }, interval: 1_000, payload: () => ({ event: 'price', data: price }) })
    app.sseRoute({ url: '/', events: { price: priceSchema }, interval: 1_000, payload: () => ({ event: 'price', data: 1 }) })
    app.sseRoute({ url: '/', events: { price: priceSchema }, source: async function * (request) { yield { event: 'price', data: request.id } } })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { price: priceSchema }, interval: 1_000, payload: () => ({ event: 'nope', data: 1 }) })
    // @ts-expect-error Property 'data' is missing
    app.sseRoute({ url: '/', events: { price: priceSchema }, interval: 1_000, payload: () => ({ event: 'price' }) })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events: { price: priceSchema }, source: () => [{ event: 'nope', data: 1 }] })
  })

  test('takes schemas that are not const', () => {
    const schema: Record<string, unknown> = { type: 'object' }
    app.sseRoute({ url: '/', events: { price: schema }, interval: 1_000, payload: () => ({ event: 'price', data: 1 }) })
  })

  test('lets a `message` be a bare string', () => {
    app.sseRoute({ url: '/', events: { message: { type: 'string' } }, interval: 1_000, payload: () => 'text' })
    app.sseRoute({ url: '/', events: { message: { type: 'string' } }, interval: 1_000, payload: () => ({ data: 'text' }) })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events: { price: { type: 'string' } }, interval: 1_000, payload: () => 'text' })
  })

  test('sends anything on a route that declares no events', () => {
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ event: 'anything', data: new Map() }) })
    app.sseRoute({ url: '/', interval: 1_000, payload: () => 'text' })
    app.sseRoute({ url: '/', source: async function * () { yield 'text'; yield { event: 'a', data: 1 } } })
  })

  test('takes the request\'s types from explicit generics', () => {
    app.sseRoute<{ Params: { id: string }, Querystring: { since?: string }, Body: { prompt: string } }>({
      method: 'POST',
      url: '/:id',
      interval: 1_000,
      shared: (request) => request.params.id,
      clientId: (request) => request.params.id,
      payload: (request, stream) => {
        expect(request.params).type.toBe<{ id: string }>()
        expect(request.query).type.toBe<{ since?: string }>()
        expect(request.body).type.toBe<{ prompt: string }>()
        return { event: stream.id, data: request.params.id }
      },
      onConnect: (request) => { expect(request.params.id).type.toBe<string>() }
    })
    app.sseRoute<{ Params: { id: string } }>('/:id', { source: (request) => [request.params.id] })
    // @ts-expect-error Property 'other' does not exist on type '{ id: string; }'
    app.sseRoute<{ Params: { id: string } }>('/:id', { source: (request) => [request.params.other] })
  })

  test('leaves the request unknown without them', () => {
    app.sseRoute({ url: '/:id', onConnect: (request) => { expect(request.params).type.toBe<unknown>() } })
  })
})

describe('plain JSON Schema with @fastify/type-provider-json-schema-to-ts', () => {
  const app = Fastify().withTypeProvider<JsonSchemaToTsProvider>()

  test('checks payload against the events', () => {
    app.sseRoute({ url: '/', events: { price: priceSchema }, interval: 1_000, payload: () => ({ event: 'price', data: price }) })
    app.sseRoute({ url: '/', events: { price: priceSchema, closed: { type: 'string' } }, interval: 1_000, payload: async () => ({ event: 'closed', data: '' }) })
    app.sseRoute({ url: '/', events: { price: { type: 'number' } }, source: async function * () { yield { event: 'price', data: 1 } } })
    app.sseRoute({ url: '/', events: { message: { type: 'string' } }, interval: 1_000, payload: () => 'text' })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { price: priceSchema }, interval: 1_000, payload: () => ({ event: 'nope', data: price }) })
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    app.sseRoute({ url: '/', events: { price: priceSchema }, interval: 1_000, payload: () => ({ event: 'price', data: { symbol: 'ACME', price: '1' } }) })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events: { price: { type: 'number' } }, source: async function * () { yield { event: 'price', data: '1' } } })
    // @ts-expect-error Type '"text"' is not assignable to type
    app.sseRoute({ url: '/', events: { message: { type: 'number' } }, interval: 1_000, payload: () => 'text' })
  })

  test('gives the request the types of the route\'s schema', () => {
    app.sseRoute({
      url: '/:symbol',
      schema: {
        params: { type: 'object', properties: { symbol: { type: 'string' } }, required: ['symbol'], additionalProperties: false },
        querystring: { type: 'object', properties: { since: { type: 'integer' } }, additionalProperties: false }
      },
      events: { price: priceSchema },
      interval: 1_000,
      shared: (request) => request.params.symbol,
      payload: (request) => {
        expect(request.params).type.toBe<{ symbol: string }>()
        expect(request.query).type.toBe<{ since?: number }>()
        return { event: 'price', data: { symbol: request.params.symbol, price: 1 } }
      },
      onConnect: (request, stream) => {
        expect(request.params.symbol).type.toBe<string>()
        expect(stream.send).type.toBeCallableWith({ event: 'price', data: price })
        expect(stream.send).type.not.toBeCallableWith({ event: 'price', data: { symbol: 1, price: 1 } })
      }
    })
  })

  test('works in a plugin function with its own provider', () => {
    const plugin: FastifyPluginAsyncJsonSchemaToTs = async (child) => {
      child.sseRoute({ url: '/', events: { count: { type: 'number' } }, interval: 1_000, payload: () => ({ event: 'count', data: 1 }) })
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      child.sseRoute({ url: '/', events: { count: { type: 'number' } }, interval: 1_000, payload: () => ({ event: 'count', data: '1' }) })
    }
    Fastify().register(plugin)
  })
})
