import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import t, { type Test } from 'tap'
import type { RedisBackplaneOptions } from '../../lib/redis/index.js'
import { type InjectedEvent, type InjectedStream, injectSSE } from '../../lib/testing.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'
import { type RedisApp, startApp, until } from './app.js'
import { runPath, serveRuns, startRunProcess } from './run-app.js'

// most tests wait
t.jobs = 6

const RUN_KEYS = '{sse}:run*'

async function startRunApp (t: Test, redis: RedisBackplaneOptions): Promise<RedisApp> {
  const started = await startApp(t, redis)
  serveRuns(started.app)
  return started
}

const post = ({ app }: RedisApp, path: string) => injectSSE(app, { method: 'POST', url: path })
const get = ({ app }: RedisApp, key: string, lastEventId?: string) => injectSSE(app, { url: `/runs/${key}`, headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId }, timeout: 30_000 })

async function all (stream: InjectedStream): Promise<InjectedEvent[]> {
  const events: InjectedEvent[] = []
  for await (const event of stream) events.push(event)
  return events
}

const dataOf = (events: InjectedEvent[]) => events.map(({ data }) => data)
const items = (count: number, from = 0) => Array.from({ length: count - from }, (_, i) => String(from + i))

function testRuns (name: string, run: (t: Test, server: RedisServer) => Promise<void>): void {
  for (const command of SERVERS) t.test(`${command}: ${name}`, { buffered: true }, async (t) => run(t, await RedisServer.start(t, command)))
}

const CLIENTS: Record<string, (url: string) => RedisBackplaneOptions> = {
  'node-redis': (url) => ({ client: createClient({ url }) }),
  ioredis: (url) => ({ client: new Redis(url, { lazyConnect: true }) })
}

for (const [what, client] of Object.entries(CLIENTS)) {
  testRuns(`a run is joined, resumed and stopped from another process, by ${what}`, async (t, server) => {
    const [here, there] = [await startRunApp(t, client(server.url)), await startRunApp(t, client(server.url))]
    t.strictSame(await server.call('KEYS', RUN_KEYS), [])
    t.equal((await here.app.inject({ url: '/runs/a' })).statusCode, 204)
    const path = runPath('a', { count: 20, pause: 20 })
    const [first, joined] = await Promise.all([post(here, path), post(there, path)])
    const events = await all(first)
    t.strictSame(dataOf(events), [...items(20), ''])
    t.strictSame(await all(joined), events, 'both have the same events with the same ids')
    t.strictSame(await all(await get(here, 'a', events[4]?.id)), events.slice(5))
    t.strictSame(await all(await get(there, 'a', events[4]?.id)), events.slice(5))
    t.match(await there.app.sse.run('a'), { state: 'done', events: 21 })

    const endless = await post(here, runPath('b', { count: 1e6, pause: 5 }))
    t.equal((await endless.next())?.data, '0')
    const reading = all(await get(there, 'b'))
    await wait(50)
    t.equal(await there.app.sse.stop('b'), true)
    const last = (await reading).at(-1)
    t.equal(last?.event, 'end')
    t.strictSame((await all(endless)).at(-1), last)
    t.match(await here.app.sse.run('b'), { state: 'stopped' })
    t.equal(await there.app.sse.stop('b'), false)
    t.strictSame([...here.lines, ...there.lines], [])
  })
}

testRuns('a request for a run of another process is refused, or restarts the run', async (t, { url }) => {
  const [here, there] = [await startRunApp(t, { url }), await startRunApp(t, { url })]
  const signals: AbortSignal[] = []
  async function * source ({ signal }: { signal: AbortSignal }) {
    signals.push(signal)
    yield 'a'
    await once(signal, 'abort').catch(() => {})
  }
  const first = await here.app.sse.start('a', source)
  await t.rejects(there.app.sse.start('a', source, { onBusy: 'refuse' }), { code: 'SSE_ERR_RUN_BUSY' })
  t.equal((await there.app.sse.start('a', source)).id, first.id)
  const second = await there.app.sse.start('a', source, { onBusy: 'restart' })
  t.not(second.id, first.id)
  await until('the first run to be stopped', () => signals[0]?.aborted)
  t.equal(signals.length, 2)
  t.equal(signals[1]?.aborted, false)
  t.equal((await here.app.sse.run('a'))?.id, second.id)
})

