import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import { type as arktype } from 'arktype'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { describe, expect, test } from 'tstyche'
import { Type as Type1 } from 'typebox'
import { z } from 'zod'
import { sse as connect, type EventsOf as ClientEventsOf } from '../../lib/client/index.js'
import { defineTopic, type EventsOf, type SSEPublication, type SSEStream, type Topic, type TopicDefinition } from '../../lib/index.js'

const app = Fastify()
const orders = defineTopic('order:{id}', { events: { shipped: Type.Object({ carrier: Type.String() }), delivered: Type.Object({}) }, history: { size: 200, maxAge: 86_400_000 } })
const news = defineTopic('news', { events: { headline: Type.String(), shipped: Type.Object({ at: Type.Number() }) } })
const rooms = defineTopic('{tenant}/room/{room}')

describe('defineTopic', () => {
  test('the placeholders come from the text of the pattern', () => {
    expect(orders).type.toBeCallableWith({ id: 42 })
    expect(orders).type.toBeCallableWith({ id: '42' })
    expect(rooms).type.toBeCallableWith({ tenant: 'acme', room: 7 })
    expect(news).type.toBeCallableWith()
    expect(defineTopic('{a}:{b}:{a}')).type.toBeCallableWith({ a: 1, b: 2 })
    const pattern: string = 'any'
    expect(defineTopic(pattern)).type.toBeCallableWith({ id: 1 })
    expect(orders({ id: 1 }).name).type.toBe<string>()
    expect(orders.pattern).type.toBe<'order:{id}'>()
    expect(orders).type.toBeAssignableTo<TopicDefinition<'order:{id}', NonNullable<typeof orders.events>>>()
    expect(orders({ id: 1 })).type.toBeAssignableTo<Topic>()
  })

  test('missing, unknown and wrong values do not compile', () => {
    expect(orders).type.not.toBeCallableWith()
    expect(orders).type.not.toBeCallableWith({})
    expect(orders).type.not.toBeCallableWith(42)
    expect(orders).type.not.toBeCallableWith({ id: true })
    expect(orders).type.not.toBeCallableWith({ id: undefined })
    expect(orders).type.not.toBeCallableWith({ ID: 42 })
    expect(orders).type.not.toBeCallableWith({ id: 42, more: 1 })
    expect(rooms).type.not.toBeCallableWith({ tenant: 'acme' })
    expect(news).type.not.toBeCallableWith({})
  })

  test('wrong options do not compile', () => {
    expect(defineTopic).type.not.toBeCallableWith()
    expect(defineTopic).type.not.toBeCallableWith(1)
    expect(defineTopic).type.not.toBeCallableWith('a', { event: {} })
    expect(defineTopic).type.not.toBeCallableWith('a', { history: false })
    expect(defineTopic).type.not.toBeCallableWith('a', { history: { maxBytes: 1 } })
    expect(orders.from).type.not.toBeCallableWith(() => ({}))
    expect(orders.from).type.not.toBeCallableWith(() => ({ id: true }))
    expect(orders.from).type.not.toBeCallableWith({ id: 1 })
  })
})

