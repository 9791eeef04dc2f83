import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { pipeline, Transform } from 'node:stream'
import Fastify from 'fastify'
import { test } from 'tap'
import sse, { defineTopic, type SSERouteOptions } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { refusalOf } from '../helpers/refusal.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/routes.md')

test('sseRoute takes the url as an option or as first argument, and returns the instance', async (t) => {
  const [code] = page.codeOf('Declare a route', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.equal((await app.inject('/countdown')).body, 'data: 3\n\ndata: 2\n\ndata: 1\n\n')
  const clock = await injectSSE(app, '/clock')
  t.match(await clock.next(), { event: 'message', data: /^\d{4}-/ })
  clock.close()
})

const payload = () => {}
const source = () => []
const resume = () => 'a'
const resumable = { key: resume }

/** For each rule of the page, options of a route that break it. */
const conflicts: Record<string, object[]> = {
  'A route needs at least one of': [{}],
  '`payload` and `source` exclude': [{ interval: 1, payload, source }],
  '`payload` needs an `interval`': [{ payload }, { interval: 1, source }],
  '`immediate`, `shared` and `payloadTimeout`': [{ source, immediate: true }, { source, shared: true }, { source, payloadTimeout: 1 }],
  '`openOn` and `end` need': [{ interval: 1, payload, openOn: 'request' }, { interval: 1, payload, end: 'x' }],
  '`items` needs a `source` or': [{ topics: [], items: 'data' }],
  '`resumable` needs a `source`': [{ topics: [], resumable }, { source, resumable, topics: [] }, { source, resumable, openOn: 'request' }],
  '`resume` excludes `source`': [{ resume, source }, { resume, interval: 1, payload }, { resume, topics: [] }, { resume, resumable }],
  '`rewind` needs `topics`': [{ source, rewind: 1 }],
  'A typed topic without `from`': [{ topics: [defineTopic('order:{id}')] }],
  'The `events` of the route and of its typed topics': [
    { topics: [defineTopic('a', { events: { x: { type: 'string' } } })], events: { x: { type: 'number' } } },
    { topics: [defineTopic('a', { events: { x: { type: 'string' } } }), defineTopic('b', { events: { x: { type: 'number' } } })] }
  ],
  'With `events`, the event of `end`': [{ source, events: { a: {} }, end: { event: 'b', data: '' } }],
  'With `events` and `items: \'data\'`': [{ source, events: { a: {} }, items: 'data' }],
  '`events` cannot have the name `gap`': [
    { topics: [], events: { gap: {} } },
    { source, clientId: () => 'a', events: { gap: {} } },
    { source, overflow: 'drop', events: { gap: {} } }
  ]
}

test('each combination of options that the page rules out is SSE_ERR_ROUTE, and the message names the options', async (t) => {
  const app = await makeApp(t)
  const rules = Array.from(page.sectionOf('Options that go together').matchAll(/^- (.*)$/gm), ([, rule = '']) => rule)
  t.equal(rules.length, Object.keys(conflicts).length)
  for (const [start, routes] of Object.entries(conflicts)) {
    t.ok(rules.some((rule) => rule.startsWith(start)), start)
    for (const options of routes) t.throws(() => app.sseRoute('/', options as SSERouteOptions), { code: 'SSE_ERR_ROUTE', message: /"\w+"/ }, start)
  }
})

test('a route sends its events as their schemas write them, and no other event', async (t) => {
  const [code] = page.codeOf('Declare events', 'ts')
  const others = `const halted = { halted: Type.String() }
    app.sseRoute('/other', { events: halted, openOn: 'first-event', source: () => [{ event: 'trade', data: '' }] })
    app.sseRoute('/more', { events: { a: Type.Object({ n: Type.Number() }) }, source: () => [{ event: 'a', data: { n: 1, secret: 2 } }] })`
  const app = await runApp(t, tenLines({ after: `${code}\n${others}` }))
  t.equal((await app.inject('/trades')).body, 'event: trade\ndata: {"symbol":"ACME","price":100}\n\nevent: halted\ndata: end of the day\n\n')
  t.match((await app.inject('/other')).json(), { statusCode: 500, code: 'SSE_ERR_UNKNOWN_EVENT' })
  t.equal((await app.inject('/more')).body, 'event: a\ndata: {"n":1}\n\n')
})

test('a schema that cannot be compiled makes app.ready() reject with SSE_ERR_SCHEMA', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { events: { a: { type: 'no type' } }, source: () => [] })
  await t.rejects(async () => { await app.ready() }, { code: 'SSE_ERR_SCHEMA' })
})

test('events named error or open are a line at level warn', async (t) => {
  const levels: number[] = []
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line: string) => { levels.push(JSON.parse(line).level) } } } })
  t.teardown(() => app.close())
  await app.register(sse)
  app.sseRoute('/a', { events: { error: {} }, topics: ['a'] })
  app.sseRoute('/b', { events: { open: {}, other: {} }, topics: ['a'] })
  app.sseRoute('/c', { events: { other: {} }, topics: ['a'] })
  t.strictSame(levels, [40, 40])
})

