import assert from 'node:assert/strict'
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import { test, type Test } from 'tap'
import { STATS } from '../lib/stats.js'
import { Facade } from '../lib/pubsub/facade.js'
import sse, { type SSEPluginOptions } from '../lib/index.js'
import { sseMetrics } from '../lib/metrics.js'
import { injectSSE } from '../lib/testing.js'
import { listen, makeApp, open, until } from './helpers/app.js'

const TYPES = {
  sse_streams_open: 'gauge',
  sse_streams_opened_total: 'counter',
  sse_streams_resumed_total: 'counter',
  sse_streams_closed_total: 'counter',
  sse_streams_rejected_total: 'counter',
  sse_events_sent_total: 'counter',
  sse_events_dropped_total: 'counter',
  sse_events_replayed_total: 'counter',
  sse_ticks_skipped_total: 'counter',
  sse_gaps_total: 'counter',
  sse_bytes_sent_total: 'counter',
  sse_runs_open: 'gauge',
  sse_run_readers: 'gauge',
  sse_runs_ended_total: 'counter',
  sse_delivery_lag_seconds: 'histogram',
  sse_stream_duration_seconds: 'histogram'
}
const REASONS = ['client', 'server', 'drain', 'overflow', 'idle', 'lifetime', 'error'] as const
/** Exceeds what `inject` buffers unread, so that one event makes the client slow. */
const BIG = 'x'.repeat(100_000)

/** Metrics of the whole process, which have no label `route`. */
const OF_RUNS = ['sse_runs_open', 'sse_run_readers', 'sse_runs_ended_total']

const NO_RUNS = { sse_runs_open: 0, sse_run_readers: 0, 'sse_runs_ended_total done': 0, 'sse_runs_ended_total failed': 0, 'sse_runs_ended_total stopped': 0 }

/** Samples of one route, by name, `name reason` or `name le`. */
type Samples = Record<string, number>