describe('EventsOf a definition', () => {
  test('EventsOf has the events of a definition, for clients too', () => {
    expect<EventsOf<typeof orders>>().type.toBe<{ shipped: { carrier: string }, delivered: {} }>()
    expect<ClientEventsOf<typeof orders>>().type.toBe<EventsOf<typeof orders>>()
    expect<EventsOf<typeof rooms>>().type.toBe<{}>()
    const named = defineTopic('a', { events: { events: Type.String() } })
    expect<EventsOf<typeof named>>().type.toBe<{ events: string }>()
    expect(named).type.toBeCallableWith()
    expect<EventsOf<{ events: { type: 'string' } }>>().type.toBe<{ events: unknown }>()
    async function read () {
      for await (const event of connect<EventsOf<typeof orders>>('/orders/42')) if (event.event === 'shipped') expect(event.data).type.toBe<{ carrier: string }>()
    }
    expect(read).type.toBe<() => Promise<void>>()
  })

  test('EventsOf a definition works with TypeBox 1, zod, ArkType and, with a type provider, JSON Schema', () => {
    const box1 = defineTopic('a', { events: { price: Type1.Object({ symbol: Type1.String(), more: Type1.Optional(Type1.Number()) }) } })
    expect<EventsOf<typeof box1>>().type.toBeAssignableTo<{ price: { symbol: string, more?: number } }>()
    const zod = defineTopic('a', { events: { price: z.object({ symbol: z.string() }) } })
    expect<EventsOf<typeof zod>>().type.toBe<{ price: { symbol: string } }>()
    const ark = defineTopic('a', { events: { price: arktype({ symbol: 'string' }) } })
    expect<EventsOf<typeof ark>>().type.toBe<{ price: { symbol: string } }>()
    const json = defineTopic('a', { events: { price: { type: 'object', properties: { symbol: { type: 'string' } }, required: ['symbol'], additionalProperties: false } } })
    expect<EventsOf<typeof json>>().type.toBe<{ price: unknown }>()
    expect<EventsOf<typeof json, JsonSchemaToTsProvider>>().type.toBe<{ price: { symbol: string } }>()
    expect([box1(), zod(), ark(), json()]).type.toBeAssignableTo<Topic[]>()
  })
})

