import { Readable } from 'node:stream'
import { Type, type FastifyPluginAsyncTypebox, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import '../../lib/index.js'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()

const Price = Type.Object({ symbol: Type.String(), price: Type.Number() })
const events = { price: Price, closed: Type.String() }
const price = { symbol: 'ACME', price: 1 }

describe('payload may give', () => {
  test('payload can return a declared event with its data', () => {
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: { symbol: 'ACME', price: 1 } }) })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: price }) })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: (request, stream) => ({ data: price, event: 'price', id: stream.id, retry: 1, comments: request.ip }) })
    app.sseRoute('/', { events, interval: 1_000, payload: () => ({ event: 'closed', data: 'for today' }) })
  })

  test('payload can return one of several events, or nothing', () => {
    app.sseRoute({
      url: '/',
      events,
      interval: 1_000,
      payload: (request) => {
        if (request.id === '1') return { event: 'price', data: price }
        if (request.id === '2') return { event: 'closed', data: '' }
        if (request.id === '3') return null
      }
    })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => {} })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: async () => {} })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: (request) => request.id === '1' ? { event: 'price', data: price } : undefined })
  })

  test('payload can return a promise of an event', () => {
    app.sseRoute({ url: '/', events, interval: 1_000, payload: async () => ({ event: 'price', data: price }) })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: async (request) => ({ event: 'closed', data: request.id }) })
  })

  test('payload can return an event without name and data: a comment, an id or a retry', () => {
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ comments: ['a', 'b'] }) })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ id: 7, retry: 1_000 }) })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({}) })
  })

  test('payload is typed by events that are declared after it or in place', () => {
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ event: 'price', data: price }), events })
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ event: 'price', data: price }), events: { price: Price } })
  })

  test('payload can be a method or a named function', () => {
    const latest = () => ({ event: 'price' as const, data: price })
    app.sseRoute({ url: '/', events, interval: 1_000, payload () { return { event: 'price', data: price } } })
    app.sseRoute({ url: '/', events, interval: 1_000, payload: latest })
  })
})

describe('payload may not give', () => {
  test('payload cannot return an event that is not declared', () => {
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'nope', data: price }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events, interval: 1_000, payload: async (request) => ({ event: 'nope', data: price, id: request.id }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'nope' }) })
    // @ts-expect-error "nope"
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ event: 'nope', data: price }), events })
  })

  test('payload cannot return data of another type', () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: { symbol: 'ACME', price: '1' } }) })
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'closed', data: price }) })
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events, interval: 1_000, payload: async () => ({ event: 'price', data: 'ACME' }) })
    // @ts-expect-error Property 'price' is missing
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: { symbol: 'ACME' } }) })
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: null }) })
  })

  test('payload cannot return data of another type when the name of the event is in a variable', () => {
    const [name, otherData]: ['price' | 'closed', typeof price | string] = ['price', '']
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: name, data: otherData }) })
  })

  test('payload cannot return an event without its data', () => {
    // @ts-expect-error Property 'data' is missing
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price' }) })
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: undefined }) })
  })

  test('payload cannot return data without a name if there is no event `message`', () => {
    // @ts-expect-error Property 'event' is missing
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ data: price }) })
    // @ts-expect-error Type '"text"' is not assignable to type
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => 'text' })
  })

  test('payload cannot return fields of another type', () => {
    // @ts-expect-error Type 'string' is not assignable to type 'number'
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: price, retry: '1' }) })
    // @ts-expect-error Type 'Date' is not assignable to type 'string | number
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: price, id: new Date() }) })
    // @ts-expect-error Types of property 'comments' are incompatible
    app.sseRoute({ url: '/', events, interval: 1_000, payload: () => ({ event: 'price', data: price, comments: 1 }) })
  })
})

