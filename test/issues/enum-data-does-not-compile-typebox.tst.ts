// Symptom: a payload with an enum literal in its data does not compile with TypeBox (TS2322).
// Cause: TypeScript widens the literal to `string` unless the type of the schema is the contextual type of the payload.
import { Readable } from 'node:stream'
import { Type as Type0, type TypeBoxTypeProvider as TypeBox0Provider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import { Type as Type1 } from 'typebox'
import type { TypeBoxTypeProvider as TypeBox1Provider } from 'type-provider-typebox-1'
import '../../lib/index.js'

const schema0 = Type0.Object({ k: Type0.Union([Type0.Literal('a'), Type0.Literal('b')]) })
const schema1 = Type1.Object({ k: Type1.Union([Type1.Literal('a'), Type1.Literal('b')]) })
const names = ['ann', 'bob']

describe('TypeBox 0.34: an enum in event data', () => {
  const app = Fastify().withTypeProvider<TypeBox0Provider>()

  test('TypeBox 0.34: an enum in event data compiles in every form of payload', () => {
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: async () => ({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: (request) => ({ id: request.id, event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: async (_request, stream) => stream.closed ? undefined : { event: 'e', data: { k: 'a' } } })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: (request) => { if (request.id === '1') return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload () { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: async function () { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => Promise.resolve({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: (request) => new Promise((resolve) => resolve({ id: request.id, event: 'e', data: { k: 'a' } })) })
    app.sseRoute({ url: '/', interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }), events: { e: schema0 } })
    app.sseRoute('/', { events: { e: schema0 }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }) })
  })

  test('TypeBox 0.34: an enum in event data compiles in every form of source', () => {
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => [{ event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: async () => [{ event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: (request) => [{ id: request.id, event: 'e', data: { k: 'b' } }, { comments: '' }, { event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: function * () { yield { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: async function * () { yield { event: 'e', data: { k: 'a' } }; yield null } })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: async function * (request, stream) { if (!stream.closed) yield { id: request.id, event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => (function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => (async function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: async () => (async function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: (request) => request.ips?.map(() => ({ event: 'e', data: { k: 'a' } })) ?? [] })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => names.map(() => ({ event: 'e', data: { k: 'a' } })) })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => new Set([{ event: 'e', data: { k: 'a' } }]) })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => Readable.from([]) })
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => new ReadableStream<{ event: 'e', data: { k: 'a' } }>() })
  })

  test('TypeBox 0.34: a wrong value of an enum in event data does not compile', () => {
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => ({ event: 'nope', data: { k: 'a' } }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: async (request) => ({ id: request.id, event: 'nope', data: { k: 'a' } }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => ({ event: 'e', data: { k: 'c' } }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: async (request) => ({ id: request.id, event: 'e', data: { k: 'c' } }) })
    // @ts-expect-error Type 'string' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: (request) => ({ event: 'e', data: { k: request.id } }) })
    // @ts-expect-error not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => ({ event: 'e', data: { k: 1 } }) })
    // @ts-expect-error Property 'data' is missing
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => ({ event: 'e' }) })
    // @ts-expect-error Property 'event' is missing
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => ({ data: { k: 'a' } }) })
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => ({ event: 'e', data: null }) })
    // @ts-expect-error Types of property 'Data' are incompatible
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' }, Data: 1 }) })
    // @ts-expect-error Types of property 'type' are incompatible
    app.sseRoute({ url: '/', events: { e: schema0 }, interval: 1, payload: async (request) => ({ event: 'e', data: { k: 'a' }, type: request.id }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => [{ event: 'nope', data: { k: 'a' } }] })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: schema0 }, source: async function * () { yield { event: 'nope', data: { k: 'a' } } } })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => [{ event: 'e', data: { k: 'a' } }, { event: 'e', data: { k: 'c' } }] })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema0 }, source: async function * () { yield { event: 'e', data: { k: 'c' } } } })
    // @ts-expect-error Types of property 'payload' are incompatible
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => [{ event: 'e', data: { k: 'a' }, payload: 1 }] })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events: { e: schema0 }, source: () => new ReadableStream<{ event: 'e', data: { k: 'c' } }>() })
  })

  test('TypeBox 0.34: stream.send checks an enum in event data', () => {
    app.sseRoute({
      url: '/',
      events: { e: schema0 },
      onConnect: (_request, { send }) => {
        expect(send).type.toBeCallableWith({ event: 'e', data: { k: 'a' } })
        expect(send).type.not.toBeCallableWith({ event: 'e', data: { k: 'c' } })
        expect(send).type.not.toBeCallableWith({ event: 'nope', data: { k: 'a' } })
        expect(send).type.not.toBeCallableWith({ event: 'e' })
      }
    })
  })
})