test('hooks run before the stream, put headers on it, and can answer in its place', async (t) => {
  const [code] = page.codeOf('Hooks of a stream', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.match(await refusalOf(app, '/private'), { error: 'sign in' })
  const stream = await injectSSE(app, { url: '/private', headers: { authorization: 'Bearer secret' } })
  t.match(stream.headers['x-request-id'], /^req-/)
  stream.close()
})

test('an onSend hook can pipe the payload by pipe or pipeline', async (t) => {
  const app = await makeApp(t)
  const upper = () => new Transform({ transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()) })
  const source = () => ['a']
  app.sseRoute('/pipe', { source, onSend: async (request, reply, payload) => (payload as NodeJS.ReadableStream).pipe(upper()) })
  app.sseRoute('/pipeline', { source, onSend: async (request, reply, payload) => pipeline(payload as NodeJS.ReadableStream, upper(), () => {}) })
  for (const url of ['/pipe', '/pipeline']) t.match((await app.inject(url)).body, /^(:\n)?DATA: A\n\n$/, url)
})

test('the headers of a stream are those shown, with status 200, before there is any event', async (t) => {
  const [shown] = page.codeOf('Status and headers', 'http')
  const app = await makeApp(t)
  app.sseRoute('/', { onConnect: () => {} })
  const { response } = await open(t, await listen(app), '/', { headers: { connection: 'keep-alive' } })
  t.equal(response.statusCode, 200)
  for (const line of shown.trimEnd().split('\n')) {
    const [name = '', value] = line.split(': ')
    t.equal(response.headers[name], value, name)
  }
})

test('a header that a hook has set stays, except the content type and a content-length', async (t) => {
  const app = await makeApp(t)
  const headers = { 'cache-control': 'no-store', 'content-type': 'text/plain', 'content-length': '3' }
  app.sseRoute('/', { onConnect: () => {}, onRequest: async (request, reply) => { reply.headers(headers) } })
  const stream = await injectSSE(app, '/')
  t.match(stream.headers, { 'cache-control': 'no-store', 'content-type': 'text/event-stream' })
  t.notOk('content-length' in stream.headers)
  t.notOk(Object.keys(stream.headers).some((name) => name.startsWith('access-control')))
  stream.close()
})

test('the content type may have the charset utf-8', async (t) => {
  const [code] = page.codeOf('Charset', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  const { headers, body } = await app.inject('/utf-8')
  t.strictSame([headers['content-type'], body], ['text/event-stream; charset=utf-8', 'data: 5 °C\n\n'])
})

test('HEAD is answered with the headers and calls no callback, and a handler with reply.sse() runs with a closed stream', async (t) => {
  const app = await makeApp(t)
  const calls: unknown[] = []
  const note = (name: string) => () => { calls.push(name) }
  app.sseRoute('/', { source: () => { calls.push('source'); return [] }, onConnect: note('onConnect'), clientId: () => { calls.push('clientId'); return 'a' }, onRequest: async () => note('onRequest')() })
  app.get('/reply', (request, reply) => { calls.push(reply.sse().closed) })
  for (const url of ['/', '/reply']) t.match(await app.inject({ method: 'HEAD', url }), { statusCode: 200, headers: { 'content-type': 'text/event-stream' }, body: '' })
  t.strictSame(calls, ['onRequest', true])
})

test('an Accept header without text/event-stream is answered 406 for GET, and ignored for POST and reply.sse()', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { method: ['GET', 'POST'], source: () => ['x'] })
  app.get('/reply', (request, reply) => reply.sse(['x']))
  const statusOf = async (accept: string | undefined, request: object) => (await app.inject({ ...request, headers: accept === undefined ? {} : { accept } })).statusCode
  t.equal(await statusOf('application/json', { url: '/' }), 406)
  t.equal(await statusOf('application/json', { url: '/', method: 'HEAD' }), 406)
  t.equal(await statusOf('*/*', { url: '/' }), 200)
  t.equal(await statusOf(undefined, { url: '/' }), 200)
  t.equal(await statusOf('application/json', { url: '/', method: 'POST' }), 200)
  t.equal(await statusOf('application/json', { url: '/reply' }), 200)
})

test('each payload has the AsyncLocalStorage store of its request', async (t) => {
  const [code] = page.codeOf('Async context', 'ts')
  const app = await runApp(t, tenLines({ before: code }))
  const port = await listen(app)
  const clients = await Promise.all(['ann', 'bob'].map((user) => open(t, port, '/me', { headers: { 'x-user': user } })))
  for (const [index, user] of ['ann', 'bob'].entries()) {
    await clients[index]?.until('\n\n', 2)
    t.equal(clients[index]?.text, `event: user\ndata: ${user}\n\n`.repeat(2))
  }
  await until('two streams', () => app.sse.streams.size === 2)
})

