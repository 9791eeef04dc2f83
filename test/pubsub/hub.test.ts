import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import { type InjectedStream, injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { eventsOf, follow, hubOf, publishAll, serveTopics, take, takeData } from '../helpers/subscriber.js'

const never = (): Promise<never> => new Promise(() => {})

/** Declares one route of each kind whose stream stays open and sends nothing. */
function declareRoutes (app: FastifyInstance): string[] {
  serveTopics(app)
  app.sseRoute('/interval', { interval: 60_000, immediate: false, payload: () => 'tick' })
  app.sseRoute('/shared', { interval: 60_000, immediate: false, shared: true, payload: () => 'tick' })
  app.sseRoute('/source', { source: async function * () { await never(); yield 'item' } })
  app.sseRoute('/on-connect', { onConnect: () => {} })
  app.get('/reply', (_request, reply) => { reply.sse() })
  app.get('/given', (_request, reply) => reply.sse((async function * () { await never(); yield 'item' })()))
  return ['/on/a', '/interval', '/shared', '/source', '/on-connect', '/reply', '/given']
}

function declareClientRoute (app: FastifyInstance): void {
  app.sseRoute<{ Params: { name: string } }>('/client/:name', { clientId: ({ params }) => params.name, onConnect: () => {} })
}

function openAll (app: FastifyInstance, urls: string[]): Promise<InjectedStream[]> {
  return Promise.all(urls.map((url) => injectSSE(app, { url })))
}

test('publish', async (t) => {
  t.test('publish() reaches every stream of its topic, and no other', async (t) => {
    const app = await makeApp(t)
    const others = declareRoutes(app).slice(1)
    const streams = await openAll(app, ['/on/a', '/on/a', '/on/b,a', '/on/b', '/on/A', ...others])
    await app.sse.publish('a', 'for a')
    await app.sse.broadcast('for all')
    const first = await Promise.all(streams.map(async (stream) => (await stream.next())?.data))
    t.strictSame(first, ['for a', 'for a', 'for a', ...Array.from({ length: 2 + others.length }, () => 'for all')])
  })

  t.test('a topic can be any non-empty text and is not a pattern', async (t) => {
    const app = await makeApp(t)
    const names = ['__proto__', 'constructor', ' ', '*', 'a*', 'a/b', 'a,b', 'ü', 'ü'.normalize('NFD'), '\0', 'x'.repeat(10_000)]
    app.sseRoute('/:index', { topics: ({ url }) => [names[Number(url.slice(1))] ?? ''] })
    const streams = await openAll(app, names.map((_, index) => `/${index}`))
    for (const [index, name] of names.entries()) await app.sse.publish(name, String(index))
    await app.sse.broadcast('end')
    for (const [index, stream] of streams.entries()) t.strictSame(await takeData(stream, 2), [String(index), 'end'])
  })

  t.test('publish() resolves to the id that subscribers receive, with and without subscribers, and each id is greater than the last', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const stream = await follow(app, 'a')
    const ids = [...await publishAll(app, 'a', '1', '2'), await app.sse.publish('nobody', 'x'), ...await publishAll(app, 'a', '3')]
    t.strictSame((await take(stream, 3)).map(({ id }) => id), [ids[0], ids[1], ids[3]])
    for (const id of ids) t.match(id, /^\d{13}-\d+$/)
    for (const [index, id] of ids.slice(1).entries()) t.ok(compareEventIds(ids[index] ?? '', id) < 0)
  })

  t.test('events arrive in the order of the calls of publish, broadcast and sendTo, also within one tick', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['a', 'b'], clientId: () => 'ann' })
    const stream = await follow(app, '/')
    const rounds = Array.from({ length: 50 }, (_, round) => [
      app.sse.publish('b', `b${round}`), app.sse.sendTo('ann', `ann${round}`), app.sse.broadcast(`all${round}`), app.sse.publish('a', `a${round}`)
    ])
    const ids = await Promise.all(rounds.flat())
    const events = await take(stream, 200)
    t.strictSame(events.map(({ id }) => id), ids)
    t.strictSame(events.map(({ data }) => data), rounds.flatMap((_, round) => [`b${round}`, `ann${round}`, `all${round}`, `a${round}`]))
    t.strictSame(ids, ids.toSorted(compareEventIds))
  })

  t.test('publish() encodes an event once, for any number of live and replayed deliveries', async (t) => {
    const calls: unknown[] = []
    const app = await makeApp(t, { serializer: (data) => { calls.push(data); return `<${JSON.stringify(data)}>` } })
    serveTopics(app)
    app.sseRoute('/own', { topics: ['a'], serializer: () => 'the route\'s' })
    app.sseRoute('/events', { topics: ['a'], events: { e: { type: 'object', properties: {} } } })
    const [missed = ''] = await publishAll(app, 'a', 'text needs none')
    const streams = await openAll(app, [...Array.from({ length: 20 }, () => '/on/a'), '/own', '/events'])
    const id = await app.sse.publish('a', { data: { n: 1 } })
    streams.push(await follow(app, 'a', missed), await follow(app, '/own', missed))
    for (const stream of streams) t.strictSame(await stream.next(), { id, event: 'message', data: '<{"n":1}>' })
    t.strictSame(calls, [{ n: 1 }])
  })

  t.test('publish() accepts what send() accepts, and the event is written with its id', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    serveTopics(app)
    const client = await open(t, await listen(app), '/on/a')
    await client.until('\n\n')
    const opening = client.text
    const payloads: [Parameters<typeof app.sse.publish>[1], string][] = [
      ['text', 'data: text\n'],
      ['two\nlines', 'data: two\ndata: lines\n'],
      ['', 'data: \n'],
      [{ data: { n: 1 } }, 'data: {"n":1}\n'],
      [{ data: null }, 'data: null\n'],
      [{ event: 'named', data: 'x' }, 'event: named\ndata: x\n'],
      [{ event: 'no data' }, 'event: no data\n'],
      [{ comments: ['one', 'two'] }, ': one\n: two\n'],
      [{ retry: 0 }, 'retry: 0\n'],
      [{ event: 'all', comments: 'c', data: 'd', retry: 5 }, 'event: all\n: c\ndata: d\nretry: 5\n']
    ]
    let expected = opening
    for (const [payload, text] of payloads) expected += `id: ${await app.sse.publish('a', payload)}\n${text}\n`
    await until('all events', () => client.text.length >= expected.length)
    t.equal(client.text, expected)
  })

  t.test('an event published before the app listens is kept in the log', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    await app.register(async (child) => { await child.sse.publish('a', 'early') })
    const [, second = ''] = await publishAll(app, 'a', 'later', 'last')
    const client = await open(t, await listen(app), '/on/a', { headers: { 'last-event-id': hubOf(app).oldestId ?? '' } })
    await client.until(`id: ${second}\n`)
    t.strictSame(eventsOf(client.text).map(({ data }) => data), ['later', 'last'])
  })

  t.test('publish() works in onDisconnect during app.close(), and rejects with SSE_ERR_CLOSING after it', async (t) => {
    const app = await makeApp(t)
    const published: Promise<string>[] = []
    app.sseRoute('/', { topics: ['a'], onDisconnect: () => { published.push(app.sse.publish('a', 'left')) } })
    const stream = await follow(app, '/')
    await app.close()
    t.equal(await stream.next(), undefined)
    t.match(await Promise.all(published), [/^\d+-\d+$/])
    for (const refused of [app.sse.publish('a', 'x'), app.sse.broadcast('x'), app.sse.sendTo('a', 'x')]) {
      await t.rejects(refused, { code: 'SSE_ERR_CLOSING', statusCode: 503 })
    }
  })
})

