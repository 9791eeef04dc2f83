import { createServer } from 'node:http2'
import { Readable } from 'node:stream'
import type { SwaggerTransform } from '@fastify/swagger'
import Fastify, { type FastifyReply } from 'fastify'
import { jsonSchemaTransform } from 'fastify-type-provider-zod'
import { describe, expect, test } from 'tstyche'
import sse, {
  sse as named, type CloseReason, type SSE, type SSEClientLimit, type SSEInput, type SSEPayload, type SSEPluginOptions, type SSERouteOptions, type SSEStats, type SSEStream,
  type SSEStreamOptions, type SSESwaggerTransform
} from '../../lib/index.js'

const app = Fastify()

describe('register', () => {
  test('register accepts the plugin under both names, with its options', () => {
    expect(named).type.toBe<typeof sse>()
    app.register(sse)
    app.register(sse, {})
    app.register(sse, {
      prefix: '/events',
      heartbeat: false,
      retry: 1_000,
      headers: { 'x-feed': 'demo' },
      serializer: (data) => String(data),
      maxBufferedBytes: 0,
      overflow: 'drop',
      idleTimeout: 1,
      maxLifetime: 1,
      clientId: (request) => request.ip,
      maxStreams: 1,
      maxStreamsPerClient: { max: 1, key: (request) => request.ip },
      onConnect: async (request, stream) => { await stream.send({ data: request.id }) },
      onDisconnect: (request, stream) => request.log.info(stream.closeReason),
      onError: (error, request, stream) => request.log.error({ error, id: stream.id }),
      flushInterval: 0,
      drain: { spread: 0, event: { event: 'restart' }, timeout: 0 },
      openapi: false
    })
    app.register(sse, { openapi: { transform: jsonSchemaTransform } })
    app.register(sse, { openapi: { transform: ({ schema, url, route }) => ({ schema: { ...schema, hide: route.method === 'POST' }, url }) } })
    expect<SSESwaggerTransform>().type.toBeAssignableFrom<SwaggerTransform>()
  })

  test('register refuses other options and wrong types', () => {
    expect(app.register).type.not.toBeCallableWith(sse, { hartbeat: 1 })
    expect(app.register).type.not.toBeCallableWith(sse, { heartbeat: '1s' })
    expect(app.register).type.not.toBeCallableWith(sse, { heartbeat: true })
    expect<SSEPluginOptions['heartbeat']>().type.toBe<number | false | undefined>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ overflow: 'close' }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ headers: { a: number } }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ maxStreamsPerClient: number }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ maxStreamsPerClient: { key: () => string } }>()
    expect<SSEPluginOptions>().type.toBeAssignableFrom<{ maxStreamsPerClient: [SSEClientLimit, { max: 1 }], drain: {} }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ maxStreamsPerClient: [{ key: () => string }] }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ drain: number }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ onError: true }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ onConnect: string }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ onDisconnect: (request: number) => void }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ drain: { event: number } }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ serializer: (data: unknown) => number }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ clientId: () => number }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ openapi: { transform: true } }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ openapi: { transform: () => string } }>()
    expect<SSEPluginOptions>().type.not.toBeAssignableFrom<{ openapi: { transform: (route: number) => { schema: {}, url: '' } } }>()
    expect<SSEPluginOptions>().type.not.toHaveProperty('interval')
  })
})

describe('sseRoute', () => {
  test('sseRoute accepts the route options of Fastify except handler, and the stream options', () => {
    app.sseRoute({
      url: '/',
      method: ['GET', 'POST'],
      preHandler: async () => {},
      onSend: [(_request, _reply, payload, done) => done(null, payload)],
      constraints: { host: 'example.com' },
      config: { own: 1 },
      logLevel: 'warn',
      bodyLimit: 1,
      exposeHeadRoute: false,
      serializerCompiler: () => (data) => String(data),
      heartbeat: 0,
      retry: 0,
      headers: {},
      openOn: 'request',
      maxStreams: 1,
      maxStreamsPerClient: [{ max: 1 }, { max: 1, key: (request) => request.ip }],
      items: 'data',
      end: '[DONE]',
      source: () => []
    })
    expect<SSERouteOptions>().type.not.toHaveProperty('handler')
  })

  test('sseRoute refuses options of a wrong type', () => {
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', interval: '1s', payload: () => 'text' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', interval: 1, payload: 'text' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', interval: 1, payload: () => 'text', immediate: 'no' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', interval: 1, payload: () => 'text', shared: 'key' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', interval: 1, payload: () => 'text', shared: () => ({}) })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', source: () => [], openOn: 'connect' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', source: () => [], heartbeat: '1s' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', source: () => [], method: 1 })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', source: [] })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', onConnect: true })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', onConnect: () => {}, clientId: () => 1 })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', onConnect: () => {}, events: 'price' })
  })

  test('sseRoute refuses unknown options', () => {
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', onConnect: () => {}, handler: () => {} })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', onConnect: () => {}, hartbeat: 1 })
    expect(app.sseRoute).type.not.toBeCallableWith({ onConnect: () => {} })
    expect(app.sseRoute).type.not.toBeCallableWith('/')
    expect(app.sseRoute).type.not.toBeCallableWith('/', { url: '/', onConnect: () => {} })
  })

  test('sseRoute exists on an HTTP/2 server', () => {
    const http2 = Fastify({ http2: true })
    http2.sseRoute({ url: '/', interval: 1, payload: (request) => { expect(request.raw).type.toHaveProperty('stream') } })
    expect<ReturnType<typeof createServer>>().type.toBeAssignableFrom<typeof http2.server>()
  })
})

