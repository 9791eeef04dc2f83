import { once } from 'node:events'
import { connect } from 'node:http2'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import { encode } from '../../lib/event/encode.js'
import { compareEventIds } from '../../lib/event/id.js'
import type { SSEPluginOptions } from '../../lib/index.js'
import { readPluginOptions } from '../../lib/options/read.js'
import { injectSSE } from '../../lib/testing.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'
import { eventsOf, follow, hubOf, idsOf, publishAll, serveTopics, take } from '../helpers/subscriber.js'
import { pageOf } from './document.js'

const page = pageOf('docs/wire.md')

const ID = /\d{13}-\d+/g
const withoutIds = (text: string) => text.replaceAll(ID, 'ID')
const idsIn = (text: string) => text.match(ID) ?? []
const sorted = (ids: string[]) => [...ids].sort(compareEventIds)

/** Starts an app, and opens its stream at `/`. */
async function opened (t: Test, options: SSEPluginOptions, declare: (app: FastifyInstance) => void, headers = {}) {
  const app = await makeApp(t, options)
  declare(app)
  return { app, client: await open(t, await listen(app), '/', { headers }) }
}

test('an sseRoute answers 406 to GET and HEAD requests that rule out text/event-stream, and to no others', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { method: ['GET', 'POST'], source: () => ['x'] })
  app.sseRoute('/any', { accept: 'any', source: () => ['x'] })
  app.get('/reply', (_request, reply) => reply.sse(['x']))
  const statusOf = async (method: 'GET' | 'HEAD' | 'POST', url: string, accept?: string) => (await app.inject({ method, url, headers: accept === undefined ? {} : { accept } })).statusCode
  for (const accept of [undefined, '*/*', 'text/event-stream']) t.equal(await statusOf('GET', '/', accept), 200, String(accept))
  t.equal(await statusOf('GET', '/', 'application/json'), 406)
  t.equal(await statusOf('HEAD', '/', 'application/json'), 406)
  t.equal(await statusOf('POST', '/', 'application/json'), 200)
  for (const url of ['/any', '/reply']) t.equal(await statusOf('GET', url, 'application/json'), 200, url)
})

test('the id comes by header as UTF-8 or Latin-1, or by the query, and an empty one is none', async (t) => {
  const [shown] = page.codeOf('The query parameter lastEventId', '')
  const query = shown.trim().replace('/orders/42', '/')
  const app = await makeApp(t)
  app.get('/', (_request, reply) => reply.sse((stream) => [{ data: { id: stream.lastEventId } }]))
  const port = await listen(app)
  const given: [path: string, header: string | undefined, expected: string | null][] = [
    ['/', undefined, null],
    ['/', '', null],
    ['/?lastEventId=', undefined, null],
    [query, undefined, '1795268393210-482917305'],
    [query, '7', '7'],
    ['/', Buffer.from('… é').toString('latin1'), '… é'],
    ['/', 'é', 'é']
  ]
  for (const [path, header, expected] of given) {
    const client = await open(t, port, path, { headers: header === undefined ? {} : { 'last-event-id': header } })
    await client.finished()
    t.match(client.text, `data: ${JSON.stringify({ id: expected })}\n\n`, `${path} ${header}`)
  }
})

test('an id of the form of the log is replayed from, any other leads to no replay and no gap', async (t) => {
  const app = await makeApp(t)
  serveTopics(app)
  const [first = '', second] = await publishAll(app, 'a', '1', '2')
  const known = await follow(app, 'a', first)
  t.match(await known.next(), { id: second, data: '2' })
  const others = ['7', '01-0', '1-00', '1', '1-', `${2n ** 64n}-0`]
  const streams = await Promise.all(others.map((id) => follow(app, 'a', id)))
  const third = await app.sse.publish('a', '3')
  for (const [i, stream] of streams.entries()) t.match(await stream.next(), { data: '3' }, String(others[i]))
  const greatest = await follow(app, 'a', `${2n ** 64n - 1n}-${2n ** 64n - 1n}`)
  t.match(await take(greatest, 4), [{ event: 'gap' }, { id: first }, { id: second }, { id: third }])
})