describe('an event `message`', () => {
  test('an event `message` needs no name', () => {
    app.sseRoute({ url: '/', events: { message: Price }, interval: 1_000, payload: () => ({ data: price }) })
    app.sseRoute({ url: '/', events: { message: Price }, interval: 1_000, payload: () => ({ event: 'message', data: price }) })
    app.sseRoute({ url: '/', events: { message: Price, closed: Type.String() }, interval: 1_000, payload: () => ({ data: price }) })
  })

  test('the data of an event `message` is checked, with and without its name', () => {
    // @ts-expect-error Types of property 'data' are incompatible
    app.sseRoute({ url: '/', events: { message: Price }, interval: 1_000, payload: () => ({ data: 'ACME' }) })
    // @ts-expect-error Type '{ data: "ACME"; }' is not assignable to type
    app.sseRoute({ url: '/', events: { message: Price, closed: Type.String() }, interval: 1_000, payload: () => ({ data: 'ACME' }) })
    // @ts-expect-error Type 'string' is not assignable to type
    app.sseRoute({ url: '/', events: { message: Price }, interval: 1_000, payload: () => ({ event: 'message', data: 'ACME' }) })
  })

  test('an event `message` can be a bare string if its data is a string', () => {
    app.sseRoute({ url: '/', events: { message: Type.String() }, interval: 1_000, payload: () => 'text' })
    app.sseRoute({ url: '/', events: { message: Type.String({ format: 'date-time' }), price: Price }, interval: 1_000, payload: () => new Date().toISOString() })
    app.sseRoute({ url: '/', events: { message: Type.String() }, source: () => ['a', { data: 'b' }, { event: 'message', data: 'c' }] })
    // @ts-expect-error Type '"text"' is not assignable to type
    app.sseRoute({ url: '/', events: { message: Price }, interval: 1_000, payload: () => 'text' })
    // @ts-expect-error Type '"text"' is not assignable to type
    app.sseRoute({ url: '/', events: { message: Type.Union([Type.Literal('a'), Type.Literal('b')]) }, interval: 1_000, payload: () => 'text' })
  })
})

describe('source', () => {
  test('source can be any kind of source of declared events', () => {
    app.sseRoute({ url: '/', events, source: () => [{ event: 'price', data: price }, { event: 'closed', data: '' }, { comments: 'end' }] })
    app.sseRoute({ url: '/', events, source: function * () { yield { event: 'price', data: price } } })
    app.sseRoute({ url: '/', events, source: async function * () { yield { event: 'price', data: price } } })
    app.sseRoute({ url: '/', events, source: async function * (request, stream) { yield { event: 'closed', data: `${request.id} ${stream.id}` } } })
    app.sseRoute({ url: '/', events, source: async () => [{ event: 'price', data: price }] })
    app.sseRoute({ url: '/', events, source: () => Readable.from([]) })
    app.sseRoute({ url: '/', events, openOn: 'first-event', source: async () => Readable.from([]) })
    app.sseRoute({ url: '/', events: { message: Type.String() }, source: async () => new ReadableStream<string>() })
  })

  test('source is checked against the events', () => {
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events, source: () => [{ event: 'nope', data: price }] })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events, source: () => [{ event: 'price', data: { symbol: 'ACME', price: '1' } }] })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events, source: function * () { yield { event: 'nope', data: price } } })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events, source: async function * (request) { yield { event: 'price', data: request.id } } })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events, source: async function * () { yield { event: 'price' } } })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events, source: async () => new ReadableStream<number>() })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events, source: async function * () { yield 'text' } })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', events, source: () => 42 })
  })
})