describe('reply.sse', () => {
  const reply = {} as FastifyReply

  test('reply.sse() returns the stream without a source, and a promise with one', () => {
    expect(reply.sse()).type.toBe<SSEStream>()
    expect(reply.sse({ heartbeat: false, retry: 1_000 })).type.toBe<SSEStream>()
    expect(reply.sse(['text', { data: 1 }])).type.toBe<Promise<void>>()
    expect(reply.sse((async function * () { yield { event: 'a', data: 1 } })())).type.toBe<Promise<void>>()
    expect(reply.sse(Readable.from([]), { overflow: 'drop' })).type.toBe<Promise<void>>()
    expect(reply.sse(new ReadableStream<string>())).type.toBe<Promise<void>>()
    expect(reply.sse(Promise.resolve(['text']))).type.toBe<Promise<void>>()
    expect(reply.sse({ flushInterval: 10, onError: (error) => error.message, onDisconnect: (request, stream) => [request.id, stream.id] })).type.toBe<SSEStream>()
  })

  test('reply.sse() can be returned from a handler, also beside an ordinary payload', () => {
    app.get('/', (_request, reply) => reply.sse(['text']))
    app.get('/', async (_request, reply) => reply.sse(['text']))
    app.post('/', async (request, reply) => request.id === '1' ? reply.sse(['text']) : { text: 'text' })
    app.get('/', async (_request, reply) => {
      const stream = reply.sse()
      expect(await stream.send('text')).type.toBe<boolean>()
      stream.close()
    })
  })

  test('reply.sse() refuses other arguments', () => {
    expect(reply.sse).type.not.toBeCallableWith(1)
    expect(reply.sse).type.not.toBeCallableWith([1])
    expect(reply.sse).type.not.toBeCallableWith({ end: 'text' })
    expect(reply.sse).type.not.toBeCallableWith({ id: '1', data: 1 })
    expect(reply.sse).type.not.toBeCallableWith({ heartbeat: 'never' })
    expect(reply.sse).type.not.toBeCallableWith({ interval: 1 })
    expect(reply.sse).type.not.toBeCallableWith({ maxStreams: 1 })
    expect(reply.sse).type.not.toBeCallableWith(['text'], { heartbeat: true })
    expect<SSEStreamOptions>().type.not.toHaveProperty('clientId')
  })
})

test('a stream has typed, read-only properties', () => {
  expect<SSEStream['id']>().type.toBe<string>()
  expect<SSEStream['clientId']>().type.toBe<string>()
  expect<SSEStream['lastEventId']>().type.toBe<string | null>()
  expect<SSEStream['signal']>().type.toBe<AbortSignal>()
  expect<SSEStream['closed']>().type.toBe<boolean>()
  expect<SSEStream['closeReason']>().type.toBe<CloseReason | null>()
  expect<SSEStream['close']>().type.toBe<() => void>()
  expect<SSEStream['send']>().type.toBe<(payload: SSEInput) => Promise<boolean>>()
  const stream = {} as SSEStream
  // @ts-expect-error Cannot assign to 'closed' because it is a read-only property
  stream.closed = true
})

test('a payload has the fields of the standard, and no others', () => {
  expect<SSEPayload>().type.toBeAssignableFrom<{}>()
  expect<SSEPayload>().type.toBeAssignableFrom<{ id: 0, event: 'a', comments: ['a'], data: null, retry: 0 }>()
  expect<SSEPayload<number>['data']>().type.toBe<number | undefined>()
  expect<SSEPayload>().type.not.toBeAssignableFrom<{ id: Date }>()
  expect<SSEPayload>().type.not.toBeAssignableFrom<{ retry: string }>()
  expect<SSEPayload>().type.not.toHaveProperty('type')
})

test('app.sse has a read-only map of the open streams', () => {
  expect(app.sse).type.toBe<SSE>()
  expect(app.sse.streams).type.toBe<ReadonlyMap<string, SSEStream>>()
  expect(app.sse.stats()).type.toBe<SSEStats>()
  expect(app.sse.stats().active).type.toBe<number>()
  expect(app.sse.stats().closed).type.toBe<Record<CloseReason, number>>()
  expect(app.sse.streams).type.not.toHaveProperty('delete')
  // @ts-expect-error Cannot assign to 'sse' because it is a read-only property
  app.sse = {} as SSE
})