test('the head of a response is the one shown, and is sent before the first event', async (t) => {
  const [shown] = page.codeOf('The response', 'http')
  const app = await makeApp(t)
  app.sseRoute('/', { topics: [] })
  app.sseRoute('/charset', { topics: [], headers: { 'content-type': 'text/event-stream; charset=utf-8' } })
  app.sseRoute('/html', { topics: [], headers: { 'content-type': 'text/html', 'content-length': '5' } })
  app.get('/status', (_request, reply) => { reply.code(202).sse().close() })
  app.get('/quiet', (_request, reply) => { reply.sse() })
  const port = await listen(app)
  const socket = await connectSocket(t, port)
  socket.write('GET /quiet HTTP/1.1\r\nHost: a\r\n\r\n')
  await until('the head', () => socket.text.includes('\r\n\r\n'))
  const [head = '', body] = socket.text.split('\r\n\r\n')
  t.strictSame(head.toLowerCase().split('\r\n').filter((line) => !/^(date|transfer-encoding|keep-alive):/.test(line)).sort(), shown.trim().toLowerCase().split('\n').sort())
  t.equal(body, '', 'no event')
  const typeOf = async (path: string) => (await open(t, port, path)).response.headers['content-type']
  t.equal(await typeOf('/charset'), 'text/event-stream; charset=utf-8')
  t.equal(await typeOf('/html'), 'text/event-stream')
  t.equal((await open(t, port, '/html')).response.headers['content-length'], undefined)
  t.equal((await open(t, port, '/status')).response.statusCode, 202)
  const { statusCode, headers, body: none } = await app.inject({ method: 'HEAD', url: '/' })
  t.match([statusCode, headers['content-type'], none], [200, 'text/event-stream', ''])
})

test('a response of a limit is the one shown, and a closing server sends no Retry-After', async (t) => {
  const [shown] = page.codeOf('Refusals', 'http')
  const app = await makeApp(t, { maxStreams: 2, maxStreamsPerClient: { max: 1, key: ({ headers }) => String(headers.user) } })
  app.sseRoute('/', { topics: [] })
  app.sseRoute('/late', { openOn: 'first-event', source: (_request, { signal }) => once(signal, 'abort').then(() => []) })
  const port = await listen(app)
  const late = open(t, port, '/late', { headers: { user: 'ann' } })
  const first = await open(t, port, '/', { headers: { user: 'bob' } })
  const refusal = async (user: string) => (await app.inject({ url: '/', headers: { user } }))
  const { statusCode, headers, body } = await refusal('cid')
  const [head = '', text] = shown.split('\n\n')
  const [status, ...lines] = head.split('\n')
  t.equal(`HTTP/1.1 ${statusCode} Service Unavailable`, status)
  for (const line of lines) t.equal(`${line.split(': ')[0]}: ${headers[line.split(': ')[0] ?? '']}`, line)
  t.equal(body, text?.trim())
  first.disconnect()
  await until('a place', () => app.sse.stats().active === 0)
  t.match(await refusal('ann'), { statusCode: 429, headers: { 'retry-after': '5' } })
  await app.close()
  const { response } = await late
  t.equal(response.statusCode, 503)
  t.equal(response.headers['retry-after'], undefined)
})

test('the fields of an event, its line breaks and its empty values are written as shown', (t) => {
  const [fields] = page.codeOf('Order of the fields', '')
  const [breaks] = page.codeOf('Line breaks', '')
  const [empty] = page.codeOf('Empty values', '')
  t.equal(encode({ retry: 1_000, data: { symbol: 'ACME' }, comments: 'a comment', event: 'price', id: 7 }), fields)
  t.equal(encode({ data: 'one\r\ntwo\rthree', comments: 'two\nlines' }), breaks)
  t.equal(encode({ id: '', event: 'empty', data: '' }) + encode({ event: 'null', data: null }) + encode({ event: 'none' }), empty)
  for (const field of [{ id: 'a\nb' }, { id: 'a\0' }, { event: 'a\rb' }, { event: 'a\0' }]) t.throws(() => encode({ ...field, data: 'x' }), { code: 'SSE_ERR_FIELD' })
  t.equal(encode({ event: '', data: 'x' }), 'data: x\n\n')
  t.strictSame(eventsOf(empty).map(({ event, data }) => [event, data]), [['empty', ''], ['null', 'null']], 'nothing is dispatched without data')
  t.end()
})