testRuns('all keys of a run expire, also those of a run that is going on', async (t, server) => {
  const app = await startRunApp(t, { url: server.url })
  const reading = all(await post(app, runPath('a', { count: 1_000_000, pause: 5 })))
  const expiries = async () => Promise.all((await server.call('KEYS', RUN_KEYS) as string[]).map(async (key) => [key, Number(await server.call('PTTL', key))] as const))
  await until('the events', async () => ((await app.app.sse.run('a'))?.events ?? 0) > 1)
  const running = await expiries()
  t.strictSame(running.map(([key]) => key.replace(/[\w-]{20}/, 'id')).sort(), ['{sse}:run-of:a', '{sse}:run-producer:id', '{sse}:run:id', '{sse}:run:id:events', '{sse}:runs'])
  for (const [key, expiry] of running) t.ok(expiry > 0 && expiry <= 600_000, key)
  await app.app.sse.stop('a')
  await reading
  await app.app.sse.start('b', ['x'], { keep: 0 })
  await until('the end', async () => await app.app.sse.run('b') === null)
  const ended = new Map(await expiries())
  t.equal(ended.has('{sse}:run-of:b'), false)
  t.equal(ended.size, 7)
  for (const [key, expiry] of ended) t.ok(expiry > 0 && expiry <= 300_000, key)
})

testRuns('a run whose process is killed is lost within 10 s', async (t, { url }) => {
  const [here, there] = [await startRunApp(t, { url }), await startRunApp(t, { url })]
  const { child, port } = await startRunProcess(t, url)
  for (const key of ['a', 'b']) {
    const controller = new AbortController()
    const response = await fetch(`http://127.0.0.1:${port}${runPath(key, { count: 1e6, pause: 10 })}`, { method: 'POST', signal: controller.signal })
    await response.body?.getReader().read()
    controller.abort()
  }
  const readings = [all(await get(here, 'a')), all(await get(there, 'a'))]
  await wait(500)
  child.kill('SIGKILL')
  const killed = performance.now()
  const [events = [], same] = await Promise.all(readings)
  const took = performance.now() - killed
  t.comment(`lost after ${Math.round(took)} ms`)
  t.ok(took < 10_000)
  t.strictSame(events, same)
  const last = events.at(-1)
  t.match(last, { event: 'error', data: '{"message":"The run is lost"}' })
  t.strictSame(dataOf(events.slice(0, -1)), items(events.length - 1))
  t.ok(events.length > 10)
  t.match(await here.app.sse.run('a'), { state: 'lost', events: events.length, endedAt: Date })
  t.match(await here.app.sse.run('b'), { state: 'lost' }, 'also a run that no process reads')
  t.strictSame((await all(await get(here, 'b'))).at(-1)?.event, 'error')
  t.equal((await all(await post(there, runPath('b', { count: 3 })))).length, 4, 'the next run of the key starts')
})

testRuns('Redis is killed in mid-run: the run continues, and each reader gets each event once', async (t, server) => {
  const [here, there] = [await startRunApp(t, { url: server.url }), await startRunApp(t, { url: server.url })]
  const reads = [all(await post(here, runPath('a', { count: 400, pause: 10 })))]
  reads.push(all(await get(there, 'a')))
  await wait(500)
  await server.kill()
  await wait(1_500)
  await server.start()
  const [events = [], same] = await Promise.all(reads)
  t.strictSame(dataOf(events), [...items(400), ''])
  t.strictSame(events, same)
  const stored = await server.call('XLEN', `{sse}:run:${events[0]?.id?.replace(/\/.*/, '')}:events`)
  t.equal(stored, 401)
  for (const { lines } of [here, there]) {
    t.strictSame(lines.filter(({ msg }) => msg.startsWith('runs')).map(({ msg }) => msg), ['runs are not read from Redis, which is tried again', 'runs are read from Redis again'])
  }
})

testRuns('a run that is larger than the memory for its events is read by pages', async (t, { url }) => {
  const [here, there] = [await startRunApp(t, { url }), await startRunApp(t, { url })]
  const live = all(await post(here, runPath('a', { count: 400, size: 4_000, pause: 1, batch: 20 })))
  const readings = [all(await get(there, 'a')), all(await get(here, 'a'))]
  const events = await live
  t.strictSame(events.map(({ data }) => data.replace(/\.*$/, '')), [...items(400), ''])
  for (const reading of readings) t.strictSame(await reading, events)
  t.strictSame(await all(await get(there, 'a', events[99]?.id)), events.slice(100))
  t.strictSame(await all(await get(here, 'a')), events)
})

testRuns('abandonAfter counts readers of other processes', async (t, { url }) => {
  const [here, there] = [await startRunApp(t, { url }), await startRunApp(t, { url })]
  const signals: AbortSignal[] = []
  async function * source ({ signal }: { signal: AbortSignal }) {
    signals.push(signal)
    while (!signal.aborted) {
      yield 'x'
      await wait(20)
    }
  }
  await here.app.sse.start('read', source, { abandonAfter: 1_000 })
  const reader = await get(there, 'read')
  const begun = performance.now()
  await here.app.sse.start('unread', source, { abandonAfter: 1_000 })
  await until('the unread run to be stopped', () => signals[1]?.aborted)
  t.ok(performance.now() - begun < 3_000)
  await wait(3_500)
  t.equal(signals[0]?.aborted, false)
  reader.close()
  await until('the run to be stopped after its reader has left', () => signals[0]?.aborted)
  await until('the end of the run', async () => (await there.app.sse.run('read'))?.state === 'stopped')
})
