// Symptom: a payload with an enum literal in its data does not compile with zod or json-schema-to-ts (TS2322).
// Cause: TypeScript widens the literal to `string` unless the type of the schema is the contextual type of the payload.
import { Readable } from 'node:stream'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import Fastify from 'fastify'
import type { ZodTypeProvider } from 'fastify-type-provider-zod'
import { describe, expect, test } from 'tstyche'
import { z } from 'zod'
import '../../lib/index.js'

const zodSchema = z.object({ k: z.enum(['a', 'b']) })
const jsonSchema = { type: 'object', properties: { k: { enum: ['a', 'b'] } }, required: ['k'], additionalProperties: false } as const
const names = ['ann', 'bob']

describe('zod: an enum in event data', () => {
  const app = Fastify().withTypeProvider<ZodTypeProvider>()

  test('zod: an enum in event data compiles in every form of payload', () => {
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: async () => ({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: (request) => ({ id: request.id, event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: async (_request, stream) => stream.closed ? undefined : { event: 'e', data: { k: 'a' } } })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: (request) => { if (request.id === '1') return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload () { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: async function () { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => Promise.resolve({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: (request) => new Promise((resolve) => resolve({ id: request.id, event: 'e', data: { k: 'a' } })) })
    app.sseRoute({ url: '/', interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }), events: { e: zodSchema } })
    app.sseRoute('/', { events: { e: zodSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }) })
  })

  test('zod: an enum in event data compiles in every form of source', () => {
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => [{ event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: async () => [{ event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: (request) => [{ id: request.id, event: 'e', data: { k: 'b' } }, { comments: '' }, { event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: function * () { yield { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: async function * () { yield { event: 'e', data: { k: 'a' } }; yield null } })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: async function * (request, stream) { if (!stream.closed) yield { id: request.id, event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => (function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => (async function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: async () => (async function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: (request) => request.ips?.map(() => ({ event: 'e', data: { k: 'a' } })) ?? [] })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => names.map(() => ({ event: 'e', data: { k: 'a' } })) })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => new Set([{ event: 'e', data: { k: 'a' } }]) })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => Readable.from([]) })
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => new ReadableStream<{ event: 'e', data: { k: 'a' } }>() })
  })

  test('zod: a wrong value of an enum in event data does not compile', () => {
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => ({ event: 'nope', data: { k: 'a' } }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: async (request) => ({ id: request.id, event: 'nope', data: { k: 'a' } }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 'c' } }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: async (request) => ({ id: request.id, event: 'e', data: { k: 'c' } }) })
    // @ts-expect-error Type 'string' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: (request) => ({ event: 'e', data: { k: request.id } }) })
    // @ts-expect-error not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 1 } }) })
    // @ts-expect-error Property 'data' is missing
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => ({ event: 'e' }) })
    // @ts-expect-error Property 'event' is missing
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => ({ data: { k: 'a' } }) })
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => ({ event: 'e', data: null }) })
    // @ts-expect-error Types of property 'Data' are incompatible
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' }, Data: 1 }) })
    // @ts-expect-error Types of property 'type' are incompatible
    app.sseRoute({ url: '/', events: { e: zodSchema }, interval: 1, payload: async (request) => ({ event: 'e', data: { k: 'a' }, type: request.id }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => [{ event: 'nope', data: { k: 'a' } }] })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: async function * () { yield { event: 'nope', data: { k: 'a' } } } })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => [{ event: 'e', data: { k: 'a' } }, { event: 'e', data: { k: 'c' } }] })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: async function * () { yield { event: 'e', data: { k: 'c' } } } })
    // @ts-expect-error Types of property 'payload' are incompatible
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => [{ event: 'e', data: { k: 'a' }, payload: 1 }] })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events: { e: zodSchema }, source: () => new ReadableStream<{ event: 'e', data: { k: 'c' } }>() })
  })

  test('zod: stream.send checks an enum in event data', () => {
    app.sseRoute({
      url: '/',
      events: { e: zodSchema },
      onConnect: (_request, { send }) => {
        expect(send).type.toBeCallableWith({ event: 'e', data: { k: 'a' } })
        expect(send).type.not.toBeCallableWith({ event: 'e', data: { k: 'c' } })
        expect(send).type.not.toBeCallableWith({ event: 'nope', data: { k: 'a' } })
        expect(send).type.not.toBeCallableWith({ event: 'e' })
      }
    })
  })
})

