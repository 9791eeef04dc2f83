import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyBaseLogger, type FastifyInstance } from 'fastify'
import { type OpenMetricsContentType, type PrometheusContentType, Registry, register as globalRegister } from 'prom-client'
import { describe, expect, test } from 'tstyche'
import type {
  Audience, Backplane, BackplaneListener, BackplaneFactory, Control, Gap, HistorySettings, Page, Publication, PublishedEvent, Reader, StartPositions, TopicHistory, SSE, SSEPayload, SSEPluginOptions, SSEPublication, SSEPublishOptions, SSEStats, SSEStream, Target
} from '../../lib/index.js'
import sse from '../../lib/index.js'
import { sseMetrics, type SSEMetricsOptions } from '../../lib/metrics.js'

const app = Fastify()

describe('app.sse', () => {
  test('app.sse publishes every payload that a stream can send, and resolves to the id', () => {
    expect(app.sse.publish<string>).type.toBe<(topics: string, payload: SSEPublication, options?: SSEPublishOptions) => Promise<string>>()
    expect(app.sse.broadcast).type.toBe<(payload: SSEPublication) => Promise<string>>()
    expect(app.sse.sendTo).type.toBe<(clientId: string, payload: SSEPublication) => Promise<string>>()
    expect(app.sse.publish('order:42', 'shipped')).type.toBe<Promise<string>>()
    expect(app.sse.publish('order:42', { event: 'shipped', data: { carrier: 'DHL' }, retry: 1_000 })).type.toBe<Promise<string>>()
    expect(app.sse.broadcast({ comments: ['a'], data: 1 })).type.toBe<Promise<string>>()
    expect(app.sse.sendTo('ann', 'hello')).type.toBe<Promise<string>>()
  })

  test('app.sse refuses to publish other values', () => {
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', { id: 1, data: 'text' })
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', { id: '1' } as SSEPayload)
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', null)
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', 1)
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', true)
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', ['text'])
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', () => 'text')
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', { event: 1 })
    expect(app.sse.publish).type.not.toBeCallableWith('order:42', { type: 'shipped' })
    expect(app.sse.broadcast).type.not.toBeCallableWith(['text'])
    expect(app.sse.broadcast).type.not.toBeCallableWith()
    expect(app.sse.sendTo).type.not.toBeCallableWith('ann', 1)
    expect(app.sse.sendTo).type.not.toBeCallableWith('ann')
    expect(app.sse.publish).type.not.toBeCallableWith('order:42')
    expect(app.sse.publish).type.not.toBeCallableWith(42, 'text')
    expect(app.sse.publish).type.not.toBeCallableWith([42], 'text')
    expect(app.sse.sendTo).type.not.toBeCallableWith(42, 'text')
  })

  test('app.sse.stats() has plain numbers', () => {
    const { closed, runs, ...numbers } = app.sse.stats()
    expect({ ...runs }).type.toBeAssignableTo<Record<'open' | 'readers' | 'done' | 'failed' | 'stopped', number>>()
    expect(numbers).type.toBe<Record<'active' | 'opened' | 'rejected' | 'resumed' | 'sent' | 'dropped' | 'replayed' | 'skipped' | 'gaps' | 'bytes', number>>()
    expect(closed).type.toBe<Record<'client' | 'server' | 'drain' | 'overflow' | 'stalled' | 'expired' | 'idle' | 'lifetime' | 'error', number>>()
    expect<keyof SSE>().type.toBe<'publish' | 'broadcast' | 'sendTo' | 'close' | 'unsubscribe' | 'lastEventId' | 'start' | 'stop' | 'run' | 'streams' | 'stats'>()
    expect<SSEStats>().type.not.toHaveProperty('lag')
  })
})

describe('topics', () => {
  test('topics alone make a valid route', () => {
    app.sseRoute({ url: '/', topics: ['news'] })
    app.sseRoute('/', { topics: [] })
    app.sseRoute('/', { topics: () => ['news'] })
    expect(app.sseRoute('/', { topics: ['news'] })).type.toBe<FastifyInstance>()
  })

  test('topics can be read-only, and a promise', () => {
    const topics = ['news', 'sport'] as const
    const names: readonly string[] = topics
    app.sseRoute('/', { topics })
    app.sseRoute('/', { topics: names })
    app.sseRoute('/', { topics: () => topics })
    app.sseRoute('/', { topics: async () => names })
    app.sseRoute('/', { topics: async (request) => request.id === '1' ? topics : [] })
    app.sseRoute('/', { topics: (request) => request.id === '1' ? names : Promise.resolve(['news']) })
  })

  test('topics receives the request, typed by the route, and `this`', () => {
    app.sseRoute<{ Params: { id: string }, Querystring: { more?: string[] } }>({
      url: '/orders/:id',
      topics (request) {
        expect(this).type.toBe<FastifyInstance>()
        expect(request.params).type.toBe<{ id: string }>()
        expect(request.query).type.toBe<{ more?: string[] }>()
        return [`order:${request.params.id}`]
      }
    })
    const typed = Fastify().withTypeProvider<TypeBoxTypeProvider>()
    typed.sseRoute({
      url: '/orders/:id',
      schema: { params: Type.Object({ id: Type.Integer() }) },
      events: { shipped: Type.Object({ carrier: Type.String() }) },
      topics: async (request) => {
        expect(request.params).type.toBe<{ id: number }>()
        return [`order:${request.params.id}`]
      },
      onConnect: (request, stream) => {
        expect(request.params.id).type.toBe<number>()
        expect(stream.send).type.toBeCallableWith({ event: 'shipped', data: { carrier: 'DHL' } })
        expect(stream.send).type.not.toBeCallableWith({ event: 'shipped', data: { carrier: 1 } })
      }
    })
  })

  test('topics refuses other values', () => {
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: 'news' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: [1] })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: new Set(['news']) })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: true })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: () => 'news' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: async () => 'news' })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: () => undefined })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: () => [42] })
    expect(app.register).type.not.toBeCallableWith(sse, { topics: ['news'] })
  })
})

