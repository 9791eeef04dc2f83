import { pipeline, Readable, Transform } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { eventsOf, take } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { buildApp } from './migration/after.js'
import { check } from './migration/checks.js'
import { betterSSE, express, fastifySSE, fastifySSEv2, replyRaw } from './migration/scenarios.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/migration.md')

const urlOf = async (app: FastifyInstance) => `http://127.0.0.1:${await listen(app)}`

test('the program after the move from @fastify/sse sends news, missed news and words', async (t) => {
  const [code] = page.codeOf('A program of @fastify/sse', 'ts')
  const visit = (...titles: string[]) => [{ event: 'welcome', data: '{"from":"the editors"}' }, ...titles.map((title) => ({ event: 'news', data: JSON.stringify({ title }) }))]
  const words = ['one', 'two', 'three'].map((word) => ({ event: 'word', data: JSON.stringify({ word }) }))
  t.strictSame(await fastifySSE(t, await urlOf(await runApp(t, code))), [...visit('a', 'b'), ...visit('c', 'd'), ...words])
})

test('the program after the move from fastify-sse-v2 sends a count and orders', async (t) => {
  const [code] = page.codeOf('A program of fastify-sse-v2', 'ts')
  const counts = ['1', '2', '3'].map((data) => ({ event: 'count', data }))
  const orders = [1, 2].map((id) => ({ event: 'created', data: JSON.stringify({ id }) }))
  t.strictSame(await fastifySSEv2(t, await urlOf(await runApp(t, code))), [...counts, { event: 'hello', data: 'hello' }, ...orders])
})

test('the program after the move from better-sse sends prices to two viewers, and numbers', async (t) => {
  const [code] = page.codeOf('A program of better-sse', 'ts')
  const answers = Array(2).fill({ event: 'answer', data: '{"viewers":2}' })
  const prices = [{ event: 'hello', data: '{"open":true}' }, ...[1, 2].map((price) => ({ event: 'price', data: JSON.stringify({ price }) }))]
  const numbers = ['1', '2', '3'].map((data) => ({ event: 'number', data }))
  t.strictSame(await betterSSE(t, await urlOf(await runApp(t, code))), [...answers, ...prices, ...prices, ...numbers])
})

test('the program after the move from reply.raw sends ticks and alerts', async (t) => {
  const [code] = page.codeOf('A program with reply.raw', 'ts')
  const ticks = [1, 2].map((ticks) => ({ event: 'tick', data: JSON.stringify({ ticks }) }))
  const alerts = ['low', 'high'].map((level) => ({ event: 'alert', data: JSON.stringify({ level }) }))
  t.strictSame(await replyRaw(t, await urlOf(await runApp(t, code.replace('1_000', '20')))), [...ticks, ...alerts])
})

test('the program after the move from Express sends the messages of rooms', async (t) => {
  const [code] = page.codeOf('A program of Express', 'ts')
  const said = (text: string) => ({ event: 'said', data: JSON.stringify({ text }) })
  const joined = (room: string) => ({ event: 'joined', data: JSON.stringify({ room }) })
  t.strictSame(await express(t, await urlOf(await runApp(t, code))), [joined('red'), said('hello'), said('bye'), joined('blue'), said('hi')])
})

test('the route after the move from WebFram sends all fields', async (t) => {
  const [code] = page.codeOf('A route after the move from WebFram', 'ts')
  const stream = await injectSSE(await runApp(t, tenLines({ after: code.replace('2_000', '10') })), '/time')
  t.equal(stream.headers['x-source'], 'clock')
  t.equal(stream.raw, '')
  t.match(await stream.next(), { id: /^\d+$/, event: 'time', data: /^\{"now":\d+\}$/ })
  t.match(stream.raw, /^:?\n?id: \d+\nevent: time\n: from the clock\ndata: .*\nretry: 5000\n\n$/)
  stream.close()
})

test('the service after the move from GoFrame sends to one user and to all', async (t) => {
  const [code] = page.codeOf('The service after the move from GoFrame', 'ts')
  const app = await runApp(t, tenLines({ before: 'const userOf = (request) => request.headers[\'x-user\']', after: code }))
  const streams = [['ann', 1], ['ann', 2], ['bob', 3]].map(([user]) => injectSSE(app, { url: '/sse/create', headers: { 'x-user': user } }))
  const [first, second, bob] = await Promise.all(streams)
  if (first === undefined || second === undefined || bob === undefined) return t.fail('three streams')
  for (const stream of [first, second]) t.match(await stream.next(), { event: 'connected', data: '{"client_id":"ann"}' })
  t.match(await bob.next(), { event: 'connected', data: '{"client_id":"bob"}' })

  const send = (path: string, payload: object) => app.inject({ method: 'POST', url: `/sse/${path}`, payload })
  const mail = await send('send', { clientId: 'ann', data: '100 %d' })
  const news = await send('broadcast', { data: 'to all' })
  for (const stream of [first, second]) t.strictSame(await take(stream, 2), [{ id: mail.json().id, event: 'mail', data: '100 %d' }, { id: news.json().id, event: 'news', data: 'to all' }])
  t.match(await bob.next(), { event: 'news' })
  first.close()
  const missed = await send('send', { clientId: 'ann', data: 'missed' })
  const again = await injectSSE(app, { url: '/sse/create', headers: { 'x-user': 'ann', 'last-event-id': news.json().id } })
  t.strictSame((await take(again, 2)).map(({ event, id }) => [event, id]), [['connected', undefined], ['mail', missed.json().id]])
  for (const stream of [second, bob, again]) stream.close()
})