test('broadcast', async (t) => {
  t.test('broadcast() reaches every open stream, of any kind, with one id for all', async (t) => {
    const app = await makeApp(t)
    const streams = await openAll(app, declareRoutes(app))
    const id = await app.sse.broadcast({ event: 'news', data: [1] })
    for (const stream of streams) t.strictSame(await stream.next(), { id, event: 'news', data: '[1]' })
    t.match(app.sse.stats(), { sent: streams.length })
  })

  t.test('broadcast() does not reach a stream that is not open yet', async (t) => {
    const app = await makeApp(t)
    let asked = false
    let give: ((item: string) => void) | undefined
    const item = new Promise<string>((resolve) => { give = resolve })
    app.sseRoute('/', { openOn: 'first-event', source: async function * () { asked = true; yield await item } })
    const opening = follow(app, '/')
    await until('the source to start', () => asked)
    await app.sse.broadcast('too early')
    give?.('first')
    t.strictSame(await takeData(await opening, 1), ['first'])
  })
})

test('sendTo', async (t) => {
  t.test('sendTo() reaches all streams of a client id, and no other', async (t) => {
    const app = await makeApp(t, { clientId: (request) => String(request.headers['x-user'] ?? request.id) })
    serveTopics(app)
    declareClientRoute(app)
    app.get('/reply', (_request, reply) => { reply.sse() })
    const ann = { 'x-user': 'ann' }
    const hers = [await injectSSE(app, { url: '/on/a', headers: ann }), await injectSSE(app, { url: '/reply', headers: ann }), await follow(app, '/client/ann')]
    const others = [await follow(app, '/client/bob'), await follow(app, 'ann'), await injectSSE(app, { url: '/client/bob', headers: ann })]
    const id = await app.sse.sendTo('ann', 'for ann')
    await app.sse.broadcast('for all')
    for (const stream of hers) t.strictSame(await stream.next(), { id, event: 'message', data: 'for ann' })
    for (const stream of [...hers, ...others]) t.match(await stream.next(), { data: 'for all' })
  })

  t.test('sendTo() does not reach a topic of the same name, and publish() does not reach a client id of the same name', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    declareClientRoute(app)
    const [client, topic] = [await follow(app, '/client/x'), await follow(app, 'x')]
    await app.sse.sendTo('x', 'to the client')
    await app.sse.publish('x', 'to the topic')
    t.match(await client.next(), { data: 'to the client' })
    t.match(await topic.next(), { data: 'to the topic' })
    await app.sse.broadcast('end')
    for (const stream of [client, topic]) t.match(await stream.next(), { data: 'end' })
  })

  t.test('sendTo() reaches a stream by its id if it has no client id, and only then', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    declareClientRoute(app)
    const [plain, ann] = [await follow(app, 'a'), await follow(app, '/client/ann')]
    for (const { id } of app.sse.streams.values()) await app.sse.sendTo(id, 'by id')
    await app.sse.broadcast('end')
    t.strictSame(await takeData(plain, 2), ['by id', 'end'])
    t.strictSame(await takeData(ann, 1), ['end'])
  })

  t.test('sendTo() still reaches the second stream of a client after the first has closed', async (t) => {
    const app = await makeApp(t)
    declareClientRoute(app)
    const [one, two] = [await follow(app, '/client/ann'), await follow(app, '/client/ann')]
    one.close()
    await until('the first stream to be closed', () => app.sse.streams.size === 1)
    await app.sse.sendTo('ann', 'still there')
    t.match(await two.next(), { data: 'still there' })
    two.close()
    await until('both streams to be closed', () => app.sse.streams.size === 0)
    t.match(await app.sse.sendTo('ann', 'nobody'), /-/)
    t.equal(hubOf(app).clients.size, 0)
  })
})

