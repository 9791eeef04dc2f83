import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream, type Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import { type Test, test } from 'tap'
import sse, { type SSEPluginOptions, type SSEStream } from '../../lib/index.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'

test('HTTP/1.1', async (t) => {
  t.test('a kept HTTP/1.1 connection carries other requests before and after a stream', async (t) => {
    const app = await makeApp(t)
    app.get('/plain', async () => 'plain')
    app.sseRoute('/stream', { source: async function * () { yield 'a'; await wait(10); yield 'b' } })
    const port = await listen(app)
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    const sockets = new Set<Socket>()
    for (const path of ['/plain', '/stream', '/plain', '/stream', '/stream']) {
      const client = await open(t, port, path, { agent })
      sockets.add(client.response.socket)
      t.ok(await client.finished())
      t.equal(client.text, path === '/plain' ? 'plain' : 'data: a\n\ndata: b\n\n')
    }
    t.equal(sockets.size, 1)
    const [socket] = sockets
    t.ok(socket && socket.listenerCount('drain') <= 1)
  })

  t.test('a pipelined stream waits until the response before it is done', async (t) => {
    const app = await makeApp(t)
    app.get('/slow', async () => { await wait(50); return 'slow' })
    app.sseRoute('/stream', { source: () => ['a', 'b'] })
    app.sseRoute('/fails', { source: async function * () { yield 'c'; throw new Error('x') }, onError: () => {} })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /stream HTTP/1.1\r\nHost: x\r\n\r\nGET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET /fails HTTP/1.1\r\nHost: x\r\n\r\n')
    await once(socket, 'close')
    t.match(socket.text, /slow[^]*data: a\n\n[^]*data: b\n\n\r\n0\r\n\r\n[^]*slow[^]*data: c\n\n\r\n$/, 'in order, the last without an end')
  })

  t.test('a pipelined stream that waits for its turn closes when the client disconnects', async (t) => {
    const app = await makeApp(t, { maxStreams: 2, maxStreamsPerClient: { max: 2 } })
    const reasons: unknown[] = []
    app.sseRoute('/', { onConnect: () => {}, onDisconnect: (_request, stream) => { reasons.push(stream.closeReason) } })
    const port = await listen(app)
    for (let round = 1; round <= 3; round++) {
      const socket = await connectSocket(t, port)
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n')
      await until('both are open', () => app.sse.streams.size === 2)
      socket.destroy()
      await until('both are gone', () => reasons.length === 2 * round)
    }
    t.ok(reasons.every((reason) => reason === 'client'))
    t.match(app.sse.stats(), { active: 0, rejected: 0 })
    const socket = await connectSocket(t, port)
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('both are open', () => app.sse.streams.size === 2)
    const closed = app.close()
    await until('they are ended', () => app.sse.streams.size === 0)
    socket.destroy()
    await closed
  })

  t.test('an HTTP/1.0 response has no chunks and ends with its connection', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { source: () => ['a', 'b'] })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.0\r\n\r\n')
    await once(socket, 'close')
    t.match(socket.text, /\r\n\r\ndata: a\n\ndata: b\n\n$/)
    t.match(socket.text, /connection: close/i)
  })

  t.test('the end of a POST body is no disconnect, the end of the connection is', async (t) => {
    const app = await makeApp(t)
    const reasons: unknown[] = []
    app.sseRoute({ method: 'POST', url: '/', interval: 10, payload: (request) => ({ data: request.body }), onDisconnect: (request, stream) => { reasons.push(stream.closeReason) } })
    const socket = await connectSocket(t, await listen(app))
    socket.write('POST / HTTP/1.1\r\nHost: x\r\ncontent-type: application/json\r\ncontent-length: 7\r\n\r\n{"a":')
    socket.write('1}')
    await until('events', () => socket.text.split('{"a":1}').length > 5)
    t.strictSame(reasons, [])
    socket.destroy()
    await until('the end', () => reasons.length)
    t.strictSame(reasons, ['client'])
  })

  t.test('handlerTimeout, requestTimeout and connectionTimeout do not end an open stream', async (t) => {
    const app = await makeApp(t, { heartbeat: false }, { handlerTimeout: 300, requestTimeout: 300, connectionTimeout: 300 })
    app.get('/hand', async (request, reply) => { reply.sse() })
    app.sseRoute('/route', { onConnect: () => {} })
    app.sseRoute('/ends', { source: async function * () { yield 'a' } })
    const port = await listen(app)
    const clients = await Promise.all(['/hand', '/route'].map((path) => open(t, port, path)))
    await wait(800)
    t.equal(app.sse.streams.size, 2)
    for (const client of clients) t.match(client, { ended: false, error: null })
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    t.ok(await (await open(t, port, '/ends', { agent })).finished())
  })
})