describe('stream.send', () => {
  test('stream.send accepts only declared events', () => {
    app.sseRoute({
      url: '/',
      events: { ...events, message: Type.Integer() },
      onConnect: async (request, stream) => {
        expect(stream.send({ event: 'price', data: price })).type.toBe<Promise<boolean>>()
        expect(stream.send).type.toBeCallableWith({ event: 'closed', data: request.id })
        expect(stream.send).type.toBeCallableWith({ data: 1 })
        expect(stream.send).type.toBeCallableWith({ event: 'message', data: 1 })
        expect(stream.send).type.toBeCallableWith({ comments: 'hello' })
        expect(stream.send).type.toBeCallableWith(null)
        expect(stream.send).type.not.toBeCallableWith({ event: 'nope', data: price })
        expect(stream.send).type.not.toBeCallableWith({ event: 'price', data: 1 })
        expect(stream.send).type.not.toBeCallableWith({ event: 'price' })
        expect(stream.send).type.not.toBeCallableWith({ event: 'price', data: { ...price, price: null } })
        expect(stream.send).type.not.toBeCallableWith({ event: 'price', data: { symbol: 'ACME', price: 1, extra: 1 } })
        expect(stream.send).type.not.toBeCallableWith({ event: 'price', data: price, type: 'price' })
        expect(stream.send).type.not.toBeCallableWith({ data: price })
        expect(stream.send).type.not.toBeCallableWith('text')
        expect(stream.send).type.not.toBeCallableWith(1)
        expect(stream.send).type.not.toBeCallableWith([])
        expect(stream.send).type.not.toBeCallableWith()
      }
    })
  })

  test('stream.send is typed in every callback', () => {
    app.sseRoute({
      url: '/',
      events,
      source: async (_request, stream) => {
        expect(stream.send).type.toBeCallableWith({ event: 'price', data: price })
        expect(stream.send).type.not.toBeCallableWith({ event: 'nope', data: price })
        return []
      },
      onDisconnect: (_request, stream) => {
        expect(stream.send).type.not.toBeCallableWith({ event: 'nope', data: price })
      },
      onError: (_error, _request, stream) => {
        expect(stream.send).type.toBeCallableWith({ event: 'closed', data: '' })
        expect(stream.send).type.not.toBeCallableWith({ event: 'nope', data: price })
      }
    })
    app.sseRoute({
      url: '/',
      events,
      interval: 1_000,
      payload: (_request, stream) => {
        expect(stream.send).type.toBeCallableWith({ event: 'price', data: price })
        expect(stream.send).type.not.toBeCallableWith({ event: 'nope', data: price })
      }
    })
  })
})

describe('a route that declares no events', () => {
  test('a route without events sends any payload', () => {
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ event: 'anything', data: price }) })
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ data: price }) })
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ data: [1, null] }) })
    app.sseRoute({ url: '/', interval: 1_000, payload: () => 'text' })
    app.sseRoute({ url: '/', interval: 1_000, payload: async (request) => ({ id: request.id }) })
    app.sseRoute({ url: '/', source: async function * () { yield 'text'; yield { event: 'a', data: 1 } } })
    app.sseRoute({
      url: '/',
      onConnect: (_request, stream) => {
        expect(stream.send).type.toBeCallableWith('text')
        expect(stream.send).type.toBeCallableWith({ event: 'anything', data: new Map() })
        expect(stream.send).type.not.toBeCallableWith(1)
        expect(stream.send).type.not.toBeCallableWith([])
        expect(stream.send).type.not.toBeCallableWith({ event: 1 })
        expect(stream.send).type.not.toBeCallableWith({ event: 'a', dta: 1 })
      }
    })
  })

  test('a route without events refuses values that are not events', () => {
    // @ts-expect-error Type 'number' is not assignable to type
    app.sseRoute({ url: '/', interval: 1_000, payload: () => 42 })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', interval: 1_000, payload: () => [1] })
    // @ts-expect-error Type 'number' is not assignable to type 'string'
    app.sseRoute({ url: '/', interval: 1_000, payload: () => ({ event: 1 }) })
    // @ts-expect-error not assignable
    app.sseRoute({ url: '/', source: () => [1] })
  })
})