test('a route with two formats answers by the Accept header', async (t) => {
  const [code] = page.codeOf('A route with two formats', 'ts')
  const app = await runApp(t, tenLines({ before: 'const report = { rows: [{ n: 1 }, { n: 2 }] }', after: code }))
  t.strictSame((await app.inject('/report')).json(), { rows: [{ n: 1 }, { n: 2 }] })
  const { body } = await app.inject({ url: '/report', headers: { accept: 'text/event-stream' } })
  t.strictSame(eventsOf(body).map(({ data }) => data), ['{"n":1}', '{"n":2}'])
})

test('the rules of the page that hold for every library', async (t) => {
  const app = await makeApp(t, { heartbeat: 10 }, { forceCloseConnections: true })
  const results: unknown[] = []
  app.sseRoute('/topics', { topics: [] })
  app.get('/text', (request, reply) => reply.sse([{ data: 'hello' }, { data: ['hello'] }, { data: JSON.stringify('hello') }]))
  app.get('/wrong', async (request, reply) => {
    const stream = reply.sse()
    for (const payload of [{ id: 'a\nb' }, { data: 'x', comment: 'y' }, 'last']) results.push(await stream.send(Object(payload) === payload ? payload : 'last').catch(({ code }: { code: string }) => code))
    stream.close()
    results.push(await stream.send('closed'))
  })
  t.strictSame(eventsOf((await app.inject('/text')).body).map(({ data }) => data), ['hello', '["hello"]', '"hello"'])
  t.equal((await app.inject('/wrong')).body, 'data: last\n\n')
  t.strictSame(results, ['SSE_ERR_FIELD', 'SSE_ERR_PAYLOAD', true, false])
  t.match([(await app.inject({ method: 'HEAD', url: '/topics' })).statusCode, (await app.inject({ url: '/topics', headers: { accept: 'application/json' } })).statusCode], [200, 406])
  t.match((await app.inject({ url: '/text', headers: { accept: 'application/json' } })), { statusCode: 200, headers: { 'content-type': 'text/event-stream' } })

  const stream = await injectSSE(app, '/topics')
  await until('a heartbeat', async () => { await stream.read(); return /^:\n/m.test(stream.raw) })
  await app.sse.broadcast('missed')
  const old = await injectSSE(app, { url: '/topics', headers: { 'last-event-id': '7' } })
  await app.sse.broadcast('live')
  t.match(await old.next(), { data: 'live' }, 'the id of another library leads to no replay')
  old.close()
  t.match(await stream.next(), { data: 'missed' })
  t.match(await stream.next(), { data: 'live' })
  const closed = app.close()
  t.equal(await stream.next(), undefined)
  t.match(stream.raw, /\nretry: \d+\n$/)
  await closed
})

test('a hook makes a gap and a replay of an id of another library', async (t) => {
  const app = await makeApp(t)
  app.addHook('onRequest', async ({ headers }) => { if (/^[^-]+$/.test(String(headers['last-event-id'] ?? '-'))) headers['last-event-id'] = '0-0' })
  app.sseRoute('/', { topics: ['news'] })
  const id = await app.sse.publish('news', 'retained')
  for (const [sent, expected] of [[undefined, ['1']], [id, ['1', '2']], ['7', ['gap', 'retained', '1', '2', '3']]] as const) {
    const stream = await injectSSE(app, { url: '/', headers: { 'last-event-id': sent } })
    await app.sse.publish('news', `${expected.at(-1)}`)
    t.strictSame((await take(stream, expected.length)).map(({ event, data }) => event === 'gap' ? event : data), expected, String(sent))
    stream.close()
  }
})

test('an event of a preClose hook reaches no client, but that of drain.event does', async (t) => {
  const app = await makeApp(t, { drain: { event: 'at the end' } })
  app.addHook('preClose', async () => { await app.sse.broadcast('too late') })
  app.sseRoute('/', { topics: [] })
  const stream = await injectSSE(app, '/')
  const closed = app.close()
  t.match(await stream.next(), { data: 'at the end' })
  t.equal(await stream.next(), undefined)
  await closed
})

test('a pipeline as a source passes on its items, and its failure', async (t) => {
  const app = await makeApp(t)
  const errors: string[] = []
  const parse = () => new Transform({ objectMode: true, transform: (line, encoding, callback) => callback(null, { data: Number(line) }) })
  app.get('/lines', (request, reply) => reply.sse(pipeline(Readable.from(['1', '2']), parse(), () => {})))
  app.get('/broken', (request, reply) => {
    async function * broken () {
      yield '1'
      throw new Error('no disk')
    }
    return reply.sse(pipeline(Readable.from(broken()), parse(), () => {}), { onError: ({ message }) => errors.push(message) })
  })
  t.equal((await app.inject('/lines')).body, 'data: 1\n\ndata: 2\n\n')
  await t.rejects(app.inject('/broken'))
  t.strictSame(errors, ['no disk'])
})

test('the application that moved from @fastify/sse', async (t) => {
  const app = await buildApp()
  t.teardown(() => app.close())
  await check(t, await urlOf(app))
})