describe('TypeBox 1: an enum in event data', () => {
  const app = Fastify().withTypeProvider<TypeBox1Provider>()

  test('TypeBox 1: an enum in event data compiles in every form of payload', () => {
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: async () => ({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: (request) => ({ id: request.id, event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: async (_request, stream) => stream.closed ? undefined : { event: 'e', data: { k: 'a' } } })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: (request) => { if (request.id === '1') return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload () { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: async function () { return { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => Promise.resolve({ event: 'e', data: { k: 'a' } }) })
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: (request) => new Promise((resolve) => resolve({ id: request.id, event: 'e', data: { k: 'a' } })) })
    app.sseRoute({ url: '/', interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }), events: { e: schema1 } })
    app.sseRoute('/', { events: { e: schema1 }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' } }) })
  })

  test('TypeBox 1: an enum in event data compiles in every form of source', () => {
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => [{ event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: async () => [{ event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: (request) => [{ id: request.id, event: 'e', data: { k: 'b' } }, { comments: '' }, { event: 'e', data: { k: 'a' } }] })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: function * () { yield { event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: async function * () { yield { event: 'e', data: { k: 'a' } }; yield null } })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: async function * (request, stream) { if (!stream.closed) yield { id: request.id, event: 'e', data: { k: 'a' } } } })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => (function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => (async function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: async () => (async function * () { yield { event: 'e', data: { k: 'a' } } })() })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: (request) => request.ips?.map(() => ({ event: 'e', data: { k: 'a' } })) ?? [] })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => names.map(() => ({ event: 'e', data: { k: 'a' } })) })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => new Set([{ event: 'e', data: { k: 'a' } }]) })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => Readable.from([]) })
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => new ReadableStream<{ event: 'e', data: { k: 'a' } }>() })
  })

  test('TypeBox 1: a wrong value of an enum in event data does not compile', () => {
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => ({ event: 'nope', data: { k: 'a' } }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: async (request) => ({ id: request.id, event: 'nope', data: { k: 'a' } }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => ({ event: 'e', data: { k: 'c' } }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: async (request) => ({ id: request.id, event: 'e', data: { k: 'c' } }) })
    // @ts-expect-error Type 'string' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: (request) => ({ event: 'e', data: { k: request.id } }) })
    // @ts-expect-error not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => ({ event: 'e', data: { k: 1 } }) })
    // @ts-expect-error Property 'data' is missing
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => ({ event: 'e' }) })
    // @ts-expect-error Property 'event' is missing
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => ({ data: { k: 'a' } }) })
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => ({ event: 'e', data: null }) })
    // @ts-expect-error Types of property 'Data' are incompatible
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: () => ({ event: 'e', data: { k: 'a' }, Data: 1 }) })
    // @ts-expect-error Types of property 'type' are incompatible
    app.sseRoute({ url: '/', events: { e: schema1 }, interval: 1, payload: async (request) => ({ event: 'e', data: { k: 'a' }, type: request.id }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => [{ event: 'nope', data: { k: 'a' } }] })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events: { e: schema1 }, source: async function * () { yield { event: 'nope', data: { k: 'a' } } } })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => [{ event: 'e', data: { k: 'a' } }, { event: 'e', data: { k: 'c' } }] })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', events: { e: schema1 }, source: async function * () { yield { event: 'e', data: { k: 'c' } } } })
    // @ts-expect-error Types of property 'payload' are incompatible
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => [{ event: 'e', data: { k: 'a' }, payload: 1 }] })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events: { e: schema1 }, source: () => new ReadableStream<{ event: 'e', data: { k: 'c' } }>() })
  })

  test('TypeBox 1: stream.send checks an enum in event data', () => {
    app.sseRoute({
      url: '/',
      events: { e: schema1 },
      onConnect: (_request, { send }) => {
        expect(send).type.toBeCallableWith({ event: 'e', data: { k: 'a' } })
        expect(send).type.not.toBeCallableWith({ event: 'e', data: { k: 'c' } })
        expect(send).type.not.toBeCallableWith({ event: 'nope', data: { k: 'a' } })
        expect(send).type.not.toBeCallableWith({ event: 'e' })
      }
    })
  })
})