describe('the request in a callback', () => {
  const schema = {
    params: Type.Object({ symbol: Type.String() }),
    querystring: Type.Object({ since: Type.Optional(Type.Integer()) }),
    headers: Type.Object({ 'x-key': Type.String() }),
    body: Type.Object({ prompt: Type.String() })
  }

  test('the schema of a route types the request in payload, shared and clientId', () => {
    app.sseRoute({
      url: '/:symbol',
      schema,
      events,
      interval: 1_000,
      clientId: (request) => {
        expect(request.params).type.toBe<{ symbol: string }>()
        return request.params.symbol
      },
      shared: (request) => {
        expect(request.params).type.toBe<{ symbol: string }>()
        expect(request.query).type.toBe<{ since?: number }>()
        return request.params.symbol
      },
      payload: (request) => {
        expect(request.params).type.toBe<{ symbol: string }>()
        expect(request.query.since).type.toBe<number | undefined>()
        expect(request.headers['x-key']).type.toBe<string>()
        expect(request.body.prompt).type.toBe<string>()
        return { event: 'price', data: { symbol: request.params.symbol, price: 1 } }
      }
    })
  })

  test('the schema of a route types the request in source, onConnect, onDisconnect and onError', () => {
    app.sseRoute({
      method: 'POST',
      url: '/:symbol',
      schema,
      events: { message: Type.String() },
      source: async function * (request, stream) {
        expect(request.body).type.toBe<{ prompt: string }>()
        expect(stream.signal).type.toBe<AbortSignal>()
        yield request.body.prompt
      },
      onConnect: (request) => { expect(request.params).type.toBe<{ symbol: string }>() },
      onDisconnect: async (request) => { expect(request.query).type.toBe<{ since?: number }>() },
      onError: (error, request) => {
        expect(error).type.toBe<Error>()
        expect(request.body).type.toBe<{ prompt: string }>()
      }
    })
  })

  test('the schema of a route types the request in hooks of the route', () => {
    app.sseRoute({
      url: '/:symbol',
      schema,
      preHandler: async (request) => { expect(request.params).type.toBe<{ symbol: string }>() },
      onConnect: () => {}
    })
  })

  test('the schema of a route types the request when the URL is the first argument', () => {
    app.sseRoute('/:symbol', {
      schema,
      events,
      interval: 1_000,
      shared: (request) => request.params.symbol,
      payload: (request) => ({ event: 'closed', data: request.params.symbol })
    })
  })

  test('the request does not have properties that the schema does not have', () => {
    app.sseRoute({ url: '/:symbol', schema, onConnect: (request) => { expect(request.params).type.not.toHaveProperty('other') } })
    // @ts-expect-error Property 'other' does not exist on type
    app.sseRoute({ url: '/:symbol', schema, interval: 1_000, payload: (request) => request.params.other })
  })
})

test('`this` in a callback is the Fastify instance', () => {
  app.sseRoute({
    url: '/',
    events,
    interval: 1_000,
    clientId (request) { this.log.info('x'); return request.id },
    shared () { return this.prefix },
    payload () {
      expect(this.sse).type.toHaveProperty('streams')
      return { event: 'closed', data: this.version }
    },
    onConnect () { expect(this).type.toHaveProperty('inject') },
    onDisconnect () { expect(this).type.toHaveProperty('inject') },
    onError () { expect(this).type.toHaveProperty('inject') }
  })
  app.sseRoute({ url: '/', events, source () { return [{ event: 'closed', data: this.prefix }] } })
})

test('a plugin function can have its own provider', () => {
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

test('a child instance can use its own provider', () => {
  Fastify().register(async (child) => {
    child.withTypeProvider<TypeBoxTypeProvider>().sseRoute({
      url: '/:id',
      schema: { params: Type.Object({ id: Type.Number() }) },
      events: { count: Type.Number() },
      interval: 1_000,
      payload: (request) => ({ event: 'count', data: request.params.id })
    })
  })
})

test('sseRoute returns the instance with its provider', () => {
  expect(app.sseRoute({ url: '/', onConnect: () => {} })).type.toBe<typeof app>()
})