test('topics, clients and timers are removed when streams close or fail to open', async (t) => {
  const app = await makeApp(t, { clientId: (request) => request.url })
  const hub = hubOf(app)
  const urls = declareRoutes(app)
  app.addHook('onSend', async (request) => { if (request.url === '/on/refused') throw new Error('refused') })
  app.sseRoute('/fails', { topics: ['f'], openOn: 'first-event', source: () => { throw new Error('no source') } })
  app.sseRoute('/throws', { topics: ['t'], onConnect: () => { throw new Error('no greeting') }, onError: () => {} })
  app.sseRoute('/leaves', { topics: ['l'], onConnect: (_request, stream) => { stream.unsubscribe('l'); stream.subscribe('m') } })
  app.get('/joins', (_request, reply) => { reply.sse().subscribe('j') })
  const streams = await openAll(app, [...urls, '/on/a,b,a', '/leaves', '/joins'])
  t.equal((await app.inject('/on/refused')).statusCode, 500)
  t.equal((await app.inject('/fails')).statusCode, 500)
  await app.inject('/throws').catch(() => {})
  t.strictSame([...hub.topics.keys()].sort(), ['a', 'b', 'j', 'm'])
  t.equal(hub.clients.size, streams.length)
  t.ok(hub.timers.size > 0)
  for (const stream of streams) stream.close()
  await until('all streams to be closed', () => app.sse.streams.size === 0)
  t.strictSame([hub.topics.size, hub.clients.size, hub.timers.size], [0, 0, 0])
})
