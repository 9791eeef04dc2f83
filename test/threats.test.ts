import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { FastifyRequest } from 'fastify'
import { type Test, test } from 'tap'
import { SSEError, sse } from '../lib/client/index.js'
import { newStreamId } from '../lib/stream/id.js'
import { injectSSE } from '../lib/testing.js'
import { connectSocket, listen, makeApp, open, until } from './helpers/app.js'
import { root } from './docs/document.js'
import { hubOf } from './helpers/subscriber.js'
import { serve } from './client/server.js'

test('each test quoted in SECURITY.md exists', (t) => {
  const named = [...readFileSync(join(root, 'SECURITY.md'), 'utf8').matchAll(/\[“(.*?)”\]\((test\/.*?)\)/g)]
  t.ok(named.length > 40)
  for (const [, title = '', file = ''] of named) {
    const path = join(root, file)
    t.ok(existsSync(path) && readFileSync(path, 'utf8').replaceAll("\\'", "'").includes(`('${title}', `), `${file}: ${title}`)
  }
  t.end()
})

/** Returns requests with forged last event ids: with and without the form of the log, as header, as query, as both, and twice. */
function forgedRequests (ids: string[]): string[] {
  const query = (id: string) => `/?topics=secret&topic=secret&clientId=ann&lastEventId=${encodeURIComponent(id)}`
  const odd = ['0-0', '0-1', '99999999999999-0', '18446744073709551615-18446744073709551615', '1'.repeat(15_000), '\xff\xfe', "'\"<>\\", '%0adata: a', '1-0, 2-0', '__proto__', '-1--1', '01-0']
  return [
    ...[...ids, ...odd].map((id) => `GET /?topics=secret HTTP/1.1\r\nhost: a\r\nlast-event-id: ${id}\r\ntopics: secret\r\nclient-id: ann\r\n`),
    ...[...ids, '0-0', '\n\ndata: forged\n\n', '1\r\nid: 2', '\0', '\u2028'].map((id) => `GET ${query(id)} HTTP/1.1\r\nhost: a\r\n`),
    `GET ${query('0-0')} HTTP/1.1\r\nhost: a\r\nlast-event-id: ${ids[0]}\r\n`,
    'GET / HTTP/1.1\r\nhost: a\r\nlast-event-id: 0-0\r\nlast-event-id: 0-1\r\n'
  ]
}

test('a client with any Last-Event-ID gets only events of its own topics and broadcasts', async (t) => {
  const lines: string[] = []
  const app = await makeApp(t, {}, { logger: { level: 'trace', stream: { write: (line: string) => { lines.push(line) } } } })
  app.sseRoute('/', { topics: ['own'] })
  const port = await listen(app)
  const ids = [await app.sse.publish('secret', 'SECRET'), await app.sse.publish('own', 'own'), await app.sse.sendTo('ann', 'SECRET'), await app.sse.publish('secret', 'SECRET')]
  for (const request of forgedRequests(ids)) {
    const socket = await connectSocket(t, port)
    socket.write(`${request}\r\n`, 'latin1')
    await until('the stream to be open', () => app.sse.streams.size === 1)
    await app.sse.publish('secret', 'SECRET')
    await app.sse.broadcast('over')
    // arrives also if it was replayed before
    await until('the broadcast', () => /data: over\n\n\r\n$/.test(socket.text))
    t.notMatch(socket.text, /SECRET|^data: (?!own$|over$|\{)/m, request.slice(0, 200))
    socket.destroy()
    await until('the stream to be closed', () => app.sse.streams.size === 0)
  }
  t.strictSame([hubOf(app).topics.size, hubOf(app).clients.size], [0, 0])
  for (const line of lines) t.doesNotThrow(() => JSON.parse(line), 'each log line is valid JSON')
  t.ok(lines.every((line) => line.indexOf('\n') === line.length - 1))
})

test('a client that is given a topic gets the retained events of that topic from before, if it asks for them', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['room'] })
  await app.sse.publish('room', 'before')
  const stream = await injectSSE(app, { url: '/', headers: { 'last-event-id': '0-0' } })
  t.match([await stream.next(), await stream.next()], [{ event: 'gap' }, { data: 'before' }])
  stream.close()
})