/** Starts an app and opens an HTTP/2 session with it. */
async function session (t: Test, app: Awaited<ReturnType<typeof http2App>>): Promise<ClientHttp2Session> {
  const client = connect(await app.listen({ host: '127.0.0.1', port: 0 }))
  t.teardown(() => client.destroy())
  client.on('error', () => {})
  await once(client, 'connect')
  return client
}

/** Resolves to the response of a request. */
async function ask (client: ClientHttp2Session, path: string): Promise<ClientHttp2Stream & { text: string, headers: Record<string, unknown> }> {
  const stream = Object.assign(client.request({ ':path': path }), { text: '', headers: {} })
  stream.setEncoding('utf8').on('data', (text: string) => { stream.text += text })
  stream.on('error', () => {})
  const [headers] = await once(stream, 'response')
  return Object.assign(stream, { headers })
}

async function http2App (t: Test, options: SSEPluginOptions = {}, server = {}) {
  const app = Fastify({ http2: true, ...server })
  t.teardown(() => app.close())
  await app.register(sse, options)
  return app
}

test('HTTP/2', async (t) => {
  t.test('an HTTP/2 stream has no headers that HTTP/2 forbids, and ends', async (t) => {
    const app = await http2App(t, { retry: 5 })
    app.sseRoute({ url: '/', source: () => ['a', 'x'.repeat(100_000)] })
    const client = await session(t, app)
    const stream = await ask(client, '/')
    await once(stream, 'end')
    t.match(stream.headers, { ':status': 200, 'content-type': 'text/event-stream' })
    t.notOk('connection' in stream.headers)
    t.equal(stream.text, `retry: 5\ndata: a\n\ndata: ${'x'.repeat(100_000)}\n\n`)
    t.equal(stream.rstCode, 0)
  })

  t.test('a failed source resets its HTTP/2 stream after the events that were sent', async (t) => {
    const app = await http2App(t)
    app.sseRoute({ url: '/', source: function * () { yield 'x'.repeat(50_000); throw new Error('x') }, onError: () => {} })
    const client = await session(t, app)
    const stream = await ask(client, '/')
    await until('the end', () => stream.closed)
    t.equal(stream.rstCode, 2, 'INTERNAL_ERROR')
    t.equal(stream.text, `data: ${'x'.repeat(50_000)}\n\n`)
  })

  t.test('a failed source resets its HTTP/2 stream behind a transform too', async (t) => {
    const app = await http2App(t)
    const big = 'x'.repeat(300_000)
    app.addHook('onSend', async (_request, _reply, payload) => (payload as NodeJS.ReadableStream).pipe(new PassThrough()))
    app.sseRoute({ url: '/', source: function * () { yield big; yield big; throw new Error('x') }, onError: () => {} })
    const client = await session(t, app)
    const stream = await ask(client, '/')
    await until('the end', () => stream.closed)
    t.equal(stream.rstCode, 2, 'INTERNAL_ERROR')
    t.equal(stream.text, `:\ndata: ${big}\n\ndata: ${big}\n\n`)
  })

  t.test('HTTP/2 streams that are sent the same event get its text as UTF-8', async (t) => {
    const app = await http2App(t)
    app.sseRoute('/', { topics: ['a'] })
    const client = await session(t, app)
    const streams = [await ask(client, '/'), await ask(client, '/')]
    await app.sse.publish('a', 'Zürich 🚀')
    for (const stream of streams) await until('the event', () => stream.text.endsWith('data: Zürich 🚀\n\n'))
    t.pass()
  })

  t.test('HTTP/2 events go through a function that other code has put in place of res.write', async (t) => {
    const app = await http2App(t)
    app.addHook('onRequest', async (_request, { raw }) => {
      const { write } = raw
      Object.assign(raw, { write: (chunk: unknown) => write.call(raw, String(chunk).toUpperCase(), 'utf8') })
    })
    app.sseRoute('/', { source: () => ['one', 'two'] })
    const stream = await ask(await session(t, app), '/')
    await until('the end', () => stream.closed)
    t.equal(stream.text, 'DATA: ONE\n\nDATA: TWO\n\n')
  })

  t.test('a reset of one HTTP/2 stream leaves the other streams of its session open', async (t) => {
    const app = await http2App(t, { heartbeat: 20, maxBufferedBytes: 50_000 })
    const reasons: unknown[] = []
    app.sseRoute({ url: '/tick', interval: 10, payload: () => 'tick', onDisconnect: (request, stream) => { reasons.push(stream.closeReason) } })
    app.sseRoute({ url: '/flood', source: function * () { for (;;) yield 'x'.repeat(10_000) }, onDisconnect: (request, stream) => { reasons.push(stream.closeReason) } })
    const client = await session(t, app)
    const stays = await ask(client, '/tick')
    const leaves = await ask(client, '/tick')
    const stalls = await ask(client, '/flood')
    const another = await ask(client, '/flood')
    stalls.pause()
    another.pause()
    await until('ticks', () => stays.text.split('tick').length > 3)
    leaves.close()
    await until('it is gone', () => reasons.length === 1)
    const before = stays.text.length
    await until('more ticks', () => stays.text.length > before + 50)
    stalls.close(constants.NGHTTP2_CANCEL)
    another.close(constants.NGHTTP2_NO_ERROR)
    await until('they are gone', () => reasons.length === 3)
    t.strictSame(reasons, ['client', 'client', 'client'])
    t.equal(app.sse.streams.size, 1)
  })

  t.test('an HTTP/2 client that stops reading is disconnected past maxBufferedBytes', async (t) => {
    const app = await http2App(t, { maxBufferedBytes: 200_000 })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await session(t, app)
    const stalls = await ask(client, '/')
    stalls.pause()
    let sent = 0
    for (; !stream?.closed && sent < 10_000; sent++) {
      stream?.send('x'.repeat(1_000)).catch(t.error)
      if (sent % 10 === 0) await wait(0)
    }
    t.equal(stream?.closeReason, 'overflow')
    t.ok(sent * 1_000 > 200_000)
  })

  t.test('http2SessionTimeout applies again after the last stream of a session', async (t) => {
    const app = await http2App(t, { heartbeat: false }, { http2SessionTimeout: 300 })
    app.sseRoute({ url: '/', onConnect: () => {} })
    const client = await session(t, app)
    const one = await ask(client, '/')
    const two = await ask(client, '/')
    one.close(constants.NGHTTP2_CANCEL)
    await until('one is gone', () => app.sse.streams.size === 1)
    await wait(700)
    t.equal(client.closed, false)
    two.close(constants.NGHTTP2_CANCEL)
    await until('the session is closed', () => client.closed)
  })

  t.test('connectionTimeout does not end an HTTP/2 session with an open stream, and app.close() ends all', async (t) => {
    const app = await http2App(t, { heartbeat: false }, { connectionTimeout: 300, http2SessionTimeout: 300 })
    app.sseRoute({ url: '/', onConnect: () => {} })
    app.get('/hand', async (request, reply) => { reply.sse() })
    const client = await session(t, app)
    const streams = [await ask(client, '/'), await ask(client, '/hand')]
    await wait(800)
    t.equal(app.sse.streams.size, 2)
    const start = performance.now()
    await app.close()
    t.ok(performance.now() - start < 1_000, `${performance.now() - start} ms`)
    await until('both ended', () => streams.every(({ readableEnded }) => readableEnded))
    for (const stream of streams) t.match(stream.text, /retry: \d+\n$/)
  })

  t.test('app.close() does not wait for an HTTP/2 session that either side has ended', async (t) => {
    for (const who of ['client', 'server'] as const) {
      const app = await http2App(t)
      const sessions: Http2Session[] = []
      let stream: SSEStream | undefined
      app.server.on('session', (opened) => { sessions.push(opened) })
      app.sseRoute('/', { onConnect: (_request, opened) => { stream = opened; opened.send('x'.repeat(500_000)).catch(t.error) } })
      const client = await session(t, app)
      await once(client.request({ ':path': '/' }), 'response')
      const closed = app.close()
      await until('its end is on its way', () => stream?.closeReason === 'drain')
      if (who === 'client') client.destroy()
      else sessions[0]?.destroy()
      const start = performance.now()
      await closed
      t.ok(performance.now() - start < 1_000, who)
    }
  })

  t.test('app.close() waits at most 5 s for an HTTP/2 client that does not read', async (t) => {
    const app = await http2App(t)
    app.sseRoute('/', { topics: ['a'] })
    const unread = (await session(t, app)).request({ ':path': '/' })
    await once(unread, 'response')
    const start = performance.now()
    await app.close()
    const took = performance.now() - start
    t.ok(took > 4_900 && took < 7_000, `${took} ms`)
  })
})

test('inject', async (t) => {
  t.test('inject() returns a whole stream that ends', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { source: () => ['a', 'b'] })
    t.match(await app.inject('/'), { statusCode: 200, body: 'data: a\n\ndata: b\n\n' })
  })

  t.test('inject() rejects when a source fails', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { source: function * () { yield 'a'; throw new Error('x') }, onError: () => {} })
    await t.rejects(app.inject('/'), { code: 'LIGHT_ECONNRESET' })
  })
})

test('a Unix socket carries streams as well', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: () => ['a'] })
  const folder = await mkdtemp(join(tmpdir(), 'sse-'))
  t.teardown(() => rm(folder, { recursive: true }))
  await app.listen({ path: join(folder, 'socket') })
  const request = get({ socketPath: join(folder, 'socket'), path: '/' })
  const [response] = await once(request, 'response') as [IncomingMessage]
  let text = ''
  for await (const chunk of response) text += chunk
  t.equal(text, 'data: a\n\n')
})
