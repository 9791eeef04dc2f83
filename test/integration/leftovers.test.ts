import { createHook } from 'node:async_hooks'
import type { EventEmitter } from 'node:events'
import { Agent, get, type IncomingMessage, type RequestOptions } from 'node:http'
import { connect, constants } from 'node:http2'
import type { Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import { type Test, test } from 'tap'
import sse, { type SSEPluginOptions, type SSEStream } from '../../lib/index.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'
import { hubOf, type HubState } from '../helpers/subscriber.js'
import { addRoutes, ENDING, OPEN } from './every-route.js'

/** Timers that lib has set and that have neither fired nor been cleared, unref'ed ones included. */
const timers = new Set<number>()
const hook = createHook({
  init: (id, type) => { if ((type === 'Timeout' || type === 'Immediate') && calledByLib()) timers.add(id) },
  destroy: (id) => { timers.delete(id) }
})

function calledByLib (): boolean {
  const { prepareStackTrace } = Error
  // replaces the source maps of stack traces, because plain file names are faster
  Error.prepareStackTrace = (_error, calls) => calls.map((call) => call.getFileName())
  const files = new Error('set here').stack as unknown as string[]
  Error.prepareStackTrace = prepareStackTrace
  return files.some((file) => /\/lib\/[\w/-]+\.ts$/.test(file))
}

setFlagsFromString('--expose_gc')
const collectGarbage: () => void = runInNewContext('gc')

/** Sizes of the collections in which the plugin keeps streams, topics, clients and timers. */
function leftovers ({ streams, topics, clients, timers }: HubState) {
  return { streams: streams.size, topics: topics.size, clients: clients.size, schedules: timers.size, timers: timers.size }
}

const NOTHING = { streams: 0, topics: 0, clients: 0, schedules: 0, timers: 0 }
const NAMES = ['streams', 'topics', 'clients', 'schedules', 'timers'] as const

function listenersOf (emitter: EventEmitter): Record<string, number> {
  return Object.fromEntries(emitter.eventNames().map((name) => [String(name), emitter.listenerCount(name)]))
}

/** An app with every kind of route, the sockets of its server, and weak references to its streams and their parts. */
async function start (t: Test, options: SSEPluginOptions = {}) {
  const app = await makeApp(t, { heartbeat: 10, clientId: ({ headers }) => String(headers['x-user'] ?? 'anybody'), ...options })
  const sockets = new Set<Socket>()
  const met: WeakRef<object>[] = []
  app.server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => { sockets.delete(socket) })
  })
  const hub = hubOf(app)
  addRoutes(app, (stream) => {
    const { producer, subscription } = hub.streams.get(stream.id) ?? { producer: null, subscription: null }
    for (const one of [stream, stream.signal, stream.request, producer, subscription]) if (one !== null) met.push(new WeakRef(one))
  })
  return { app, hub, met, sockets, port: await listen(app) }
}

/** Publishes, broadcasts and sends every 15 ms, and calls `step` after it. Returns a function that stops it. */
function publish (app: FastifyInstance, step: () => void): () => void {
  const timer = setInterval(() => {
    for (const topic of ['a', 'b', 'c']) app.sse.publish(topic, 'x')
    app.sse.broadcast('x')
    app.sse.sendTo('somebody', 'x')
    step()
  }, 15)
  return () => clearInterval(timer)
}

/** Requests a path and disconnects a number of ms after the request or the response, or stays to the end. */
async function visit (port: number, path: string, ms: number, since: 'asked' | 'answered' | 'ended', options: RequestOptions): Promise<void> {
  const request = get({ host: '127.0.0.1', port, path, agent: false, ...options })
  const answered = new Promise<void>((resolve) => {
    request.on('error', () => {}).on('close', resolve).on('response', (response: IncomingMessage) => {
      response.on('error', () => {})
      if (since === 'ended') response.on('close', resolve).resume()
      else resolve()
      // some clients do not read
      if (ms % 3 !== 0) response.resume()
    })
  })
  if (since === 'ended') await answered
  // one of the routes never responds
  if (since === 'answered') await Promise.race([answered, wait(200)])
  if (since !== 'ended') await wait(ms)
  request.destroy()
}