test('a stream without topics opens with retry, and its first event follows on the next line', async (t) => {
  const [shown] = page.codeOf('Retry', '')
  const { client } = await opened(t, { retry: 1_000 }, (app) => app.sseRoute('/', { source: () => ['hello'] }))
  await client.finished()
  t.equal(client.text, shown)
})

test('the bytes of a stream with topics are those shown, from the opening to the id line of a heartbeat', async (t) => {
  const [shown, withRetry = ''] = page.codeOf('A stream with topics', '')
  const published: string[] = []
  const { client } = await opened(t, { heartbeat: 50 }, (app) => app.sseRoute('/', {
    topics: ['order:42'],
    onConnect: async () => {
      published.push(await app.sse.publish('order:42', { event: 'shipped', data: { carrier: 'DHL' } }), ...await publishAll(app, 'order:41', 'a', 'b', 'c'))
    }
  }))
  await client.until('\n\n', 3)
  const text = client.text.slice(0, shown.length + 100)
  t.equal(withoutIds(text.split('\n\n', 3).join('\n\n')), withoutIds(shown).trimEnd())
  t.strictSame(idsOf(text).slice(1, 3), [published[0], published[3]])
  t.strictSame(idsOf(shown), sorted(idsOf(shown)))

  const { app, client: second } = await opened(t, { retry: 1_000 }, (app) => app.sseRoute('/', { topics: ['a'] }))
  await second.until('\n\n')
  t.equal(withoutIds(second.text), withoutIds(withRetry))
  t.strictSame(idsOf(second.text), [hubOf(app).newest])
})

test('published events, gaps and id lines advance the id, events of one stream do not', async (t) => {
  const app = await makeApp(t, { heartbeat: false })
  app.sseRoute('/', { topics: ['a'], onConnect: (_request, stream) => stream.send('greeting') })
  const [first = '', second] = await publishAll(app, 'a', '1', '2')
  const last = await app.sse.publish('b', 'for others')
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': first } })
  await client.until(`id: ${last}\n\n`)
  t.equal(client.text, `id: ${first}\n\ndata: greeting\n\nid: ${second}\ndata: 2\n\nid: ${last}\n\n`)
})

test('a stream without topics opens without an id, and its heartbeats have one after a broadcast, or if its client sent one', async (t) => {
  const app = await makeApp(t, { heartbeat: 30 })
  app.sseRoute('/', { onConnect: () => {} })
  app.sseRoute('/on', { topics: ['a'] })
  const port = await listen(app)
  const client = await open(t, port, '/')
  await client.until(':\n:\n')
  const newest = await app.sse.publish('a', 'x')
  await client.until(':\n', 6)
  t.strictSame(idsOf(client.text), [], 'none at first')
  const returned = await open(t, port, '/', { headers: { 'last-event-id': newest } })
  const broadcast = await app.sse.broadcast('y')
  await client.until(`id: ${broadcast}\ndata: y\n\n`)
  const later = await app.sse.publish('a', 'x')
  for (const each of [client, returned]) await each.until(`id: ${later}\n\n`)
})

test('after an id of the application published events and heartbeats have none', async (t) => {
  const { app, client } = await opened(t, { heartbeat: 30 }, (app) => app.sseRoute('/', { onConnect: (_request, stream) => stream.send({ id: 'own', data: 'x' }) }))
  await client.until('id: own\ndata: x\n\n')
  await app.sse.broadcast('y')
  await client.until('data: y\n\n:\n:\n')
  t.strictSame(idsOf(client.text), ['own'])
})