describe('publishing to typed topics', () => {
  test('names of topics take every payload', () => {
    app.sse.publish('a', { event: 'any', data: 1 })
    app.sse.publish(['a', 'b'], 'text', { except: 'ann' })
    const topics: readonly string[] = ['a']
    app.sse.publish(topics, { comments: 'c' })
    const payload: SSEPublication = 'text'
    app.sse.publish(rooms({ tenant: 'a', room: 1 }), payload)
    app.sse.publish([rooms({ tenant: 'a', room: 1 }), 'a'], { event: 'any', data: new Map() })
  })

  test('TypeBox 0.34: a declared event with its data compiles, other names and data do not', () => {
    app.sse.publish(orders({ id: 42 }), { event: 'shipped', data: { carrier: 'DHL' }, retry: 1, comments: 'c' })
    app.sse.publish([orders({ id: 42 }), orders({ id: 43 }), 'text'], { event: 'delivered', data: {} })
    app.sse.publish(orders({ id: 42 }), { comments: 'c' })
    // @ts-expect-error "shippd"
    app.sse.publish(orders({ id: 42 }), { event: 'shippd', data: { carrier: 'DHL' } })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    app.sse.publish(orders({ id: 42 }), { event: 'shipped', data: { carrier: 1 } })
    // @ts-expect-error Property 'carrier' is missing
    app.sse.publish(orders({ id: 42 }), { event: 'shipped', data: {} })
    // @ts-expect-error Property 'data' is missing
    app.sse.publish(orders({ id: 42 }), { event: 'shipped' })
    // @ts-expect-error not assignable
    app.sse.publish(orders({ id: 42 }), 'text')
    // @ts-expect-error not assignable
    app.sse.publish(orders({ id: 42 }), { data: { carrier: 'DHL' } })
    // @ts-expect-error not assignable
    app.sse.publish(orders({ id: 42 }), { event: 'shipped', data: { carrier: 'DHL' }, id: 1 })
    // @ts-expect-error not assignable
    app.sse.publish(orders({ id: 42 }), null)
    // @ts-expect-error "shippd"
    app.sse.publish([orders({ id: 42 }), 'text'], { event: 'shippd', data: { carrier: 'DHL' } })
  })

  test('a definition is no topic to publish to', () => {
    expect(app.sse.publish).type.not.toBeCallableWith(orders, { event: 'delivered', data: {} })
    expect(app.sse.publish).type.not.toBeCallableWith([orders], { event: 'delivered', data: {} })
    expect(app.sse.publish).type.not.toBeCallableWith(orders.from(() => ({ id: 1 })), { event: 'delivered', data: {} })
  })

  test('an event `message` needs no name, and can be a string', () => {
    const chat = defineTopic('chat', { events: { message: Type.String(), left: Type.Object({}) } })
    app.sse.publish(chat(), 'text')
    app.sse.publish(chat(), { data: 'text' })
    // @ts-expect-error not assignable
    app.sse.publish(chat(), { data: 1 })
  })

  test('a payload for several definitions has to fit all', () => {
    app.sse.publish([orders({ id: 1 }), news()], { event: 'shipped', data: { carrier: 'DHL', at: 1 } })
    app.sse.publish([rooms({ tenant: 'a', room: 1 }), news()], { event: 'headline', data: 'text' })
    // @ts-expect-error 'carrier' is missing
    app.sse.publish([orders({ id: 1 }), news()], { event: 'shipped', data: { at: 1 } })
    expect(app.sse.publish).type.not.toBeCallableWith([orders({ id: 1 }), news()], { event: 'headline', data: 'text' })
    expect(app.sse.publish).type.not.toBeCallableWith([orders({ id: 1 }), news()], { event: 'nope', data: 'text' })
    // @ts-expect-error "nope"
    app.sse.publish([rooms({ tenant: 'a', room: 1 }), news()], { event: 'nope', data: 'text' })
  })

  test('TypeBox 1: a declared event with its data compiles, other names and data do not', () => {
    const topic = defineTopic('a', { events: { price: Type1.Object({ symbol: Type1.String() }), side: Type1.Union([Type1.Literal('buy'), Type1.Literal('sell')]) } })
    app.sse.publish(topic(), { event: 'price', data: { symbol: 'ACME' } })
    app.sse.publish(topic(), { event: 'side', data: 'buy' })
    // @ts-expect-error "nope"
    app.sse.publish(topic(), { event: 'nope', data: { symbol: 'ACME' } })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    app.sse.publish(topic(), { event: 'price', data: { symbol: 1 } })
    // @ts-expect-error not assignable
    app.sse.publish(topic(), { event: 'side', data: 'hold' })
  })

  test('zod: a declared event with its data compiles, other names and data do not', () => {
    const topic = defineTopic('a', { events: { price: z.object({ symbol: z.string() }), side: z.enum(['buy', 'sell']) } })
    app.sse.publish(topic(), { event: 'price', data: { symbol: 'ACME' } })
    app.sse.publish(topic(), { event: 'side', data: 'buy' })
    // @ts-expect-error "nope"
    app.sse.publish(topic(), { event: 'nope', data: { symbol: 'ACME' } })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    app.sse.publish(topic(), { event: 'price', data: { symbol: 1 } })
    // @ts-expect-error not assignable
    app.sse.publish(topic(), { event: 'side', data: 'hold' })
  })

  test('plain JSON Schema: names are checked, data can be anything', () => {
    const topic = defineTopic('a', { events: { price: { type: 'object', properties: { symbol: { type: 'string' } } } } })
    app.sse.publish(topic(), { event: 'price', data: { symbol: 1 } })
    // @ts-expect-error "nope"
    app.sse.publish(topic(), { event: 'nope', data: {} })
    // @ts-expect-error Property 'data' is missing
    app.sse.publish(topic(), { event: 'price' })
  })
})