const HEADERS: RequestOptions['headers'][] = [{}, { 'x-user': 'somebody' }, { 'x-user': 'somebody', 'last-event-id': '1-1' }, { 'x-user': 'somebody', accept: 'text/html' }]

/** Runs many clients at the same time that connect and disconnect in every way. */
async function mix (port: number, clients: number, visits: number): Promise<void> {
  const paths = [...OPEN, ...ENDING]
  await Promise.all(Array.from({ length: clients }, async (_, i) => {
    for (let n = i; n < clients * visits; n += clients) {
      const path = paths[n % paths.length] ?? ''
      const since = n % 3 === 0 ? 'asked' : n % 3 === 1 || OPEN.includes(path) ? 'answered' : 'ended'
      const options = { method: n % 13 === 0 ? 'HEAD' : 'GET', headers: HEADERS[Math.floor(Math.random() * 8)] ?? {} }
      await visit(port, path, Math.floor(Math.random() * 60), since, options)
    }
  }))
}

test('any mix of connects and disconnects leaves no stream, timer or socket', async (t) => {
  hook.enable()
  t.teardown(() => hook.disable())
  const key = ({ headers }: FastifyRequest) => String(headers['x-user'])
  const { app, hub, met, sockets, port } = await start(t, { maxStreams: 12, maxStreamsPerClient: { max: 8, key } })
  const before = [listenersOf(process), listenersOf(app.server)]
  const most = { ...NOTHING }
  const stop = publish(app, () => {
    const now = leftovers(hub)
    for (const name of NAMES) most[name] = Math.max(most[name], now[name])
  })
  t.teardown(stop)
  const holders = await Promise.all(Array.from({ length: 8 }, () => open(t, port, '/topics', { headers: { 'x-user': 'somebody' } })))
  await mix(port, 60, 3)
  for (const holder of holders) holder.disconnect()
  await mix(port, 60, 17)
  stop()
  await until('all connections are gone', () => sockets.size === 0)

  t.ok(NAMES.every((name) => most[name] > 1), `at most ${JSON.stringify(most)}`)
  const { active, opened, rejected, closed } = app.sse.stats()
  t.ok(opened > 200 && rejected > 20 && met.length > 600, `${opened} streams opened, ${rejected} were refused`)
  t.ok([closed.client, closed.server, closed.overflow, closed.idle, closed.lifetime, closed.error].every((streams) => streams > 0), JSON.stringify(closed))
  t.equal(active, 0, 'all are counted as closed')
  // shorter than the close timeout, after which any client is disconnected
  await until('no timer is left', () => timers.size === 0, 2_000).catch(() => {})
  t.strictSame(leftovers(hub), NOTHING, 'nothing is left')
  t.strictSame([listenersOf(process), listenersOf(app.server)], before, 'nobody listens to the process or server who did not before')

  const kept = () => met.filter((ref) => ref.deref() !== undefined).length
  await until('all is collected', () => { collectGarbage(); return kept() === 0 }, 5_000).catch(() => {})
  t.equal(kept(), 0, `${met.length} streams, signals, requests and all that are collected`)

  const statusOf = async (headers: RequestOptions['headers']) => (await open(t, port, '/topics', { headers })).response.statusCode
  const statuses: unknown[] = []
  for (let i = 0; i < 14; i++) statuses.push(await statusOf(i < 9 ? { 'x-user': 'somebody' } : {}))
  t.strictSame(statuses, [...Array<number>(8).fill(200), 429, ...Array<number>(4).fill(200), 503], 'all places are free again, and no more')

  const asked = performance.now()
  await app.close()
  t.ok(performance.now() - asked < 1_000, 'the app closes at once')
  await until('no timer is left', () => timers.size === 0, 2_000).catch(() => {})
  t.strictSame(leftovers(hub), NOTHING, 'nothing is left')
})

