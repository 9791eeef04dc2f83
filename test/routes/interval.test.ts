import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type { SSEStream } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'

/** Exceeds the high water mark of a socket, so that one event makes a client slow. */
const BIG = 'x'.repeat(100_000)

test('an interval', async (t) => {
  t.test('an interval calls payload at once and then every so many ms, measured start to start, without drift', async (t) => {
    const app = await makeApp(t)
    const calls: Array<{ time: number, tick: number }> = []
    app.sseRoute({
      url: '/',
      interval: 20,
      payload: async () => {
        calls.push({ time: performance.now(), tick: calls.length + app.sse.stats().skipped })
        await wait(10)
        return { data: calls.length }
      }
    })
    const stream = await injectSSE(app, { url: '/' })
    for (let i = 1; i <= 50; i++) t.equal((await stream.next())?.data, String(i))
    // each call may be late, the first one too, so that the first ten together tell when the interval has started
    const late = calls.map(({ time, tick }) => time - tick * 20)
    const start = Math.min(...late.slice(0, 10))
    t.ok(Math.min(...late) > start - 2, 'no call is early')
    // a busy machine delays some of the calls; a drift of 1 ms per call would delay the last 20 by 30 ms or more
    const least = Math.min(...late.slice(-20)) - start
    t.ok(least < 12, `the fastest of the last 20 calls is ${least} ms late`)
  })

  t.test('an interval with immediate: false waits before the first payload', async (t) => {
    const app = await makeApp(t)
    app.sseRoute({ url: '/', interval: 100, immediate: false, payload: () => 'x' })
    const start = performance.now()
    const stream = await injectSSE(app, { url: '/' })
    await stream.next()
    t.ok(performance.now() - start >= 98)
  })

  t.test('an interval skips a tick whose payload is undefined, null or {}', async (t) => {
    const app = await makeApp(t)
    const payloads = [undefined, null, {}, 'x', Promise.resolve(undefined), Promise.resolve('y')]
    app.sseRoute({ url: '/', interval: 5, payload: () => payloads.shift() })
    const stream = await injectSSE(app, { url: '/' })
    t.match(await stream.next(), { data: 'x' })
    t.match(await stream.next(), { data: 'y' })
  })

  t.test('an interval never calls payload while a call is pending, and skips the ticks that a slow call misses', async (t) => {
    const app = await makeApp(t)
    let running = 0
    let calls = 0
    app.sseRoute({
      url: '/',
      interval: 10,
      payload: async () => {
        t.equal(++running, 1)
        await wait(35)
        running--
        return String(++calls)
      }
    })
    const stream = await injectSSE(app, { url: '/' })
    for (let i = 1; i <= 5; i++) t.equal((await stream.next())?.data, String(i))
  })

  t.test('an interval skips ticks while its client is slow', async (t) => {
    const app = await makeApp(t)
    let calls = 0
    app.sseRoute({ url: '/', interval: 1, payload: () => { calls++; return BIG } })
    const client = await open(t, await listen(app), '/')
    client.pause()
    let before = -1
    await until('the calls to stop', async () => {
      const still = calls === before
      before = calls
      await wait(50)
      return still
    })
    t.equal(app.sse.streams.size, 1)
    client.resume()
    await until('the calls to resume', () => calls > before + 3)
  })

  t.test('an interval continues after a failed tick and calls onError', async (t) => {
    const app = await makeApp(t)
    const failures: unknown[] = ['thrown', new Error('an error'), async () => { throw new Error('rejected') }, { event: 'a\nb' }]
    const errors: string[] = []
    app.sseRoute({
      url: '/:id',
      interval: 5,
      payload: () => {
        const failure = failures.shift()
        if (failure === undefined) return 'good'
        if (typeof failure === 'function') return failure()
        if (failure instanceof Error || typeof failure === 'string') throw failure
        return failure
      },
      onError (error, request, stream) {
        t.equal(this, app)
        t.match(request.params, { id: '7' })
        t.equal(stream.closed, false)
        errors.push(error.message)
      }
    })
    const stream = await injectSSE(app, { url: '/7' })
    t.match(await stream.next(), { data: 'good' })
    t.match(errors, [/threw "thrown"/, 'an error', 'rejected', /"event" of an event takes text without CR/])
  })

  t.test('an interval stops when its stream closes, also from within payload', async (t) => {
    const app = await makeApp(t)
    let calls = 0
    app.sseRoute({ url: '/', interval: 5, payload: (request, stream) => { if (++calls === 3) stream.close(); return String(calls) } })
    app.sseRoute({ url: '/first', interval: 5, payload: (request, stream) => { calls++; stream.close() } })
    app.sseRoute({ url: '/shared', interval: 5, shared: true, payload: (request, stream) => { calls++; stream.close() } })
    const stream = await injectSSE(app, { url: '/' })
    t.match(await stream.next(), { data: '1' })
    t.match(await stream.next(), { data: '2' })
    t.equal(await stream.next(), undefined)
    for (const url of ['/first', '/shared']) t.equal(await (await injectSSE(app, { url })).next(), undefined)
    await wait(30)
    t.equal(calls, 5)
  })

  t.test('a payload that rejects after its client disconnected is logged at debug', async (t) => {
    const lines: { level: number, msg: string }[] = []
    const app = await makeApp(t, {}, { logger: { level: 'debug', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } })
    app.sseRoute({
      url: '/',
      interval: 5,
      payload: (request, stream) => new Promise((_resolve, reject) => { stream.signal.addEventListener('abort', () => reject(new Error('aborted'))) }),
      onError: () => t.fail('onError was called after the client had disconnected')
    })
    const stream = await injectSSE(app, { url: '/' })
    stream.close()
    await until('the log line', () => lines.some(({ level, msg }) => level === 20 && msg.startsWith('failed after')))
  })
})

