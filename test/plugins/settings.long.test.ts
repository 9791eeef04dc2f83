import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect, type ClientHttp2Session } from 'node:http2'
import { get as getSecurely } from 'node:https'
import { setTimeout as wait } from 'node:timers/promises'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import Fastify, { type FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import sse from '../../lib/index.js'
import { cert, key } from '../helpers/certificate.js'
import { Client, connectSocket, listen, makeApp, open, until } from '../helpers/app.js'
import { answerOf } from './orders.js'

/** Declares a stream of each kind. Both stay open. */
function declare (app: FastifyInstance): void {
  app.sseRoute('/route', { topics: ['a'] })
  app.get('/hand', (request, reply) => { reply.sse().subscribe('a') })
}

test('handlerTimeout', async (t) => {
  const app = await makeApp(t, {}, { handlerTimeout: 300, forceCloseConnections: true })
  declare(app)
  const forever = () => new Promise<never>(() => {})
  app.sseRoute('/topics', { topics: forever })
  app.sseRoute('/first', { openOn: 'first-event', source: async function * () { await forever() } })
  app.get('/before', { preHandler: forever }, (request, reply) => { reply.sse() })
  const port = await listen(app)
  const clients = [await open(t, port, '/route'), await open(t, port, '/hand')]
  for (const path of ['/topics', '/first', '/before']) t.match(await answerOf(await open(t, port, path)), { status: 503, body: { code: 'FST_ERR_HANDLER_TIMEOUT' } }, path)
  await app.sse.publish('a', 'after')
  for (const client of clients) await client.until('data: after')
})

test('requestTimeout', async (t) => {
  const app = await makeApp(t, {}, { requestTimeout: 400, connectionTimeout: 0, http: { connectionsCheckingInterval: 20 }, forceCloseConnections: true } as object)
  declare(app)
  const port = await listen(app)
  const clients = [await open(t, port, '/route'), await open(t, port, '/hand')]
  const slow = await connectSocket(t, port)
  slow.write('GET /route HTTP/1.1\r\n')
  await until('the end of a request that does not come', () => slow.text.includes('408 Request Timeout'))
  await app.sse.publish('a', 'after')
  for (const client of clients) await client.until('data: after')
})

test('connectionTimeout', async (t) => {
  const app = await makeApp(t, { heartbeat: false }, { connectionTimeout: 400, forceCloseConnections: true })
  declare(app)
  const port = await listen(app)
  const clients = [await open(t, port, '/route'), await open(t, port, '/hand')]
  const quiet = await connectSocket(t, port)
  await once(quiet, 'close')
  await app.sse.publish('a', 'after')
  for (const client of clients) await client.until('data: after')
})

test('keepAliveTimeout', async (t) => {
  const app = await makeApp(t, {}, { keepAliveTimeout: 500, forceCloseConnections: true })
  app.sseRoute('/ends', { source: async function * () { yield 'x'; await wait(600); yield 'y' } })
  const port = await listen(app)
  const socket = await connectSocket(t, port)
  const ask = 'GET /ends HTTP/1.1\r\nHost: x\r\n\r\n'
  socket.write(ask)
  await until('the end', () => socket.text.includes('data: y') && socket.text.endsWith('0\r\n\r\n'))
  socket.write(ask)
  await until('a second stream on the connection', () => socket.text.split('0\r\n\r\n').length === 3)
  await until('the connection to time out', () => socket.destroyed)
  t.equal(socket.text.split('data: y').length, 3)
})

test('trustProxy', async (t) => {
  for (const [trustProxy, statuses] of [[false, [200, 429, 429]], ['127.0.0.1', [200, 200, 429]], [true, [200, 200, 429]]] as const) {
    const app = await makeApp(t, { maxStreamsPerClient: { max: 1 } }, { trustProxy, forceCloseConnections: true })
    declare(app)
    const port = await listen(app)
    const seen: unknown[] = []
    for (const [path, client] of [['/route', '192.0.2.1'], ['/hand', '192.0.2.2'], ['/hand', '192.0.2.1']] as const) {
      seen.push((await open(t, port, path, { headers: { 'x-forwarded-for': client } })).response.statusCode)
    }
    t.strictSame(seen, statuses, `${trustProxy}`)
  }
})

/** A Fastify instance with any protocol. */
async function prepare (t: Test, app: FastifyInstance): Promise<FastifyInstance> {
  t.teardown(() => app.close())
  await app.register(helmet)
  await app.register(cors, { origin: 'https://app.example' })
  await app.register(cookie)
  await app.register(sse)
  app.addHook('onRequest', async (request, reply) => { reply.setCookie('one', '1').setCookie('two', '2') })
  declare(app)
  return app
}

/** Both streams on one HTTP/2 session: their headers, an event, their end by app.close. */
async function overHttp2 (t: Test, app: FastifyInstance, session: ClientHttp2Session): Promise<void> {
  t.teardown(() => session.destroy())
  const streams = []
  for (const path of ['/route', '/hand']) {
    const stream = Object.assign(session.request({ ':path': path }).setEncoding('utf8'), { text: '' })
    stream.on('data', (text: string) => { stream.text += text })
    const [headers] = await once(stream, 'response')
    t.match(headers, { ':status': 200, 'content-type': 'text/event-stream', 'access-control-allow-origin': 'https://app.example', 'x-content-type-options': 'nosniff', connection: undefined })
    t.equal(headers['set-cookie'].length, 2)
    streams.push(stream)
  }
  await app.sse.publish('a', 'hello')
  for (const stream of streams) await until('the event', () => stream.text.includes('data: hello'))
  const head = session.request({ ':path': '/route', ':method': 'HEAD' })
  const [headers] = await once(head, 'response')
  t.equal(headers['content-type'], 'text/event-stream')
  await app.close()
  for (const { text } of streams) t.match(text, /retry: \d+\n$/)
}

test('http2', async (t) => {
  const app = await prepare(t, Fastify({ http2: true }) as unknown as FastifyInstance)
  await overHttp2(t, app, connect(`http://127.0.0.1:${await listen(app)}`))
})

/** A stream over HTTPS, from its headers to its end by app.close. */
async function openSecurely (t: Test, port: number, path: string): Promise<Client> {
  const request = getSecurely({ host: '127.0.0.1', port, path, ca: cert, servername: 'localhost', agent: false })
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response') as [IncomingMessage]
  request.on('error', () => {})
  t.match(response.headers, { 'content-type': 'text/event-stream', 'set-cookie': [/^one=1/, /^two=2/] })
  return new Client(request, response)
}

test('https', async (t) => {
  const app = await prepare(t, Fastify({ https: { key, cert } }) as unknown as FastifyInstance)
  const port = await listen(app)
  const clients = [await openSecurely(t, port, '/route'), await openSecurely(t, port, '/hand')]
  await app.sse.publish('a', 'hello')
  for (const client of clients) await client.until('data: hello')
  await app.close()
  for (const client of clients) t.ok(await client.finished())
})

test('http2 with https and allowHTTP1', async (t) => {
  const app = await prepare(t, Fastify({ http2: true, https: { key, cert, allowHTTP1: true } }) as unknown as FastifyInstance)
  const port = await listen(app)
  const clients = [await openSecurely(t, port, '/route'), await openSecurely(t, port, '/hand')]
  await app.sse.publish('a', 'hello')
  for (const client of clients) await client.until('data: hello')
  await overHttp2(t, app, connect(`https://127.0.0.1:${port}`, { ca: cert, servername: 'localhost' }))
  for (const client of clients) t.ok(await client.finished())
})