describe('typed topics of a route', () => {
  test('topics can be definitions, topics, results of `from`, strings, and a function that returns these', () => {
    expect(app.sseRoute({ url: '/:id', topics: [orders] })).type.toBe<FastifyInstance>()
    app.sseRoute('/:id', { topics: [orders, orders.from((request) => ({ id: request.id })), orders.from(async (request) => ({ id: request.id })), 'text', news(), rooms({ tenant: 'a', room: 1 })] })
    app.sseRoute('/:id', { topics: (request) => [orders, orders({ id: request.id }), 'text', news] })
    app.sseRoute('/:id', { topics: async (request) => request.id === '1' ? [orders({ id: request.id })] : [] })
    app.sseRoute('/:id', { topics: [orders], rewind: 1, clientId: (request) => request.id })
    const topics = [orders, 'text']
    app.sseRoute('/:id', { topics })
    expect(app.sseRoute).type.not.toBeCallableWith('/:id', { topics: orders })
    expect(app.sseRoute).type.not.toBeCallableWith('/:id', { topics: [{}] })
    expect(app.sseRoute).type.not.toBeCallableWith('/:id', { topics: [() => orders({ id: 1 })] })
    expect(app.sseRoute).type.not.toBeCallableWith('/:id', { topics: () => orders({ id: 1 }) })
  })

  test('`from` receives the request', () => {
    app.sseRoute('/', {
      topics: [orders.from((request) => {
        expect(request).type.toBe<FastifyRequest>()
        return { id: request.id }
      })]
    })
    app.sseRoute<{ Params: { order: string } }>('/:order', {
      topics: [orders.from((request) => {
        expect(request.params).type.toBe<{ order: string }>()
        return { id: request.params.order }
      })]
    })
    const mine = orders.from((request: FastifyRequest<{ Querystring: { order: string } }>) => ({ id: request.query.order }))
    app.sseRoute('/', { topics: [mine] })
    const typed = Fastify().withTypeProvider<TypeBoxTypeProvider>()
    typed.sseRoute({ url: '/:order', schema: { params: Type.Object({ order: Type.Integer() }) }, topics: (request) => [orders({ id: request.params.order })] })
    typed.sseRoute({ url: '/:order', schema: { params: Type.Object({ order: Type.Integer() }) }, topics: [mine, orders.from(async ({ id }) => ({ id }))] })
  })

  test('the events of typed topics are events of the route, with those of the option `events`', () => {
    const events = { snapshot: Type.Array(Type.String()) }
    const chat = defineTopic('chat', { events: { line: Type.String() } })
    app.sseRoute('/:id', { topics: [orders], interval: 1, payload: () => ({ event: 'shipped', data: { carrier: 'DHL' } }) })
    app.sseRoute('/:id', { topics: [orders, chat, 'text'], events, source: async function * (request) { yield { event: 'line', data: request.id }; yield { event: 'snapshot', data: [] } } })
    app.sseRoute('/:id', {
      topics: [orders.from(() => ({ id: 1 })), chat()],
      events,
      onConnect: (_request, stream) => {
        expect(stream.send).type.toBeCallableWith({ event: 'delivered', data: {} })
        expect(stream.send).type.toBeCallableWith({ event: 'line', data: 'text' })
        expect(stream.send).type.toBeCallableWith({ event: 'snapshot', data: ['a'] })
        expect(stream.send).type.not.toBeCallableWith({ event: 'snapshot', data: 'a' })
        expect(stream.send).type.not.toBeCallableWith({ event: 'nope', data: 'a' })
      }
    })
    app.sseRoute('/:id', { topics: ['text', rooms({ tenant: 'a', room: 1 })], interval: 1, payload: () => ({ event: 'any', data: 1 }) })
    app.sseRoute('/:id', { topics: [defineTopic('a', { events: { message: Type.Number() } })], items: 'data', source: () => [1, 2] })
    // @ts-expect-error "shippd"
    app.sseRoute('/:id', { topics: [orders], interval: 1, payload: () => ({ event: 'shippd', data: { carrier: 'DHL' } }) })
    // @ts-expect-error incompatible
    app.sseRoute('/:id', { topics: [orders], interval: 1, payload: async () => ({ event: 'shipped', data: { carrier: 1 } }) })
    // @ts-expect-error "nope"
    app.sseRoute('/:id', { topics: [orders], events, source: () => [{ event: 'nope', data: [] }] })
    // @ts-expect-error "snapshot"
    app.sseRoute('/:id', { topics: [orders], source: () => [{ event: 'snapshot', data: [] }] })
    expect(app.sseRoute).type.not.toBeCallableWith('/:id', { topics: [orders], items: 'data', source: () => [1] })
  })
})

test('streams and app.sse.unsubscribe take typed topics', () => {
  const stream = {} as SSEStream
  expect(stream.subscribe).type.toBeCallableWith(orders({ id: 1 }), 'text')
  expect(stream.unsubscribe).type.toBeCallableWith('text', orders({ id: 1 }))
  expect(stream.subscribe).type.not.toBeCallableWith(orders)
  expect(app.sse.unsubscribe).type.toBeCallableWith('ann', orders({ id: 1 }))
  expect(app.sse.unsubscribe).type.not.toBeCallableWith('ann', orders)
})