const LABEL = /([a-z_]+)="((?:[^"\\\n]|\\[\\"n])*)"/g
const LINE = new RegExp('^(?:# HELP (?<helped>[a-z_]+) (?<help>[^\\\\]+)|# TYPE (?<typed>[a-z_]+) (?<type>counter|gauge|histogram)|' +
  `(?<name>[a-z_]+)(?:\\{(?<labels>${LABEL.source}(?:,${LABEL.source})*)\\})? (?<value>[-+.e\\d]+))$`)

/** Parses the text format of Prometheus as strictly as `promtool check metrics`: anything that it reports is an error. */
function parseMetrics (text: string): { types: Record<string, string>, routes: Record<string, Samples>, runs: Samples } {
  const [types, routes]: [Record<string, string>, Record<string, Samples>] = [{}, {}]
  const runs: Samples = {}
  let family = ''
  assert.match(text, /\n$/)
  for (const line of text.split('\n').filter(Boolean)) {
    const { helped, typed, type = '', name = '', labels, value } = LINE.exec(line)?.groups ?? assert.fail(line)
    if (helped !== undefined) {
      assert.ok(!(helped in types), `one HELP: ${line}`)
      family = helped
    } else if (typed !== undefined) {
      assert.ok(typed === family && !(typed in types), `one TYPE, after HELP: ${line}`)
      assert.equal(typed.endsWith('_total'), type === 'counter', `_total is for counters: ${line}`)
      assert.doesNotMatch(typed, /_(ms|milliseconds?|kb|kilobytes|counter|gauge|histogram|count|sum|bucket)(_|$)/, 'base units, no types')
      types[typed] = type
    } else {
      const suffixes = types[family] === 'histogram' ? ['_bucket', '_sum', '_count'] : ['']
      assert.ok(suffixes.some((suffix) => name === family + suffix), `with its family: ${line}`)
      const given = [...(labels ?? '').matchAll(LABEL)].map(([, name, value]) => [name, value])
      const { route = OF_RUNS.includes(name) ? null : assert.fail(`a route: ${line}`), reason = '', state = '', le = '', ...others } = Object.fromEntries(given)
      assert.deepEqual(others, {})
      const [samples, key] = [route === null ? runs : routes[route] ??= {}, `${name} ${reason}${state}${le}`.trim()]
      assert.ok(!(key in samples), `no sample twice: ${line}`)
      samples[key] = Number(value)
    }
  }
  for (const samples of Object.values(routes)) {
    for (const key of Object.keys(samples).filter((key) => /_seconds_count/.test(key))) {
      const buckets = Object.entries(samples).filter(([other]) => other.startsWith(key.replace('_count', '_bucket'))).map(([, count]) => count)
      assert.deepEqual(buckets, [...buckets].sort((a, b) => a - b), 'buckets add up')
      assert.equal(buckets.at(-1), samples[key])
    }
  }
  return { types, routes, runs }
}

/** Creates an app with the plugin and its metrics, and a function that reads them. */
async function createMeasuredApp (t: Test, options: SSEPluginOptions = {}) {
  const app = await makeApp(t, options)
  const register = new Registry()
  sseMetrics(app, { register })
  return { app, scrape: async () => parseMetrics(await register.metrics()) }
}

/** Returns the sum of one metric over all routes and reasons, or for one reason. */
function sum (routes: Record<string, Samples>, name: string): number {
  return Object.values(routes).flatMap((samples) => Object.entries(samples)).reduce((total, [key, value]) => key === name || key.split(' ')[0] === name ? total + value : total, 0)
}

/** Asserts that the metrics of all routes have the values of `app.sse.stats()`. */
function assertSameAsStats (t: Test, app: FastifyInstance, routes: Record<string, Samples>): void {
  const { closed, runs: _, ...stats } = app.sse.stats()
  t.strictSame({
    active: sum(routes, 'sse_streams_open'),
    opened: sum(routes, 'sse_streams_opened_total'),
    rejected: sum(routes, 'sse_streams_rejected_total'),
    resumed: sum(routes, 'sse_streams_resumed_total'),
    sent: sum(routes, 'sse_events_sent_total'),
    dropped: sum(routes, 'sse_events_dropped_total'),
    replayed: sum(routes, 'sse_events_replayed_total'),
    skipped: sum(routes, 'sse_ticks_skipped_total'),
    gaps: sum(routes, 'sse_gaps_total'),
    bytes: sum(routes, 'sse_bytes_sent_total')
  }, stats)
  for (const reason of REASONS) t.equal(sum(routes, `sse_streams_closed_total ${reason}`), closed[reason], reason)
}

/** Returns the lag recorder of each route, null if the lag is not measured. */
function lagRecorders (app: FastifyInstance): unknown[] {
  return app.sse instanceof Facade ? Array.from(app.sse[STATS].entries(), ([, { lag }]) => lag) : []
}

test('each metric has its name and type, in text that Prometheus can read', async (t) => {
  const { app, scrape } = await createMeasuredApp(t)
  t.strictSame(await scrape(), { types: TYPES, routes: {}, runs: NO_RUNS }, 'before any stream was opened')
  app.sseRoute('/:page(^\\d{1,3}$)', { topics: ['news'] })
  const stream = await injectSSE(app, { url: '/7' })
  await app.sse.publish('news', 'x')
  await stream.next()
  const { types, routes } = await scrape()
  t.strictSame(types, TYPES)
  const [[route = '', samples = {}] = []] = Object.entries(routes)
  t.equal(route, '/:page(^\\\\d{1,3}$)')
  t.match(samples, { sse_streams_open: 1, sse_streams_opened_total: 1, sse_events_sent_total: 1, sse_delivery_lag_seconds_count: 1 })
  for (const reason of REASONS) t.equal(samples[`sse_streams_closed_total ${reason}`], 0, 'starts at 0, so that its rate is known from the beginning')
  for (const reason of ['maxStreams', 'maxStreamsPerClient']) t.equal(samples[`sse_streams_rejected_total ${reason}`], 0)
  const ofRoutes = Object.keys(TYPES).filter((name) => !OF_RUNS.includes(name))
  const metricsOf = (samples: Samples) => ofRoutes.filter((name) => Object.keys(samples).some((key) => key.startsWith(name)))
  t.strictSame(metricsOf(samples), ofRoutes.slice(0, -1))
  assertSameAsStats(t, app, routes)
  stream.close()
  await until('the stream to be closed', () => app.sse.streams.size === 0)
  t.strictSame(metricsOf((await scrape()).routes[route] ?? {}), ofRoutes)
})

test('the label `route` of metrics is the URL pattern, never the URL', async (t) => {
  const { app, scrape } = await createMeasuredApp(t)
  app.register(async (scope) => {
    scope.sseRoute({ method: ['GET', 'POST'], url: '/stocks/:symbol', source: () => ['x'] })
    scope.get('/files/*', (_request, reply) => reply.sse(['x']))
  }, { prefix: '/v1' })
  app.setNotFoundHandler((_request, reply) => reply.sse(['x']))
  for (const url of ['/v1/stocks/ACME?token=secret', '/v1/stocks/IBM', '/v1/files/a/b', '/nowhere/at/all?x=1', '/v1/nowhere']) await app.inject(url)
  await app.inject({ method: 'POST', url: '/v1/stocks/ACME' })
  await app.inject({ method: 'HEAD', url: '/v1/stocks/ACME' })
  const { routes } = await scrape()
  const opened = Object.entries(routes).map(([route, samples]) => [route, samples.sse_streams_opened_total])
  t.strictSame(Object.fromEntries(opened), { '/v1/stocks/:symbol': 3, '/v1/files/*': 1, '': 2 })
  assertSameAsStats(t, app, routes)
})

test('metrics count open streams, and closed streams by their reason', async (t) => {
  const { app, scrape } = await createMeasuredApp(t, { drain: { spread: 0 } })
  const onConnect = () => {}
  app.sseRoute('/client', { onConnect })
  app.sseRoute('/server', { source: () => ['x'] })
  app.sseRoute('/drain', { onConnect })
  app.sseRoute('/overflow', { maxBufferedBytes: 1_000, onConnect: (_request, stream) => { for (let i = 0; i < 5; i++) stream.send(BIG).catch(t.error) } })
  app.sseRoute('/idle', { idleTimeout: 5, onConnect })
  app.sseRoute('/lifetime', { maxLifetime: 5, onConnect })
  app.sseRoute('/error', { source: () => { throw new Error('x') }, onError: () => {} })
  const port = await listen(app)
  await app.inject({ url: '/overflow', payloadAsStream: true })
  const [client] = await Promise.all(REASONS.filter((reason) => reason !== 'overflow').map((reason) => open(t, port, `/${reason}`)))
  await until('two streams to remain', () => app.sse.streams.size === 2)
  const before = (await scrape()).routes
  for (const reason of REASONS) {
    const isOpen = Number(reason === 'client' || reason === 'drain')
    t.match(before[`/${reason}`], { sse_streams_open: isOpen, sse_streams_opened_total: 1, [`sse_streams_closed_total ${reason}`]: 1 - isOpen })
  }
  client?.disconnect()
  await until('the stream to be closed', () => app.sse.streams.size === 1)
  await app.close()
  const after = (await scrape()).routes
  for (const route of REASONS) {
    const closed = Object.fromEntries(REASONS.map((reason) => [`sse_streams_closed_total ${reason}`, Number(reason === route)]))
    t.match(after[`/${route}`], { sse_streams_open: 0, sse_streams_opened_total: 1, ...closed, [`sse_stream_duration_seconds_count ${route}`]: 1 }, route)
  }
  assertSameAsStats(t, app, after)
})

test('metrics count refused requests by the limit that refused them', async (t) => {
  const { app, scrape } = await createMeasuredApp(t, { maxStreams: 2, maxStreamsPerClient: { max: 1, key: ({ headers }) => String(headers['x-user']) } })
  app.sseRoute('/a/:id', { onConnect: () => {} })
  app.get('/b', (_request, reply) => { reply.sse() })
  const statuses = []
  for (const [url, user] of [['/a/1', 'ann'], ['/b', 'ann'], ['/b', 'ann'], ['/b', 'bob'], ['/a/2', 'cid']]) {
    const response = await app.inject({ url, headers: { 'x-user': user }, payloadAsStream: true })
    statuses.push(response.statusCode)
  }
  t.strictSame(statuses, [200, 429, 429, 200, 503])
  const { routes } = await scrape()
  const refused = (route: string) => ['maxStreams', 'maxStreamsPerClient'].map((reason) => routes[route]?.[`sse_streams_rejected_total ${reason}`])
  t.strictSame([refused('/a/:id'), refused('/b')], [[1, 0], [0, 2]])
  assertSameAsStats(t, app, routes)
})

test('metrics count sent, replayed and dropped events, and gaps', async (t) => {
  const { app, scrape } = await createMeasuredApp(t, { history: { size: 2 } })
  app.sseRoute('/log', { topics: ['log'] })
  app.sseRoute('/slow', { topics: ['burst'], overflow: 'drop', maxBufferedBytes: 1_000 })
  const ids: string[] = []
  for (const data of ['1', '2', '3']) ids.push(await app.sse.publish('log', data))
  for (const [id, events] of [[ids[0], '2 3'], ['1-0', 'gap 2 3']]) {
    const stream = await injectSSE(app, { url: '/log', headers: { 'last-event-id': id } })
    for (const expected of String(events).split(' ')) {
      const { event, data } = await stream.next() ?? {}
      t.equal(event === 'gap' ? event : data, expected)
    }
  }
  const slow = await injectSSE(app, { url: '/slow' })
  await Promise.all(Array.from({ length: 50 }, () => app.sse.publish('burst', BIG)))
  let sent = 0
  for await (const { event } of slow) {
    if (event === 'gap') break
    sent++
  }
  const { routes } = await scrape()
  t.match(routes['/log'], { sse_events_sent_total: 4, sse_events_replayed_total: 4, sse_events_dropped_total: 0, sse_gaps_total: 1 })
  t.match(routes['/slow'], { sse_events_sent_total: sent, sse_events_replayed_total: 0, sse_events_dropped_total: 50 - sent, sse_gaps_total: 1 })
  t.ok(sent > 0 && sent < 50)
  assertSameAsStats(t, app, routes)
})

test('the metric of bytes has the number that a client receives', async (t) => {
  const { app, scrape } = await createMeasuredApp(t, { retry: 1_000, heartbeat: 5 })
  app.sseRoute('/source', { source: () => ['€', { comments: 'a', data: { b: 1 } }, BIG] })
  app.sseRoute('/topics', { topics: ['news'] })
  app.setNotFoundHandler((_request, reply) => reply.sse(['x']))
  const bodies: Record<string, string> = { '/source': (await app.inject('/source')).body, '': (await app.inject('/nowhere')).body }
  const response = await app.inject({ url: '/topics', payloadAsStream: true })
  let body = ''
  const reading = response.stream().setEncoding('utf8').on('data', (text: string) => { body += text })
  await app.sse.publish('news', { event: 'big', data: BIG })
  await app.sse.broadcast('€')
  await until('a heartbeat', () => /^data: €\n\n:\n/m.test(body))
  for (const stream of app.sse.streams.values()) stream.close()
  await once(reading, 'end')
  t.ok(/^retry: 1000\nid: \d+-\d+\n\n/.test(body), 'including the opening lines')
  bodies['/topics'] = body
  const { routes } = await scrape()
  for (const [route, body] of Object.entries(bodies)) t.equal(routes[route]?.sse_bytes_sent_total, Buffer.byteLength(body), route)
  assertSameAsStats(t, app, routes)
})

test('the lag', async (t) => {
  t.test('the delivery lag is observed for each write of published events, and not for other events of a route', async (t) => {
    const { app, scrape } = await createMeasuredApp(t)
    let connected = 0
    app.sseRoute('/topics', {
      topics: ['news'],
      onConnect: async (_request, stream) => {
        await stream.send('hello')
        connected++
      }
    })
    app.sseRoute('/own', { source: () => ['x'] })
    await app.inject('/own')
    const streams = [await injectSSE(app, { url: '/topics' }), await injectSSE(app, { url: '/topics' })]
    const all = async (data: string) => { for (const stream of streams) t.match(await stream.next(), { data }) }
    const count = async () => (await scrape()).routes['/topics']?.sse_delivery_lag_seconds_count
    await all('hello')
    // published before, so the events are replayed and have no lag
    await until('both onConnect to finish', () => connected === 2)
    t.equal(await count(), undefined)
    for (const [i, writes] of [2, 4, 6].entries()) {
      await app.sse.publish('news', String(i))
      await all(String(i))
      t.equal(await count(), writes)
    }
    await Promise.all([app.sse.publish('news', 'a'), app.sse.broadcast('b')])
    await all('a')
    await all('b')
    t.equal(await count(), 8, 'events published within a tick leave in one write')
    for (const stream of app.sse.streams.values()) t.equal(await stream.send('own'), true)
    await all('own')
    const { routes } = await scrape()
    t.match(routes['/topics'], { sse_delivery_lag_seconds_count: 8 })
    t.notOk(Object.keys(routes['/own'] ?? {}).some((key) => key.startsWith('sse_delivery_lag')))
  })

  t.test('the delivery lag is the time for which the oldest event waited for a slow client', async (t) => {
    const { app, scrape } = await createMeasuredApp(t, { maxBufferedBytes: 1e9 })
    app.sseRoute('/:client', { topics: ['news'] })
    const lag = async (key: string) => (await scrape()).routes['/:client']?.[`sse_delivery_lag_seconds_${key}`] ?? NaN
    const client = await open(t, await listen(app), '/stalled')
    client.pause()
    const [stream] = app.sse.streams.values()
    while (stream?.request.raw.socket.writableNeedDrain === false) {
      await app.sse.publish('news', 'x'.repeat(10_000))
      await wait(0)
    }
    const [quick, count, sum, start] = [await lag('bucket 0.25'), await lag('count'), await lag('sum'), performance.now()]
    await app.sse.publish('news', 'oldest')
    await wait(300)
    await app.sse.publish('news', 'newest')
    client.resume()
    await client.until('data: newest')
    t.equal(await lag('count'), count + 1)
    t.equal(await lag('bucket 0.25'), quick, 'the event that waited is in a higher bucket')
    const seconds = await lag('sum') - sum
    t.ok(seconds >= 0.29 && seconds <= (performance.now() - start) / 1_000, `${seconds} s`)
  })

  t.test('the delivery lag of a large event that is written at once is observed, in each registry', async (t) => {
    const { app, scrape } = await createMeasuredApp(t)
    const second = new Registry()
    sseMetrics(app, { register: second })
    app.sseRoute('/large', { topics: ['a'] })
    const stream = await injectSSE(app, { url: '/large' })
    await app.sse.publish('a', 'x'.repeat(20_000))
    await stream.next()
    for (const { routes } of [await scrape(), parseMetrics(await second.metrics())]) {
      t.match(routes['/large'], { 'sse_delivery_lag_seconds_bucket 0.25': 1, sse_delivery_lag_seconds_count: 1 })
    }
    stream.close()
  })

  t.test('the delivery lag of an event that leaves together with a heartbeat is not longer', async (t) => {
    const { app, scrape } = await createMeasuredApp(t, { heartbeat: 200 })
    app.sseRoute('/beats', { topics: ['a'] })
    app.sseRoute('/feed', { interval: 200, payload: () => { app.sse.publish('a', 'x').catch(t.error) } })
    const streams = [await injectSSE(app, { url: '/beats' }), await injectSSE(app, { url: '/feed' })]
    for (let i = 0; i < 4; i++) await streams[0]?.next()
    const { routes } = await scrape()
    t.equal(routes['/beats']?.['sse_delivery_lag_seconds_bucket 0.1'], routes['/beats']?.sse_delivery_lag_seconds_count)
    for (const stream of streams) stream.close()
  })
})

test('sseMetrics() that is called late includes everything counted before', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/topics', { topics: ['news'] })
  app.sseRoute('/source', { source: () => ['x'] })
  await app.inject('/source')
  const stream = await injectSSE(app, { url: '/topics' })
  await app.sse.publish('news', 'before')
  await stream.next()
  t.strictSame(lagRecorders(app), [null, null], 'the lag is not measured without sseMetrics()')
  const register = new Registry()
  sseMetrics(app, { register })
  assertSameAsStats(t, app, parseMetrics(await register.metrics()).routes)
  await app.sse.publish('news', 'after')
  await stream.next()
  const { routes } = parseMetrics(await register.metrics())
  t.match(routes['/topics'], { sse_events_sent_total: 2, sse_delivery_lag_seconds_count: 1 })
  t.match(routes['/source'], { sse_streams_opened_total: 1, sse_streams_open: 0 })
})