test('a heartbeat is the comment shown, after 15 s by default, and has no blank line', async (t) => {
  const [shown] = page.codeOf('Heartbeats', '')
  t.match(page.sectionOf('Heartbeats'), `after ${Number(readPluginOptions({}).stream.heartbeat) / 1_000} s without a byte`)
  const { client } = await opened(t, { heartbeat: 20 }, (app) => app.sseRoute('/', { onConnect: () => {} }))
  await client.until(shown, 3)
  t.equal(client.text.replaceAll(shown, ''), '')
})

test('an event that does not advance the id does not postpone the heartbeat of a stream with topics', async (t) => {
  const { app, client } = await opened(t, { heartbeat: 50 }, (app) => app.sseRoute('/', { topics: ['a'], interval: 5, payload: () => 'tick' }))
  await client.until('data: tick', 2)
  const id = await app.sse.publish('b', 'x')
  await client.until(`\n\nid: ${id}\n\n`)
})

test('the bytes of a gap are those shown, and its id leads to no second gap', async (t) => {
  const [shown] = page.codeOf('Gap events', '')
  const app = await makeApp(t, { history: { size: 1 } })
  app.sseRoute('/', { topics: ['a'] })
  const [seen = '', missed = '', retained = ''] = await publishAll(app, 'a', '0', '1', '2')
  const port = await listen(app)
  const client = await open(t, port, '/', { headers: { 'last-event-id': seen } })
  await client.until('data: 2\n\n')
  const [opening, gap = '', event] = client.text.split('\n\n')
  t.equal(withoutIds(gap), withoutIds(shown).trimEnd())
  t.strictSame(idsIn(gap), [missed, seen, retained])
  t.strictSame([opening, event], [`id: ${seen}`, `id: ${retained}\ndata: 2`])
  const again = await open(t, port, '/', { headers: { 'last-event-id': missed } })
  await again.until('data: 2\n\n')
  t.notMatch(again.text, 'event: gap')
  await app.sse.publish('a', '3')
  await client.until('data: 3\n\n')
})

test('the gap of a stream without ids of the log is the one shown', async (t) => {
  const [shown] = page.codeOf('Gaps without an id', '')
  const { app, client } = await opened(t, { overflow: 'drop', maxBufferedBytes: 50_000 }, (app) => {
    app.get('/', async (_request, reply) => {
      const stream = reply.sse()
      for (; app.sse.stats().dropped === 0; await turn()) stream.send('x'.repeat(50_000))
    })
  }, { 'last-event-id': '7' })
  client.pause()
  await until('an event to be dropped', () => app.sse.stats().dropped > 0)
  client.resume()
  await client.until('event: gap')
  await client.until(shown)
  t.notMatch(client.text, /^id:/m)
})

test('a stream at shutdown ends cleanly with the bytes shown, and a random time', async (t) => {
  const [shown] = page.codeOf('Shutdown', '')
  const app = await makeApp(t, { drain: { event: { event: 'restart', data: '' }, spread: 2_000 } })
  app.sseRoute('/', { onConnect: () => {} })
  const port = await listen(app)
  const clients = await Promise.all(Array.from({ length: 20 }, () => open(t, port, '/')))
  await until('all to be open', () => app.sse.streams.size === 20)
  await app.close()
  const times = new Set<number>()
  for (const client of clients) {
    t.ok(await client.finished())
    const [, time] = /retry: (\d+)\n$/.exec(client.text) ?? []
    t.equal(client.text, shown.replace(/\d+/, String(time)))
    t.ok(Number(time) >= 400 && Number(time) <= 2_000, String(time))
    times.add(Number(time))
  }
  t.ok(times.size > 10, 'not one time for all')
})

test('a clean end over HTTP/1.1 is the last chunk, and a failed stream closes without it, after its events', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/ends', { source: () => ['x'] })
  app.sseRoute('/fails', { source: function * () { yield 'x'; throw new Error('x') }, onError: () => {} })
  const port = await listen(app)
  for (const path of ['/ends', '/fails']) {
    const socket = await connectSocket(t, port)
    socket.write(`GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n`)
    await once(socket, 'close')
    t.equal(socket.text.slice(socket.text.indexOf('\r\n\r\n') + 4), `9\r\ndata: x\n\n\r\n${path === '/ends' ? '0\r\n\r\n' : ''}`, path)
  }
})