test('a shared interval', async (t) => {
  t.test('a shared interval calls payload once per tick for all streams, and sends the latest payload to a new stream at once', async (t) => {
    const app = await makeApp(t)
    let calls = 0
    app.sseRoute({ url: '/', interval: 200, shared: true, payload: () => ({ id: ++calls, data: {} }) })
    const first = await injectSSE(app, { url: '/' })
    t.match(await first.next(), { id: '1' })
    const others = await Promise.all(Array.from({ length: 20 }, () => injectSSE(app, { url: '/' })))
    for (const other of others) t.match(await other.next(), { id: '1' })
    for (const stream of [first, ...others]) t.match(await stream.next(), { id: '2' })
    t.equal(calls, 2)
  })

  t.test('a shared interval with immediate: false sends nothing to a new stream before the next tick', async (t) => {
    const app = await makeApp(t)
    let calls = 0
    app.sseRoute({ url: '/', interval: 40, shared: true, immediate: false, payload: () => String(++calls) })
    const first = await injectSSE(app, { url: '/' })
    t.match(await first.next(), { data: '1' })
    const second = await injectSSE(app, { url: '/' })
    t.match(await second.next(), { data: '2' })
  })

  t.test('shared intervals are separate per key, and each ends with its last stream', async (t) => {
    const app = await makeApp(t)
    const calls: Record<string, number> = {}
    app.sseRoute<{ Params: { symbol: string } }>({
      url: '/:symbol',
      interval: 10,
      shared: (request) => request.params.symbol,
      payload: ({ params: { symbol } }) => {
        calls[symbol] = (calls[symbol] ?? 0) + 1
        return { event: symbol, data: calls[symbol] }
      }
    })
    const [a, b, c] = await Promise.all(['/a', '/b', '/a'].map((url) => injectSSE(app, { url })))
    for (let i = 1; i <= 3; i++) {
      t.match(await a?.next(), { event: 'a', data: String(i) })
      t.match(await b?.next(), { event: 'b', data: String(i) })
      t.match(await c?.next(), { event: 'a', data: String(i) })
    }
    a?.close()
    b?.close()
    await until('b to be closed', () => app.sse.streams.size === 1)
    const { b: before } = calls
    await c?.next()
    await c?.next()
    t.equal(calls.b, before)
    c?.close()
    await until('all streams to be closed', () => app.sse.streams.size === 0)
    const again = await injectSSE(app, { url: '/b' })
    t.match(await again.next(), { data: String(Number(before) + 1) }, 'the payload is from a new call')
  })

  t.test('a shared interval continues when the stream passed to payload disconnects during the call', async (t) => {
    const app = await makeApp(t)
    const asked: SSEStream[] = []
    app.sseRoute({
      url: '/',
      interval: 30,
      shared: true,
      payload: async (request, stream) => {
        asked.push(stream)
        await wait(20)
        return 'x'
      }
    })
    const first = await injectSSE(app, { url: '/' })
    const second = await injectSSE(app, { url: '/' })
    first.close()
    t.match(await second.next(), { data: 'x' })
    t.match(await second.next(), { data: 'x' })
    t.equal(asked[0]?.closed, true)
    t.equal(asked[1]?.closed, false)
  })

  t.test('a failed payload of a shared interval calls onError once, and a slow client does not delay the others', async (t) => {
    const app = await makeApp(t)
    let errors = 0
    let calls = 0
    app.sseRoute({
      url: '/',
      interval: 5,
      shared: true,
      payload: () => {
        if (++calls === 2) throw new Error('once')
        return BIG
      },
      onError: () => { errors++ }
    })
    const port = await listen(app)
    const stalled = await open(t, port, '/')
    stalled.pause()
    const healthy = await open(t, port, '/')
    await until('300 events', () => healthy.text.length > 300 * BIG.length)
    t.equal(errors, 1)
    t.equal(app.sse.streams.size, 2)
    t.equal(app.sse.stats().dropped, 0)
    healthy.pause()
    let before = -1
    await until('the calls to stop because no client is ready', async () => {
      const still = calls === before
      before = calls
      await wait(50)
      return still
    })
  })

  t.test('a shared interval sends nothing to a stream before its onConnect has finished', async (t) => {
    const app = await makeApp(t)
    app.sseRoute({
      url: '/',
      interval: 10,
      shared: true,
      payload: () => 'tick',
      onConnect: async (request, stream) => {
        await stream.send('hello')
        if (request.headers['x-slow']) await wait(60)
        await stream.send('ready')
      }
    })
    const first = await injectSSE(app, { url: '/' })
    const slow = await injectSSE(app, { url: '/', headers: { 'x-slow': '1' } })
    for (const stream of [first, slow]) {
      const order = [await stream.next(), await stream.next(), await stream.next()].map((event) => event?.data)
      t.strictSame(order, ['hello', 'ready', 'tick'])
    }
  })
})