test('each app can have its own registry', async (t) => {
  const [one, other] = [await createMeasuredApp(t), await createMeasuredApp(t)]
  for (const { app } of [one, other]) app.sseRoute('/', { source: () => ['x'] })
  for (const { app } of [one, one, other]) await app.inject('/')
  t.match((await one.scrape()).routes, { '/': { sse_streams_opened_total: 2 } })
  t.match((await other.scrape()).routes, { '/': { sse_streams_opened_total: 1 } })
})

test('a registry that has these metrics already is refused, and its metrics continue', async (t) => {
  const app = await makeApp(t)
  const second = await makeApp(t)
  for (const each of [app, second]) each.sseRoute('/', { topics: ['news'] })
  const register = new Registry()
  sseMetrics(app, { register })
  const refused = { code: 'SSE_ERR_OPTION', message: /"labels" takes other values than .* or another "prefix"/ }
  t.throws(() => sseMetrics(second, { register }), refused)
  t.throws(() => sseMetrics(app, { register }), refused)
  for (const each of [app, second]) {
    const stream = await injectSSE(each, { url: '/' })
    await each.sse.publish('news', 'x')
    await stream.next()
  }
  t.strictSame(lagRecorders(second), [null])
  t.match(parseMetrics(await register.metrics()).routes['/'], { sse_streams_open: 1, sse_events_sent_total: 1, sse_delivery_lag_seconds_count: 1 })
})

