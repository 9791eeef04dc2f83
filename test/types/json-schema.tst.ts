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

  test('plain JSON Schema: names of events are checked, their data can be anything', () => {
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

  test('plain JSON Schema: schemas need not be const', () => {
    const schema: Record<string, unknown> = { type: 'object' }
    app.sseRoute({ url: '/', events: { price: schema }, interval: 1_000, payload: () => ({ event: 'price', data: 1 }) })
  })

  test('plain JSON Schema: a `message` can be a bare string', () => {
    app.sseRoute({ url: '/', events: { message: { type: 'string' } }, interval: 1_000, payload: () => 'text' })
    app.sseRoute({ url: '/', events: { message: { type: 'string' } }, interval: 1_000, payload: () => ({ data: 'text' }) })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events: { price: { type: 'string' } }, interval: 1_000, payload: () => 'text' })
  })

  test('plain JSON Schema: a route without events sends anything', () => {
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ event: 'anything', data: new Map() }) })
    app.sseRoute({ url: '/', interval: 1_000, payload: () => 'text' })
    app.sseRoute({ url: '/', source: async function * () { yield 'text'; yield { event: 'a', data: 1 } } })
  })

  test('plain JSON Schema: explicit generics type the request', () => {
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

  test('plain JSON Schema: without generics the request is unknown', () => {
    app.sseRoute({ url: '/:id', onConnect: (request) => { expect(request.params).type.toBe<unknown>() } })
  })
})

describe('plain JSON Schema with @fastify/type-provider-json-schema-to-ts', () => {
  const app = Fastify().withTypeProvider<JsonSchemaToTsProvider>()

  test('json-schema-to-ts: payload is checked against the events', () => {
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

  test('json-schema-to-ts: the schema of the route types the request', () => {
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

  test('json-schema-to-ts: a plugin function can have its own provider', () => {
    const plugin: FastifyPluginAsyncJsonSchemaToTs = async (child) => {
      child.sseRoute({ url: '/', events: { count: { type: 'number' } }, interval: 1_000, payload: () => ({ event: 'count', data: 1 }) })
      // @ts-expect-error Type 'string' is not assignable to type 'number'
      child.sseRoute({ url: '/', events: { count: { type: 'number' } }, interval: 1_000, payload: () => ({ event: 'count', data: '1' }) })
    }
    Fastify().register(plugin)
  })
})
