import { Readable } from 'node:stream'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyReply } from 'fastify'
import { describe, expect, test } from 'tstyche'
import type { ItemOf, SSEInput, SSEItems, SSEPayload, SSERouteOptions } from '../../lib/index.js'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
const reply = {} as FastifyReply

const Kind = Type.Object({ k: Type.Union([Type.Literal('a'), Type.Literal('b')]) })
const Price = Type.Object({ symbol: Type.String(), price: Type.Number() })
const price = { symbol: 'ACME', price: 1 }
const events = { message: Kind, price: Price, closed: Type.String() }
interface Chunk { id: string, choices: string[] }
const chunks = {} as AsyncIterable<Chunk>

describe('items: \'data\'', () => {
  test('items: "data" accepts any items on a route without events', () => {
    app.sseRoute({ url: '/', items: 'data', source: () => chunks })
    app.sseRoute({ url: '/', items: 'data', source: async () => chunks })
    app.sseRoute({ url: '/', items: 'data', source: async function * (request) { yield { type: 'text-delta', id: request.id }; yield 1; yield null } })
    app.sseRoute({ url: '/', items: 'data', interval: 1, payload: () => 42 })
    app.sseRoute({ url: '/', items: 'data', interval: 1, payload: async () => [{ id: 'c-1', choices: [] }] })
    app.sseRoute({ url: '/', items: 'data', interval: 1, payload: () => {} })
    app.sseRoute('/', { items: 'data', source: () => Readable.from([]) })
  })

  test('items: "data" accepts the data of message on a route with events', () => {
    app.sseRoute({ url: '/', items: 'data', events, interval: 1, payload: () => ({ k: 'a' }) })
    app.sseRoute({ url: '/', items: 'data', events, interval: 1, payload: async (request) => { if (request.id === '1') return { k: 'a' } } })
    app.sseRoute({ url: '/', items: 'data', events, source: () => [{ k: 'a' }, { k: 'b' }] })
    app.sseRoute({ url: '/', items: 'data', events, source: async function * () { yield { k: 'a' } } })
    app.sseRoute({ url: '/', source: async function * () { yield { k: 'a' } }, items: 'data', events })
    app.sseRoute({ url: '/', items: 'data', events: { message: Type.String() }, source: async function * () { yield 'text' } })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', items: 'data', events, interval: 1, payload: () => ({ k: 'c' }) })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', items: 'data', events, interval: 1, payload: () => ({ event: 'price', data: price }) })
    // @ts-expect-error Type '"c"' is not assignable to type '"a" | "b"'
    app.sseRoute({ url: '/', items: 'data', events, source: () => [{ k: 'a' }, { k: 'c' }] })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', items: 'data', events, source: async function * () { yield price } })
  })

  test('items: "data" needs an event message on a route with events', () => {
    // @ts-expect-error Type '"data"' is not assignable to type '"payload"'
    app.sseRoute({ url: '/', items: 'data', events: { price: Price }, interval: 1, payload: () => undefined })
    // @ts-expect-error Type '"data"' is not assignable to type '"payload"'
    app.sseRoute('/', { items: 'data', events: { price: Price }, interval: 1, payload: () => undefined })
  })

  test('items: "data" can be combined with explicit generics', () => {
    app.sseRoute<{ Params: { id: string } }>({ url: '/:id', items: 'data', source: (request) => [request.params.id, 1] })
    app.sseRoute<{ Params: { id: string } }>('/:id', { items: 'data', source: () => chunks })
    app.sseRoute<{ Params: { id: string } }>('/:id', { interval: 1, payload: (request) => ({ event: 'x', data: request.params.id }) })
  })

  test('items is "data" or "payload"', () => {
    app.sseRoute({ url: '/', items: 'payload', events, source: () => [{ event: 'price', data: price }] })
    // @ts-expect-error Type '"datas"' is not assignable to type
    app.sseRoute({ url: '/', items: 'datas', source: () => chunks })
    expect<SSERouteOptions['items']>().type.toBe<SSEItems | undefined>()
    expect<ItemOf<TypeBoxTypeProvider, typeof events, 'data'>>().type.toBe<{ k: 'a' | 'b' }>()
    expect<ItemOf<TypeBoxTypeProvider, {}>>().type.toBe<SSEInput>()
  })
})