test('a clean end over HTTP/2 is END_STREAM, and a failed stream is reset with INTERNAL_ERROR', async (t) => {
  const app = await makeApp(t, {}, { http2: true } as object)
  app.sseRoute('/ends', { source: () => ['x'] })
  app.sseRoute('/fails', { source: function * () { yield 'x'; throw new Error('x') }, onError: () => {} })
  const session = connect(`http://127.0.0.1:${await listen(app)}`)
  t.teardown(() => session.destroy())
  for (const [path, code] of [['/ends', 0], ['/fails', 2]] as const) {
    const stream = session.request({ ':path': path })
    let text = ''
    stream.setEncoding('utf8').on('data', (part) => { text += part }).on('error', () => {})
    await new Promise((resolve) => { stream.once('close', resolve) })
    t.strictSame([text, stream.rstCode], ['data: x\n\n', code], path)
  }
})

test('streams that idleTimeout, maxLifetime or expires closes end cleanly', async (t) => {
  for (const options of [{ idleTimeout: 20 }, { maxLifetime: 20 }, { expires: () => Date.now() + 20 }]) {
    const { expires, ...settings } = { expires: () => undefined as number | undefined, ...options }
    const { client } = await opened(t, settings, (app) => app.sseRoute('/', { expires, onConnect: () => {} }))
    t.ok(await client.finished())
  }
})

test('a rewind begins without an id, and an id line follows it if the newest id of the log belongs to none of its events', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'], rewind: 2 })
  const ids = [...await publishAll(app, 'a', '0', '1', '2'), ...await publishAll(app, 'b', 'other')]
  const client = await open(t, await listen(app), '/')
  await client.until('\n\n', 3)
  t.equal(client.text, `id: ${ids[1]}\ndata: 1\n\nid: ${ids[2]}\ndata: 2\n\nid: ${ids[3]}\n\n`)
})

test('a gap comes in the place of the missing events, and not on a stream of another topic', async (t) => {
  const app = await makeApp(t, { history: { size: 2 } })
  app.sseRoute('/both', { topics: ['quiet', 'busy'] })
  app.sseRoute('/quiet', { topics: ['quiet'] })
  const ids = [...await publishAll(app, 'busy', 'seen'), ...await publishAll(app, 'quiet', 'older'), ...await publishAll(app, 'busy', '0', '1', '2'), ...await publishAll(app, 'quiet', 'later')]
  const both = await take(await follow(app, '/both', ids[0]), 5)
  t.match(both, [{ data: 'older' }, { id: ids[2], event: 'gap' }, { data: '1' }, { data: '2' }, { data: 'later' }])
  t.match(JSON.parse(both[1]?.data ?? ''), { lastEventId: ids[1] })
  t.match(await take(await follow(app, '/quiet', ids[0]), 2), [{ data: 'older' }, { data: 'later' }])
  t.equal(app.sse.stats().gaps, 1)
})

test('an event in place of a gap has the id of the gap', async (t) => {
  const app = await makeApp(t, { history: { size: 1 } })
  app.sseRoute('/', { topics: ['a'], onGap: () => 'state' })
  const ids = await publishAll(app, 'a', '0', '1', '2')
  t.match(await take(await follow(app, '/', ids[0]), 2), [{ id: ids[1], data: 'state' }, { id: ids[2], data: '2' }])
})

test('the plugin sends no 204, and names in the table of refusals every status that it answers with Retry-After', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: () => [] })
  t.equal((await app.inject('/')).statusCode, 200, 'also for a source without items')
  for (const status of [406, 429, 503]) t.match(page.sectionOf('Refusals'), `| ${status} `)
  const stream = await injectSSE(app, { url: '/' })
  t.equal(await stream.next(), undefined)
})