test('skipped ticks of an interval are counted in stats().skipped', async (t) => {
  const INTERVAL = 20

  /** Wraps a payload. Each call asserts that every tick since the first was sent to each stream or counted as skipped, and none twice. */
  function assertTicksCounted (t: Test, app: FastifyInstance, streams: number, payload: () => string | Promise<string>): () => string | Promise<string> {
    let first: number | undefined
    return () => {
      const now = performance.now()
      const { sent, skipped } = app.sse.stats()
      const ahead = (sent + skipped) / streams - (now - (first ??= now)) / INTERVAL
      t.ok(ahead > -2 && ahead < 1, `counted ${ahead.toFixed(2)} ticks more than the time allows, with ${sent} sent and ${skipped} skipped`)
      return payload()
    }
  }

  /** Delays the first payload until so many streams are open. */
  function waitForStreams (app: FastifyInstance, streams: number): () => Promise<void> {
    let opened: Promise<void> | undefined
    return () => {
      opened ??= until('all streams to be open', () => app.sse.streams.size === streams)
      return opened
    }
  }

  t.test('no tick counts as skipped when the payload and the client are fast', async (t) => {
    const app = await makeApp(t)
    app.sseRoute({ url: '/', interval: INTERVAL, payload: assertTicksCounted(t, app, 1, () => 'x') })
    const stream = await injectSSE(app, { url: '/' })
    for (let i = 0; i < 20; i++) await stream.next()
  })

  t.test('ticks missed by a slow payload count as skipped, once for each stream that shares it', async (t) => {
    const slow = async () => { await wait(3.5 * INTERVAL); return 'x' }
    const blocking = () => {
      for (const end = performance.now() + 3.5 * INTERVAL; performance.now() < end;) { /* blocks the event loop */ }
      return 'x'
    }
    for (const payload of [slow, blocking]) {
      for (const streams of [1, 3]) {
        const app = await makeApp(t)
        app.sseRoute({ url: '/', interval: INTERVAL, shared: streams > 1, onConnect: waitForStreams(app, streams), payload: assertTicksCounted(t, app, streams, payload) })
        const clients = await Promise.all(Array.from({ length: streams }, () => injectSSE(app, { url: '/' })))
        for (let i = 0; i < 4; i++) for (const client of clients) await client.next()
        t.ok(app.sse.stats().skipped >= 6 * streams)
        await app.close()
      }
    }
  })

  t.test('ticks missed by a slow client count as skipped', async (t) => {
    const app = await makeApp(t)
    app.sseRoute({ url: '/', interval: INTERVAL, payload: assertTicksCounted(t, app, 1, () => BIG) })
    const stream = await injectSSE(app, { url: '/' })
    await until('five skipped ticks', () => app.sse.stats().skipped >= 5)
    t.equal(app.sse.stats().sent, 1)
    for (let i = 0; i < 4; i++) await stream.next()
  })

  t.test('ticks of a shared interval count as skipped only for the slow client', async (t) => {
    const app = await makeApp(t)
    app.sseRoute({ url: '/', interval: INTERVAL, shared: true, onConnect: waitForStreams(app, 2), payload: assertTicksCounted(t, app, 2, () => BIG) })
    const [, healthy] = await Promise.all([injectSSE(app, { url: '/' }), injectSSE(app, { url: '/' })])
    for (let i = 0; i < 8; i++) await healthy.next()
    t.ok(app.sse.stats().skipped >= 7)
  })
})