test('a kept connection has the same listeners after a stream as before', async (t) => {
  const { app, hub, sockets, port } = await start(t, { maxStreamsPerClient: { max: 1, key: ({ headers }) => String(headers['x-user']) } })
  await open(t, port, '/topics', { headers: { 'x-user': 'holder' } })
  const [held] = sockets
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const requests = [
    // an overflow resets the connection
    ...ENDING.filter((path) => path !== '/overflows').map((path) => ({ path, headers: { 'x-user': 'somebody' } })),
    { path: '/topics', headers: { 'x-user': 'holder' } },
    { path: '/topics', headers: { accept: 'text/html' } }
  ]
  const emitters = () => [process, app.server, ...[...sockets].filter((socket) => socket !== held)]
  let before: unknown
  for (let round = 0; round < 20; round++) {
    for (const options of requests) {
      const client = await open(t, port, options.path, { agent, ...options })
      t.ok(await client.finished(), options.path)
    }
    await until('all but one are closed', () => hub.streams.size === 1)
    before ??= emitters().map(listenersOf)
    t.strictSame(emitters().map(listenersOf), before, 'as many listeners as before')
  }
  t.equal(emitters().length, 3, 'one connection')
})

test('a connection with pipelined requests has the same listeners after the streams as before', async (t) => {
  const { hub, sockets, port } = await start(t)
  const socket = await connectSocket(t, port)
  const [kept] = sockets
  let before: unknown
  for (let round = 1; round <= 20; round++) {
    socket.write('GET /source-ends HTTP/1.1\r\nHost: x\r\n\r\nHEAD /topics HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
    await until('six answers', () => socket.text.split('HTTP/1.1 200').length > 6 * round)
    await until('all are closed', () => hub.streams.size === 0)
    before ??= kept && listenersOf(kept)
    t.strictSame(kept && listenersOf(kept), before, 'as many listeners as before')
  }
})

test('HTTP/2 streams, sessions and servers leave no stream or timer', async (t) => {
  hook.enable()
  t.teardown(() => hook.disable())
  // Node does not clear a session's timeout when its connection is lost
  const app = Fastify({ http2: true, http2SessionTimeout: 0 })
  t.teardown(() => app.close())
  await app.register(sse, { heartbeat: 10 })
  const met: WeakRef<SSEStream>[] = []
  const onConnect = (_request: unknown, stream: SSEStream) => { met.push(new WeakRef(stream)) }
  app.sseRoute('/topics', { topics: ['a'], onConnect, maxLifetime: 60_000 })
  app.sseRoute('/shared', { interval: 3, shared: true, payload: () => 'x', onConnect })
  app.sseRoute('/ends', { source: () => ['x'], onConnect })
  const url = await app.listen({ host: '127.0.0.1', port: 0 })
  const hub = hubOf(app)
  for (let round = 0; round < 5; round++) {
    const sessions = Array.from({ length: 4 }, () => connect(url).on('error', () => {}))
    const streams = sessions.flatMap((session) => Array.from({ length: 12 }, (_, i) =>
      session.request({ ':path': ['/topics', '/shared', '/ends'][i % 3] }).on('error', () => {}).resume()))
    await until('all have opened', () => met.length === 48 * (round + 1))
    for (const [i, stream] of streams.entries()) if (i % 2 === 0) stream.close(i % 4 === 0 ? constants.NGHTTP2_CANCEL : constants.NGHTTP2_NO_ERROR)
    sessions[0]?.close()
    for (const session of sessions) session.destroy()
    await until('all are gone', () => hub.streams.size === 0)
  }
  await until('no timer is left', () => timers.size === 0, 2_000).catch(() => {})
  t.strictSame(leftovers(hub), NOTHING, 'nothing is left')
  const kept = () => met.filter((ref) => ref.deref() !== undefined).length
  await until('all is collected', () => { collectGarbage(); return kept() === 0 }, 5_000).catch(() => {})
  t.equal(kept(), 0, 'all streams are collected')
})