test('the duration of streams is observed by close reason', async (t) => {
  const { app, scrape } = await createMeasuredApp(t)
  app.sseRoute('/short', { source: () => ['x'] })
  app.sseRoute('/long', { source: async function * () { await wait(300) } })
  for (const path of ['/short', '/long', '/short']) await app.inject(path)
  const { routes } = await scrape()
  t.match(routes['/short'], { 'sse_stream_duration_seconds_count server': 2 })
  t.match(routes['/long'], { 'sse_stream_duration_seconds_count server': 1, 'sse_stream_duration_seconds_bucket server0.1': 0, 'sse_stream_duration_seconds_bucket server+Inf': 1 })
  const seconds = routes['/long']?.['sse_stream_duration_seconds_sum server'] ?? NaN
  t.ok(seconds >= 0.29 && seconds < 10, `${seconds} s`)
})

test('metrics count skipped ticks and resumed streams', async (t) => {
  const { app, scrape } = await createMeasuredApp(t)
  app.sseRoute('/slow', { interval: 5, payload: async () => { await wait(30); return 'x' } })
  app.sseRoute('/log', { topics: ['a'] })
  const slow = await injectSSE(app, { url: '/slow' })
  for (let i = 0; i < 3; i++) await slow.next()
  slow.close()
  const id = await app.sse.publish('a', 'x')
  for (const headers of [{}, { 'last-event-id': id }]) (await injectSSE(app, { url: '/log', headers })).close()
  await until('all streams to be closed', () => app.sse.streams.size === 0)
  const { routes } = await scrape()
  t.ok(Number(routes['/slow']?.sse_ticks_skipped_total) >= 3)
  t.match(routes['/log'], { sse_ticks_skipped_total: 0, sse_streams_resumed_total: 1 })
  assertSameAsStats(t, app, routes)
})