test('a flood on one topic evicts no missed event of another topic within history.maxBytes, and beyond it leads to a gap', async (t) => {
  const [roomy, narrow] = await Promise.all([makeApp(t, { history: { size: 100 } }), makeApp(t, { history: { size: 100, maxBytes: 20_000 } })])
  const replayed: unknown[] = []
  for (const app of [roomy, narrow]) {
    app.sseRoute('/', { topics: ['quiet'], clientId: () => 'ann' })
    const place = await app.sse.publish('quiet', 'seen')
    const open = await injectSSE(app, { url: '/', headers: { 'last-event-id': place } })
    await app.sse.publish('quiet', 'missed')
    await app.sse.sendTo('ann', 'for ann')
    for (let n = 0; n < 1_000; n++) await app.sse.publish('chat', 'flood')
    t.match([await open.next(), await open.next()], [{ data: 'missed' }, { data: 'for ann' }], 'an open stream gets all events')
    const reconnected = await injectSSE(app, { url: '/', headers: { 'last-event-id': place } })
    await app.sse.broadcast('over')
    const events: unknown[] = []
    for (let data; data !== 'over';) {
      const event = await reconnected.next()
      data = event?.data
      events.push(event?.event === 'gap' ? 'gap' : data)
    }
    replayed.push(events)
    open.close()
    reconnected.close()
  }
  t.strictSame(replayed, [['missed', 'for ann', 'over'], ['gap', 'over']])
})

test('an open stream continues after its user has lost the permission, until it is closed or maxLifetime ends; then the user is refused', async (t) => {
  const app = await makeApp(t, { heartbeat: false })
  const users = new Set(['ann', 'bob'])
  const isUser = async ({ headers }: FastifyRequest) => {
    if (!users.has(String(headers.user))) throw Object.assign(new Error('signed out'), { statusCode: 401 })
  }
  const options = { preHandler: isUser, topics: ['private'], clientId: ({ headers }: FastifyRequest) => String(headers.user) }
  app.sseRoute('/', options)
  app.sseRoute('/for-a-while', { ...options, maxLifetime: 300 })
  const port = await listen(app)
  const ann = await open(t, port, '/', { headers: { user: 'ann' } })
  const bob = await open(t, port, '/for-a-while', { headers: { user: 'bob' } })
  users.clear()
  const id = await app.sse.publish('private', 'still there')
  for (const client of [ann, bob]) await client.until('still there')

  t.ok(await bob.finished(), 'closed by maxLifetime')
  for (const stream of app.sse.streams.values()) if (stream.clientId === 'ann') stream.close()
  t.ok(await ann.finished(), 'closed by the app')
  await app.sse.publish('private', 'later')
  for (const user of ['ann', 'bob']) {
    const back = await open(t, port, '/', { headers: { user, 'last-event-id': id } })
    await back.finished()
    t.equal(back.response.statusCode, 401)
    t.notMatch(back.text, 'later')
  }
  for (const client of [ann, bob]) t.notMatch(client.text, 'later')
})

test('ids of streams are 120 random bits', (t) => {
  const ids = new Set(Array.from({ length: 10_000 }, newStreamId))
  t.equal(ids.size, 10_000)
  for (const id of ids) if (!/^[\w-]{20}$/.test(id)) t.fail(id)
  for (let i = 0; i < 20; i++) t.equal(new Set(Array.from(ids, (id) => id[i])).size, 64, 'each character takes all 64 values')
  t.end()
})

test('topics, client ids, events and keys can have names such as __proto__', async (t) => {
  const names = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty']
  const before = Reflect.ownKeys(Object.prototype)
  const nameOf = ({ headers }: FastifyRequest) => String(headers.name)
  const app = await makeApp(t, { clientId: nameOf, maxStreamsPerClient: { max: 1, key: nameOf } })
  app.sseRoute('/', { topics: (request) => [nameOf(request)], interval: 60_000, shared: nameOf, payload: (request) => ({ event: nameOf(request), data: 'tick' }) })
  const streams = await Promise.all(names.map((name) => injectSSE(app, { url: '/', headers: { name } })))
  for (const name of names) {
    await app.sse.publish(name, { event: name, data: 'topic' })
    await app.sse.sendTo(name, { event: name, data: JSON.parse(`{ "${name}": 1 }`) })
    t.equal((await app.inject({ url: '/', headers: { name } })).statusCode, 429)
  }
  for (const [i, stream] of streams.entries()) {
    const [tick, topic, sent] = [await stream.next(), await stream.next(), await stream.next()]
    t.match([tick, topic, sent].map((event) => event?.event), Array(3).fill(names[i]))
    t.strictSame([tick?.data, topic?.data, sent?.data], ['tick', 'topic', `{"${names[i]}":1}`])
    stream.close()
  }
  t.strictSame(Reflect.ownKeys(Object.prototype), before)
})

