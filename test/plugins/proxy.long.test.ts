import { once } from 'node:events'
import proxy, { type FastifyHttpProxyOptions } from '@fastify/http-proxy'
import Fastify, { type FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import sse, { type SSEPluginOptions, type SSEStream } from '../../lib/index.js'
import { type Client, connectSocket, listen, open, until } from '../helpers/app.js'
import { answerOf } from './orders.js'

interface Proxied {
  /** The app that has the streams. */
  upstream: FastifyInstance
  proxy: FastifyInstance
  port: number
}

/** An app with streams behind an app that is its proxy. */
async function proxied (t: Test, { proxied = {}, sse: settings = {}, http2 = false, force = true, late = new Late() }: { proxied?: Partial<FastifyHttpProxyOptions>, sse?: SSEPluginOptions, http2?: boolean, force?: boolean, late?: Late } = {}): Promise<Proxied> {
  const upstream = http2 ? Fastify({ http2 }) as unknown as FastifyInstance : Fastify({ forceCloseConnections: true })
  t.teardown(() => upstream.close())
  await upstream.register(sse, settings)
  upstream.sseRoute('/route', { topics: ['a'] })
  upstream.get('/hand', (request, reply) => { reply.sse().subscribe('a') })
  upstream.sseRoute('/ends', { source: () => ['x'] })
  upstream.sseRoute('/late', { openOn: 'first-event', source: (request, stream) => late.source(request, stream) })
  upstream.sseRoute('/fails', {
    source: async function * () {
      yield 'x'
      throw new Error('on purpose')
    },
    onError: () => {}
  })
  upstream.sseRoute({ method: 'POST', url: '/posted', source: ({ body }) => [{ data: body }] })
  const app = Fastify({ forceCloseConnections: force })
  t.teardown(() => app.close())
  await app.register(proxy, { upstream: `http://127.0.0.1:${await listen(upstream)}`, ...proxied })
  return { upstream, proxy: app, port: await listen(app) }
}

/** Reads a response to its end. Returns whether it ended or was aborted. */
async function fateOf (client: Client): Promise<{ text: string, ended: boolean }> {
  return { ended: await client.finished(), text: client.text }
}

/** Timeout of the proxy for its upstream, ms. Longer than a response takes on a busy machine. */
const QUIET = 1_500

/** A source that waits for its first item: what it has seen of its stream, and a function that gives the item. */
class Late {
  readonly seen: string[] = []
  give = (): void => {}

  async * source (_request: unknown, { signal }: SSEStream): AsyncGenerator<string> {
    signal.addEventListener('abort', () => { this.seen.push('gone') })
    await new Promise<void>((resolve) => {
      this.give = resolve
      this.seen.push('asked')
    })
    this.seen.push('item')
    yield 'item'
    await new Promise(() => {})
  }
}

test('@fastify/http-proxy', { jobs: 8 }, async (t) => {
  const kinds: Record<string, Partial<FastifyHttpProxyOptions>> = {
    undici: { undici: { bodyTimeout: QUIET } },
    'http.request': { http: { requestOptions: { timeout: QUIET } } },
    'HTTP/2': { http2: { requestTimeout: QUIET, sessionTimeout: QUIET } }
  }
  for (const [kind, options] of Object.entries(kinds)) {
    t.test(`@fastify/http-proxy over ${kind} passes events immediately, with ids, ends and failures`, { buffered: true }, async (t) => {
      const { upstream, port } = await proxied(t, { proxied: options, http2: kind === 'HTTP/2', sse: { heartbeat: 50 } })
      const clients: Client[] = []
      for (const path of ['/route', '/hand']) {
        const client = await open(t, port, path, { headers: { 'last-event-id': '0-0' } })
        t.match(client.response.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-accel-buffering': 'no' })
        await client.until('event: gap')
        clients.push(client)
      }
      for (const data of ['one', 'two']) {
        await upstream.sse.publish('a', data)
        for (const client of clients) await client.until(`data: ${data}`)
      }
      const [quiet, leaver] = clients
      leaver?.disconnect()
      await until('the upstream stream to be gone', () => upstream.sse.streams.size === 1)
      t.match(upstream.sse.stats().closed, { client: 1 })
      t.strictSame(await fateOf(await open(t, port, '/ends')), { text: 'data: x\n\n', ended: true })
      t.strictSame(await fateOf(await open(t, port, '/fails')), { text: 'data: x\n\n', ended: false })
      t.match(await fateOf(await open(t, port, '/posted', { method: 'POST' })), { ended: true })
      const heartbeats = quiet?.text.split('\n').length ?? 0
      await until('longer than the timeout', () => Number(quiet?.text.split('\n').length) > heartbeats + 1.2 * QUIET / 50)
      await upstream.close()
      t.match(await quiet?.finished(), true)
      t.match(quiet?.text, /retry: \d+\n$/)
    })
  }

  t.test('@fastify/http-proxy over undici aborts a stream that is silent for longer than bodyTimeout', { buffered: true }, async (t) => {
    const { port } = await proxied(t, { proxied: { undici: { bodyTimeout: QUIET } }, sse: { heartbeat: false } })
    t.notOk(await (await open(t, port, '/route')).finished())
  })

  t.test('the upstream of @fastify/http-proxy sees a disconnect before the first item only with that item', { buffered: true }, async (t) => {
    const late = new Late()
    const { port, proxy } = await proxied(t, { late })
    const left = once(proxy.server, 'request').then(([request]) => once(request.socket, 'close'))
    const socket = await connectSocket(t, port)
    socket.write('GET /late HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the source to be asked', () => late.seen.length)
    socket.destroy()
    await left
    late.give()
    await until('the end', () => late.seen.includes('gone'))
    t.strictSame(late.seen, ['asked', 'item', 'gone'])
  })

  t.test('@fastify/http-proxy retries a 503 ten times before it passes it on', { buffered: true }, async (t) => {
    for (const [proxied_, requests] of [[{}, 11], [{ replyOptions: { retryDelay: () => null } }, 1]] as const) {
      const { upstream, port } = await proxied(t, { proxied: proxied_, sse: { maxStreams: 1 } })
      await open(t, port, '/route')
      const refused = await open(t, port, '/route')
      t.match(await answerOf(refused), { status: 503, body: { code: 'SSE_ERR_TOO_MANY_STREAMS' } })
      t.equal(refused.response.headers['retry-after'], '5')
      t.equal(upstream.sse.stats().rejected, requests)
    }
  })

  t.test('@fastify/http-proxy answers a JSON error if the upstream is down', { buffered: true }, async (t) => {
    const { upstream, port } = await proxied(t)
    await upstream.close()
    t.match(await answerOf(await open(t, port, '/route')), { status: 500, body: { code: 'FST_REPLY_FROM_INTERNAL_SERVER_ERROR' } })
  })

  t.test('app.close() of @fastify/http-proxy waits for the streams unless forceCloseConnections aborts them', { buffered: true }, async (t) => {
    const waiting = await proxied(t, { force: false })
    const client = await open(t, waiting.port, '/route')
    let closed = false
    const closing = waiting.proxy.close().then(() => { closed = true })
    await until('new connections to be refused', () => !waiting.proxy.server.listening)
    await waiting.upstream.sse.publish('a', 'still')
    await client.until('data: still')
    t.notOk(closed)
    client.disconnect()
    await closing

    const forced = await proxied(t)
    const cut = await open(t, forced.port, '/route')
    await forced.proxy.close()
    t.notOk(await cut.finished())
  })
})