test('sseMetrics() without the plugin throws SSE_ERR_NOT_REGISTERED', async (t) => {
  const register = new Registry()
  const message = /^sseMetrics\(\) needs the plugin/
  t.throws(() => sseMetrics(Fastify(), { register }), { code: 'SSE_ERR_NOT_REGISTERED', message })
  const early = Fastify()
  early.register(sse)
  t.throws(() => sseMetrics(early, { register }), { code: 'SSE_ERR_NOT_REGISTERED', message }, 'the plugin is not loaded yet')
  t.equal(await register.metrics(), '\n', 'no metric was registered')
  await early
  sseMetrics(early, { register })
  t.strictSame(parseMetrics(await register.metrics()).types, TYPES)
  await early.close()
})

test('the metrics of runs count runs by state, and the streams that read them', async (t) => {
  const { app, scrape } = await createMeasuredApp(t)
  app.sseRoute<{ Params: { key: string } }>({ url: '/runs/:key', resume: ({ params }) => params.key })
  const pending = async function * ({ signal }: { signal: AbortSignal }) {
    yield 'a'
    await once(signal, 'abort')
  }
  await app.sse.start('stopped', pending)
  await app.sse.start('open', pending)
  await app.sse.start('done', ['a'])
  await app.sse.start('failed', () => { throw new Error('none') }, { onError: () => null })
  const streams = await Promise.all(['stopped', 'open', 'open'].map((key) => injectSSE(app, `/runs/${key}`)))
  await app.sse.stop('stopped')
  await until('the stopped run to be read', async () => (await scrape()).runs.sse_run_readers === 2)
  t.strictSame((await scrape()).runs, { sse_runs_open: 1, sse_run_readers: 2, 'sse_runs_ended_total done': 1, 'sse_runs_ended_total failed': 1, 'sse_runs_ended_total stopped': 1 })
  t.strictSame(app.sse.stats().runs, { open: 1, readers: 2, done: 1, failed: 1, stopped: 1 })
  for (const stream of streams) stream.close()
  await until('no stream to read a run', () => app.sse.stats().runs.readers === 0)
})