test('the signal of a call of payload aborts its fetch when the client disconnects', async (t) => {
  const [code] = page.codeOf('Stop a slow payload', 'ts')
  let [requests, aborted] = [0, 0]
  const server = createServer((request, response) => {
    response.on('close', () => { if (!response.writableEnded) aborted++ })
    if (++requests === 1) response.end('{"EUR":1}')
  })
  t.teardown(() => { server.closeAllConnections(); server.close() })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  const app = await runApp(t, tenLines({ after: `const upstream = 'http://127.0.0.1:${(server.address() as AddressInfo).port}/'\n${code}` }))
  const first = await injectSSE(app, '/rates')
  t.strictSame(await first.next(), { id: undefined, event: 'rates', data: '{"EUR":1}' })
  first.close()
  const second = await injectSSE(app, '/rates')
  await until('a request without an answer', () => requests === 2)
  second.close()
  await until('the request to be aborted', () => aborted === 1)
})

test('streams of one key share a payload, and a client that joins gets the latest one at once', async (t) => {
  const [code] = page.codeOf('Share a payload', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  const port = await listen(app)
  const [first, other] = [await open(t, port, '/rooms/1'), await open(t, port, '/rooms/2')]
  await first.until('\n\n')
  await other.until('\n\n')
  const second = await open(t, port, '/rooms/1')
  await second.until('\n\n')
  t.equal(second.text, first.text.slice(0, second.text.length))
  t.not(other.text, first.text)
})

test('a typed topic takes its values from the url or from a function, and checks what is published', async (t) => {
  const [code] = page.codeOf('Typed topics', 'ts')
  const app = await runApp(t, tenLines({ after: `${code}\napp.get('/ship', () => ship(42).then(() => 'shipped'))\napp.get('/names', () => [orders({ id: 42 }).name, orders({ id: 'a:b' }).name])\napp.get('/wrong', () => app.sse.publish(orders({ id: 42 }), { event: 'other', data: {} }))` }))
  const [byUrl, byFunction] = [await injectSSE(app, '/orders/42'), await injectSSE(app, { url: '/order', headers: { 'x-order': '42' } })]
  const other = await injectSSE(app, '/orders/43')
  t.strictSame((await app.inject('/names')).json(), ['order:42', 'order:a%3Ab'])
  t.throws(() => defineTopic('order{id}'), { code: 'SSE_ERR_OPTION' })
  t.equal((await app.inject('/ship')).body, 'shipped')
  t.match((await app.inject('/wrong')).json(), { code: 'SSE_ERR_UNKNOWN_EVENT' })
  for (const stream of [byUrl, byFunction]) t.match(await stream.next(), { event: 'shipped', data: '{"carrier":"DHL"}' })
  await app.sse.publish('announcements', 'new')
  t.match(await byFunction.next(), { data: 'new' })
  t.match(app.sse.stats(), { sent: 3 })
  for (const stream of [byUrl, byFunction, other]) stream.close()
})

test('a new client first gets the newest events of its room, and a client with an id those after it', async (t) => {
  const [code] = page.codeOf('Send earlier events to a new client', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  const ids: string[] = []
  for (let i = 0; i < 30; i++) ids.push(await app.sse.publish('room:1', String(i)))
  const dataOf = async (headers: Record<string, string>, count: number) => {
    const stream = await injectSSE(app, { url: '/chat/1', headers })
    const data: unknown[] = []
    while (data.length < count) data.push((await stream.next())?.data)
    stream.close()
    return data
  }
  t.strictSame(await dataOf({}, 20), Array.from({ length: 20 }, (_, index) => String(index + 10)))
  t.strictSame(await dataOf({ 'last-event-id': ids[28] ?? '' }, 1), ['29'])
})

test('a snapshot is sent to a new client and in place of a gap, but not to a client whose missed events are retained', async (t) => {
  const [code] = page.codeOf('Send a snapshot when it is needed', 'ts')
  const app = await runApp(t, tenLines({ before: 'const snapshot = () => ({ event: \'snapshot\', data: \'all\' })', after: code }).replace('register(sse)', 'register(sse, { history: { size: 1 } })'))
  const ids: string[] = []
  for (const data of ['0', '1', '2']) ids.push(await app.sse.publish('board', data))
  const first = async (headers: Record<string, string>) => {
    const stream = await injectSSE(app, { url: '/board', headers })
    const event = await stream.next()
    stream.close()
    return `${event?.event} ${event?.data}`
  }
  t.equal(await first({}), 'snapshot all')
  t.equal(await first({ 'last-event-id': ids[0] ?? '' }), 'snapshot all')
  t.equal(await first({ 'last-event-id': ids[1] ?? '' }), 'message 2')
})