test('subscribe() and unsubscribe() of a stream accept names of topics', () => {
  const stream = {} as SSEStream
  expect(stream.subscribe).type.toBe<(...topics: Target[]) => void>()
  expect(stream.unsubscribe).type.toBe<(...topics: Target[]) => void>()
  expect(stream.subscribe).type.toBeCallableWith()
  expect(stream.subscribe).type.toBeCallableWith('news', 'sport')
  expect(stream.subscribe).type.not.toBeCallableWith(['news'])
  expect(stream.subscribe).type.not.toBeCallableWith(42)
  app.get('/', (_request, reply) => { reply.sse().subscribe('news') })
})

describe('the options of the log', () => {
  test('history has a size and an age', () => {
    expect(app.register).type.toBeCallableWith(sse, { history: false })
    expect(app.register).type.toBeCallableWith(sse, { history: {} })
    expect(app.register).type.toBeCallableWith(sse, { history: { size: 10 } })
    expect(app.register).type.toBeCallableWith(sse, { history: { maxAge: 60_000 } })
    expect(app.register).type.not.toBeCallableWith(sse, { history: true })
    expect(app.register).type.not.toBeCallableWith(sse, { history: 10 })
    expect(app.register).type.not.toBeCallableWith(sse, { history: { size: '10' } })
    expect(app.register).type.not.toBeCallableWith(sse, { history: { length: 10 } })
    expect(app.sseRoute).type.not.toBeCallableWith({ url: '/', topics: [], history: false })
  })

  test('backplane is a function of the history settings that returns a backplane', () => {
    expect<SSEPluginOptions['backplane']>().type.toBe<BackplaneFactory | undefined>()
    expect<BackplaneFactory>().type.toBe<(history: HistorySettings, log: FastifyBaseLogger) => Backplane>()
    expect<HistorySettings>().type.toBe<{ readonly size: number, readonly maxAge: number, readonly maxBytes: number }>()
    class Own implements Backplane {
      newest = '1-0'
      oldestId = null
      async open ({ onEvent, onControl }: BackplaneListener) {
        onEvent({ id: '1-0', to: 'all', names: [], except: null, limits: null, frame: 'data: a\n\n', text: 'id: 1-0\ndata: a\n\n', time: 0 })
        onControl({ action: 'close', clientId: 'ann', topic: '' })
      }

      async publish ({ to, names, frame }: Publication) { return `${to}${names}${frame}` }
      async control ({ action }: Control) { return action }
      async read (after: string, reader: Reader, limit: number): Promise<Page> { return { gap: null, events: [], position: after } }
      rewind (topics: ReadonlySet<string>, count: number): StartPositions { return { topics: new Map(), others: '1-0' } }
      async close () {}
    }
    expect(app.register).type.toBeCallableWith(sse, { backplane: () => new Own() })
    expect(app.register).type.toBeCallableWith(sse, { backplane: ({ size, maxAge }: HistorySettings) => Object.assign(new Own(), { size, maxAge }) })
    expect(app.register).type.not.toBeCallableWith(sse, { backplane: new Own() })
    expect(app.register).type.not.toBeCallableWith(sse, { backplane: async () => new Own() })
    expect(app.register).type.not.toBeCallableWith(sse, { backplane: () => ({ publish: async () => '1-0' }) })
  })

  test('a backplane has typed events, pages and gaps', () => {
    expect<Audience>().type.toBe<'topic' | 'client' | 'all'>()
    expect<PublishedEvent['to']>().type.toBe<Audience>()
    expect<PublishedEvent>().type.toBeAssignableTo<Publication>()
    expect<PublishedEvent['limits']>().type.toBe<ReadonlyArray<TopicHistory | null> | null>()
    expect<BackplaneListener>().type.toBe<{ readonly onEvent: (event: PublishedEvent) => void, readonly onControl: (control: Control) => void, readonly onGap: (gap: Gap) => void }>()
    expect<Gap>().type.toBe<{ readonly oldestId: string | null, readonly lastMissedId: string }>()
    expect<Page>().type.toBe<{ readonly gap: Gap | null, readonly events: readonly PublishedEvent[], readonly position: string }>()
    expect<ReturnType<Backplane['read']>>().type.toBe<Page | Promise<Page>>()
    expect<ReturnType<Backplane['publish']>>().type.toBe<string | Promise<string>>()
  })
})

test('sseMetrics accepts an app and a registry of prom-client', () => {
  expect<SSEMetricsOptions['register']>().type.toBe<Registry<PrometheusContentType> | Registry<OpenMetricsContentType>>()
  expect(sseMetrics).type.toBeCallableWith(app, { register: new Registry(), prefix: 'shop_', labels: { app: 'shop' } })
  expect(sseMetrics).type.not.toBeCallableWith(app, { prefix: 'shop_' })
  expect(sseMetrics(app, { register: new Registry() })).type.toBe<void>()
  expect(sseMetrics).type.toBeCallableWith(app, { register: globalRegister })
  expect(sseMetrics).type.toBeCallableWith(Fastify().withTypeProvider<TypeBoxTypeProvider>(), { register: globalRegister })
  expect(sseMetrics).type.not.toBeCallableWith(app)
  expect(sseMetrics).type.not.toBeCallableWith(app, {})
  expect(sseMetrics).type.not.toBeCallableWith(app, { register: true })
  expect(sseMetrics).type.not.toBeCallableWith(app, new Registry())
  expect(sseMetrics).type.not.toBeCallableWith({}, { register: globalRegister })
})