describe('a payload', () => {
  test('a payload has the fields of the standard and no others', () => {
    // @ts-expect-error Types of property 'choices' are incompatible
    app.sseRoute({ url: '/', source: () => chunks })
    // @ts-expect-error Types of property 'Data' are incompatible
    app.sseRoute({ url: '/', interval: 1, payload: () => ({ event: 'price', Data: price }) })
    // @ts-expect-error Types of property 'type' are incompatible
    app.sseRoute({ url: '/', source: async function * () { yield { type: 'data-x', data: price } } })
    // @ts-expect-error Types of property 'payload' are incompatible
    app.sseRoute({ url: '/', source: () => [{ event: 'price', data: price }, { event: 'price', payload: price }] })
  })

  test('a payload can be of a declared type, an index type, a class type or any', () => {
    class Row { id = 1; data = price; toString (): string { return this.data.symbol } }
    app.sseRoute({ url: '/', source: () => [new Row()] })
    app.sseRoute({ url: '/', source: () => ({}) as AsyncIterable<{ id?: string, event?: string, data: string }> })
    app.sseRoute({ url: '/', source: () => ({}) as AsyncIterable<SSEInput> })
    app.sseRoute({ url: '/', source: () => JSON.parse('[]') })
    app.sseRoute({ url: '/', interval: 1, payload: (): SSEPayload => ({}) })
    app.sseRoute({ url: '/', interval: 1, payload: (): Record<string, any> => ({}) })
    app.sseRoute({ url: '/', interval: 1, payload: () => new Promise((resolve) => { setTimeout(resolve, 1) }) })
    app.sseRoute({ url: '/', interval: 1, payload: () => { throw new Error('no price') } })
    app.sseRoute({ url: '/', events, source: () => [] })
  })

  test('a payload can have arrays, tuples and nested literals in its data', () => {
    const data = { list: Type.Array(Type.String()), pair: Type.Tuple([Type.Number(), Type.Number()]), kinds: Type.Array(Kind), any: Type.Unknown() }
    const lists = { lists: Type.Object(data), message: Type.Array(Type.Number()), one: Type.Literal(1) }
    const names = ['ann']
    app.sseRoute({ url: '/', events: lists, interval: 1, payload: () => ({ event: 'lists', data: { list: ['a'], pair: [1, 2], kinds: [{ k: 'a' }], any: [1] } }) })
    app.sseRoute({ url: '/', events: lists, interval: 1, payload: async () => ({ event: 'lists', data: { list: names, pair: [1, 2], kinds: names.map(() => ({ k: 'b' })), any: names } }) })
    app.sseRoute({ url: '/', events: lists, source: async function * (request) { yield { data: [1, 2] }; yield { event: 'one', data: 1 }; yield { event: 'lists', data: { list: [request.id], pair: [1, 2], kinds: [], any: null } } } })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    app.sseRoute({ url: '/', events: lists, interval: 1, payload: () => ({ event: 'lists', data: { list: [1], pair: [1, 2], kinds: [], any: 1 } }) })
  })
})

describe('end', () => {
  test('end is a payload of the route', () => {
    app.sseRoute({ url: '/', source: () => chunks, items: 'data', end: '[DONE]' })
    app.sseRoute({ url: '/', source: () => ['text'], end: { event: 'done' } })
    app.sseRoute({ url: '/', events, source: () => [], end: { event: 'closed', data: '' } })
    app.sseRoute({ url: '/', events, items: 'data', source: () => [{ k: 'a' }], end: { event: 'message', data: { k: 'b' } } })
    // @ts-expect-error Type '"nope"' is not assignable to type
    app.sseRoute({ url: '/', events, source: () => [], end: { event: 'nope', data: '' } })
    // @ts-expect-error Type 'string' is not assignable to type
    app.sseRoute({ url: '/', events, source: () => [], end: '[DONE]' })
    // @ts-expect-error 'Data' does not exist in type
    app.sseRoute({ url: '/', source: () => [], end: { event: 'done', Data: 1 } })
    // @ts-expect-error Type 'null' is not assignable to type
    app.sseRoute({ url: '/', source: () => [], end: null })
  })
})

describe('payload', () => {
  test('payload receives a signal', () => {
    app.sseRoute({ url: '/', interval: 1, payloadTimeout: 0, payload: async (_request, _stream, { signal }) => { expect(signal).type.toBe<AbortSignal>() } })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', interval: 1, payload: () => 'text', payloadTimeout: '1s' })
  })
})

describe('reply.sse', () => {
  test('reply.sse() accepts items that are data', () => {
    expect(reply.sse(chunks, { items: 'data', end: '[DONE]' })).type.toBe<Promise<void>>()
    expect(reply.sse(Promise.resolve(chunks), { items: 'data' })).type.toBe<Promise<void>>()
    expect(reply.sse(() => chunks, { items: 'data', openOn: 'first-event' })).type.toBe<Promise<void>>()
    // @ts-expect-error No overload matches this call
    reply.sse(chunks)
    // @ts-expect-error No overload matches this call
    reply.sse(() => chunks)
    // @ts-expect-error No overload matches this call
    reply.sse([{ event: 'x', Data: 1 }])
  })

  test('reply.sse() accepts a function of the stream', () => {
    expect(reply.sse(async (stream) => { await stream.send('text') })).type.toBe<Promise<void>>()
    expect(reply.sse((stream) => { stream.close() })).type.toBe<Promise<void>>()
    expect(reply.sse((stream) => [stream.id, { event: 'x', data: 1 }])).type.toBe<Promise<void>>()
    expect(reply.sse(async (stream) => [stream.id])).type.toBe<Promise<void>>()
    expect(reply.sse(async function * (stream) { if (!stream.signal.aborted) yield { event: 'x', data: 1 } })).type.toBe<Promise<void>>()
    // @ts-expect-error No overload matches this call
    reply.sse(() => 42)
    // @ts-expect-error No overload matches this call
    reply.sse((stream) => stream.send('text'))
  })

  test('reply.sse() can be returned and awaited in handlers with a response schema', () => {
    const schema = { response: { 200: Type.Object({ a: Type.String() }) } }
    app.get('/', { schema }, (_request, reply) => reply.sse(['text']))
    app.get('/', { schema }, async (_request, reply) => reply.sse(() => chunks, { items: 'data' }))
    app.get('/', { schema }, async (request, reply) => request.id === '1' ? reply.sse(['text']) : { a: 'text' })
    app.get('/', { schema }, async (_request, reply) => { await reply.sse(['text']) })
    app.get<{ Reply: { a: string } }>('/', async (_request, reply) => reply.sse(['text']))
    app.get<{ Reply: { a: string } }>('/', (_request, reply) => reply.sse(['text']))
  })
})