describe('json-schema-to-ts: an enum in event data', () => {
  const app = Fastify().withTypeProvider<JsonSchemaToTsProvider>()

  test('json-schema-to-ts: an enum in event data compiles in every form of payload', () => {
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: async () => ({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: (request) => ({ id: request.id, event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: async (_request, stream) => stream.closed ? undefined : { event: 'e', data: { k: 'a' } } })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: (request) => { if (request.id === '1') return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload () { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: async function () { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => Promise.resolve({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: (request) => new Promise((resolve) => resolve({ id: request.id, event: 'e', data: { k: 'a' } })) })
    app.sseRoute({ url: '/', interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }), events: { e: jsonSchema } })
    app.sseRoute('/', { events: { e: jsonSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }) })
  })

  test('json-schema-to-ts: an enum in event data compiles in every form of source', () => {
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => [{ event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: async () => [{ event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: (request) => [{ id: request.id, event: 'e', data: { k: 'b' } }, { comments: '' }, { event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: function * () { yield { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: async function * () { yield { event: 'e', data: { k: 'a' } }; yield null } })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: async function * (request, stream) { if (!stream.closed) yield { id: request.id, event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => (function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => (async function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: async () => (async function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: (request) => request.ips?.map(() => ({ event: 'e', data: { k: 'a' } })) ?? [] })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => names.map(() => ({ event: 'e', data: { k: 'a' } })) })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => new Set([{ event: 'e', data: { k: 'a' } }]) })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => Readable.from([]) })
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => new ReadableStream<{ event: 'e', data: { k: 'a' } }>() })
  })

  test('json-schema-to-ts: a wrong value of an enum in event data does not compile', () => {
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => ({ event: 'nope', data: { k: 'a' } }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: async (request) => ({ id: request.id, event: 'nope', data: { k: 'a' } }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 'c' } }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: async (request) => ({ id: request.id, event: 'e', data: { k: 'c' } }) })
    // @ts-expect-error Type 'string' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: (request) => ({ event: 'e', data: { k: request.id } }) })
    // @ts-expect-error not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 1 } }) })
    // @ts-expect-error Property 'data' is missing
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => ({ event: 'e' }) })
    // @ts-expect-error Property 'event' is missing
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => ({ data: { k: 'a' } }) })
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => ({ event: 'e', data: null }) })
    // @ts-expect-error Types of property 'Data' are incompatible
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' }, Data: 1 }) })
    // @ts-expect-error Types of property 'type' are incompatible
    app.sseRoute({ url: '/', events: { e: jsonSchema }, interval: 1, payload: async (request) => ({ event: 'e', data: { k: 'a' }, type: request.id }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => [{ event: 'nope', data: { k: 'a' } }] })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: async function * () { yield { event: 'nope', data: { k: 'a' } } } })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => [{ event: 'e', data: { k: 'a' } }, { event: 'e', data: { k: 'c' } }] })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: async function * () { yield { event: 'e', data: { k: 'c' } } } })
    // @ts-expect-error Types of property 'payload' are incompatible
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => [{ event: 'e', data: { k: 'a' }, payload: 1 }] })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events: { e: jsonSchema }, source: () => new ReadableStream<{ event: 'e', data: { k: 'c' } }>() })
  })

  test('json-schema-to-ts: stream.send checks an enum in event data', () => {
    app.sseRoute({
      url: '/',
      events: { e: jsonSchema },
      onConnect: (_request, { send }) => {
        expect(send).type.toBeCallableWith({ event: 'e', data: { k: 'a' } })
        expect(send).type.not.toBeCallableWith({ event: 'e', data: { k: 'c' } })
        expect(send).type.not.toBeCallableWith({ event: 'nope', data: { k: 'a' } })
        expect(send).type.not.toBeCallableWith({ event: 'e' })
      }
    })
  })
})