test('pipelined requests count against the limits, each once', async (t) => {
  const app = await makeApp(t, { maxStreams: 20 })
  const warnings: Error[] = []
  const warn = (warning: Error) => warnings.push(warning)
  process.on('warning', warn)
  t.teardown(() => process.off('warning', warn))
  app.sseRoute('/', { topics: [] })
  app.sseRoute('/short', { source: () => ['a'] })
  const port = await listen(app)
  const get = (path: string) => `GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`
  // all places are free the second time, also if the turn of a pipelined request had come
  for (const rejected of [5, 10]) {
    const socket = await connectSocket(t, port)
    socket.write(get('/short') + get('/').repeat(24))
    await until('the other requests to be refused', () => app.sse.stats().rejected === rejected)
    await until('the first response to end', () => socket.text.includes('0\r\n\r\n'))
    t.equal(app.sse.streams.size, 19)
    socket.destroy()
    await until('all streams to be closed', () => app.sse.streams.size === 0)
  }
  t.strictSame(warnings, [])
})

test('a content-length copied from another response does not turn events into a forged response', async (t) => {
  const app = await makeApp(t, { headers: { 'content-length': '5' } })
  app.addHook('onRequest', async (_request, reply) => { reply.header('content-length', '5') })
  app.sseRoute('/', { source: () => ['a', 'HTTP/1.1 200 OK'] })
  const client = await open(t, await listen(app), '/')
  t.ok(await client.finished())
  t.notOk(client.response.headers['content-length'])
  t.equal(client.text, 'data: a\n\ndata: HTTP/1.1 200 OK\n\n')
})

/** Returns the CPU time that a call takes, ms. */
async function cpuTimeOf (work: () => unknown): Promise<number> {
  const before = process.cpuUsage()
  await work()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1_000
}

test('an Accept header of 15,000 characters is parsed in less than a second, whatever its form', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: [] })
  for (const part of [',', ';', ' ', '"', '\\', '*/*,', 'a/b;q=', 'a/b;', 'a/', 'a/b;c="', '*/*;q=0.1111111', 'text/event-stream;a=', 'a/b;c="\\",']) {
    const accept = part.repeat(15_000 / part.length)
    t.ok(await cpuTimeOf(() => app.inject({ url: '/', method: 'HEAD', headers: { accept } })) < 1_000, part)
  }
})

/** Writes 32 MB as fast as the client reads. */
const writeMuch = async (response: ServerResponse) => {
  const part = Buffer.alloc(16_384, 'x')
  for (let i = 0; i < 2_000 && !response.destroyed; i++) if (!response.write(part)) await Promise.race([once(response, 'drain'), once(response, 'close')])
  response.end('\n\n')
}

test('the client keeps at most a megabyte of a response that is not an event stream', async (t) => {
  const { url } = await serve(t, (response) => writeMuch(response.writeHead(404)))
  const error: unknown = await sse(url).next().catch((error: unknown) => error)
  t.ok(error instanceof SSEError && error.code === 'SSE_ERR_NO_STREAM' && error.body?.length === 1_048_576)
})

test('the client reads a long line as fast as many short ones', async (t) => {
  const { url } = await serve(t, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: ')
    return writeMuch(response)
  })
  const events = sse(url, { text: true })
  t.ok(await cpuTimeOf(async () => t.equal((await events.next()).value?.data.length, 2_000 * 16_384)) < 5_000)
  await events.return?.()
})

/** Starts a server that records its requests. */
async function startReceiver (t: Test): Promise<{ port: number, asked: IncomingMessage[] }> {
  const asked: IncomingMessage[] = []
  const server = createServer((request, response) => {
    asked.push(request)
    response.writeHead(200, { 'content-type': 'text/event-stream' }).end('data: 1\n\n')
  }).listen(0)
  t.teardown(() => server.close().closeAllConnections())
  await once(server, 'listening')
  return { port: (server.address() as AddressInfo).port, asked }
}

test('the client follows a redirect to another origin without Authorization and Cookie, but with all other headers', async (t) => {
  const { port, asked } = await startReceiver(t)
  const { url } = await serve(t, (response) => { response.writeHead(307, { location: `http://localhost:${port}/` }).end() })
  const events = sse(url, { lastEventId: '5-0', headers: { authorization: 'Bearer a', cookie: 'a=b', 'x-api-key': 'c' }, reconnect: false })
  await events.next()
  const { authorization, cookie, 'x-api-key': key, 'last-event-id': id } = asked[0]?.headers ?? {}
  t.strictSame([authorization, cookie, key, id], [undefined, undefined, 'c', '5-0'])
  await events.return?.()
})
