import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'
import { eventsOf, follow, hubOf, idsOf, publishAll, serveTopics, takeData } from '../helpers/subscriber.js'

/** Returns the number of streams of each topic. */
function subscribersByTopic (app: FastifyInstance): Record<string, number> {
  return Object.fromEntries(Array.from(hubOf(app).topics, ([topic, { size }]) => [topic, size]))
}

/** Returns the only open stream. */
function onlyStream (app: FastifyInstance) {
  const [stream, ...others] = app.sse.streams.values()
  if (stream === undefined || others.length > 0) throw new Error(`${app.sse.streams.size} streams are open`)
  return stream
}

test('the topics of a route', async (t) => {
  t.test('topics of a route are an array, or a function that returns or promises one for each request', async (t) => {
    const app = await makeApp(t)
    const bound: unknown[] = []
    app.sseRoute('/array', { topics: ['a', 'b'] })
    app.sseRoute<{ Params: { id: string } }>('/now/:id', { topics (request) { bound.push(this); return [request.params.id] } })
    app.sseRoute<{ Params: { id: string } }>('/later/:id', { async topics (request) { bound.push(this); return ['b', request.params.id] } })
    const streams = await Promise.all(['/array', '/now/b', '/later/a', '/later/x'].map((url) => follow(app, url)))
    t.strictSame(subscribersByTopic(app), { a: 2, b: 4, x: 1 })
    t.strictSame(bound, [app, app, app])
    await publishAll(app, 'a', 'a1')
    await publishAll(app, 'b', 'b1')
    const first = await Promise.all(streams.map((stream) => takeData(stream, 1)))
    t.strictSame(first, [['a1'], ['b1'], ['a1'], ['b1']])
  })

  t.test('a topic that is named more than once is subscribed to once', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/array', { topics: ['a', 'a'], onConnect: (_request, stream) => stream.subscribe('a') })
    app.sseRoute('/function', { topics: async () => ['a', 'b', 'a'], onConnect: (_request, stream) => stream.subscribe('b', 'b', 'a') })
    const streams = [await follow(app, '/array'), await follow(app, '/function')]
    const [id] = await publishAll(app, 'a', '1', '2')
    streams.push(await follow(app, '/array', id), await follow(app, '/function', id))
    await publishAll(app, 'a', '3')
    t.strictSame(await Promise.all(streams.map((stream) => takeData(stream, 2))), [['1', '2'], ['1', '2'], ['2', '3'], ['2', '3']])
    t.strictSame(subscribersByTopic(app), { a: 4, b: 2 })
  })

  t.test('a stream with an empty list of topics gets broadcasts and can subscribe later', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: [] })
    const stream = await follow(app, '/')
    await publishAll(app, 'a', 'a1')
    await app.sse.broadcast('all')
    onlyStream(app).subscribe('a')
    await publishAll(app, 'a', 'a2')
    t.strictSame(await takeData(stream, 2), ['all', 'a2'])
  })

  t.test('a stream with topics also gets the payloads, items and events of its route', async (t) => {
    const app = await makeApp(t)
    const topics = ['a']
    const payload = () => 'own'
    app.sseRoute('/interval', { topics, interval: 60_000, payload })
    app.sseRoute('/shared', { topics, interval: 60_000, shared: true, payload })
    app.sseRoute('/source', { topics, source: async function * () { yield 'own'; await new Promise(() => {}) } })
    app.sseRoute('/first', { topics, openOn: 'first-event', source: async function * () { yield 'own'; await new Promise(() => {}) } })
    app.sseRoute('/greeting', { topics, onConnect: (_request, stream) => stream.send('own') })
    for (const url of ['/interval', '/shared', '/source', '/first', '/greeting']) {
      const stream = await follow(app, url)
      t.match(await stream.next(), { id: undefined, data: 'own' }, url)
      const id = await app.sse.publish('a', 'published')
      t.match(await stream.next(), { id, data: 'published' }, url)
      stream.close()
    }
  })

  t.test('topics that throw or reject are answered with an ordinary HTTP error and free their place', async (t) => {
    const app = await makeApp(t, { maxStreams: 1 })
    const error = Object.assign(new Error('no such order'), { statusCode: 404, code: 'NO_ORDER' })
    const never = () => t.fail('the stream opened')
    app.sseRoute('/throws', { topics: () => { throw error }, onConnect: never, onDisconnect: never, onError: never })
    app.sseRoute('/rejects', { topics: async () => { throw error }, onConnect: never, onDisconnect: never, onError: never })
    serveTopics(app)
    for (const url of ['/throws', '/rejects', '/throws', '/rejects']) {
      const response = await app.inject(url)
      t.match(response.headers['content-type'], 'application/json')
      t.strictSame(response.json(), { statusCode: 404, code: 'NO_ORDER', error: 'Not Found', message: 'no such order' })
    }
    t.equal((await follow(app, 'a')).statusCode, 200)
    t.equal((await app.inject('/throws')).statusCode, 503)
    t.match(app.sse.stats(), { opened: 1, rejected: 1 })
  })

  t.test('topics that resolve after the client disconnected leave no subscription', async (t) => {
    const app = await makeApp(t, { maxStreams: 1 })
    let asked = 0
    let answer: ((topics: string[]) => void) | undefined
    app.sseRoute('/', { topics: () => new Promise((resolve) => { asked++; answer = resolve }) })
    let left = 0
    app.addHook('onRequestAbort', async (_request) => { left++ })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the call of topics', () => asked === 1)
    socket.destroy()
    await until('the client to be gone', () => left === 1)
    answer?.(['a'])
    const stream = follow(app, '/')
    await until('a free place', () => asked === 2)
    t.strictSame(subscribersByTopic(app), {})
    answer?.(['a'])
    t.equal((await stream).statusCode, 200)
    t.strictSame(subscribersByTopic(app), { a: 1 })
  })

  t.test('topics is not called for HEAD', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: () => { t.fail('topics was called for HEAD'); return [] } })
    t.match(await app.inject({ method: 'HEAD', url: '/' }), { statusCode: 200, headers: { 'content-type': 'text/event-stream' } })
  })
})

test('subscribe', async (t) => {
  t.test('subscribe() before the first event, or in onConnect, includes missed events like topics of the route', async (t) => {
    for (const url of ['/on-connect', '/beside', '/reply', '/before-it-is-open']) {
      const app = await makeApp(t)
      app.sseRoute('/on-connect', { onConnect: async (_request, stream) => { await stream.send('hello'); stream.subscribe('a') } })
      app.sseRoute('/beside', { topics: ['b'], onConnect: (_request, stream) => { stream.subscribe('a'); return stream.send('hello') } })
      app.get('/reply', async (_request, reply) => {
        const stream = reply.sse()
        stream.subscribe('a')
        await stream.send('hello')
      })
      await app.register(async (child) => {
        child.addHook('onSend', async () => { await new Promise(setImmediate) })
        child.get('/before-it-is-open', async (_request, reply) => {
          const stream = reply.sse()
          stream.subscribe('a')
          await stream.send('hello')
        })
      })
      const [first] = await publishAll(app, 'a', '1', '2')
      const [fresh, resumed] = [await follow(app, url), await follow(app, url, first)]
      await publishAll(app, 'a', '3')
      t.strictSame(await takeData(fresh, 2), ['hello', '3'], url)
      t.strictSame(await takeData(resumed, 3), ['hello', '2', '3'], url)
    }
  })

  t.test('subscribe() later delivers events from then on', async (t) => {
    for (const [url, resumes] of [['/on/b', false], ['/on/b', true], ['/reply', false], ['/reply', true]] as const) {
      const app = await makeApp(t)
      serveTopics(app)
      app.get('/reply', (_request, reply) => { reply.sse() })
      const [first] = await publishAll(app, 'a', '1', '2')
      const stream = await follow(app, url, resumes ? first : undefined)
      await publishAll(app, 'a', 'before')
      await app.sse.broadcast('all')
      t.strictSame(await takeData(stream, 1), ['all'], `${url} ${resumes}`)
      onlyStream(app).subscribe('a')
      await publishAll(app, 'a', 'after')
      // with no earlier topics, the missed events of the first topic are named by a gap
      if (url === '/reply' && resumes) t.match(await stream.next(), { event: 'gap' })
      t.strictSame(await takeData(stream, 1), ['after'], `${url} ${resumes}`)
    }
  })

  t.test('subscribe() later sends the current id, so that the client misses nothing from then on', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    app.get('/', (request, reply) => {
      const stream = reply.sse()
      if (stream.lastEventId !== null) stream.subscribe('a')
    })
    const [, second = ''] = await publishAll(app, 'a', '1', '2')
    const port = await listen(app)
    const client = await open(t, port, '/')
    t.equal(client.text, '')
    onlyStream(app).subscribe('a')
    await client.until('\n\n')
    t.equal(client.text, `id: ${second}\n\n`)
    client.disconnect()
    await until('the stream to be closed', () => app.sse.streams.size === 0)
    await publishAll(app, 'a', '3')
    const again = await open(t, port, '/', { headers: { 'last-event-id': idsOf(client.text).at(-1) } })
    await again.until('data: 3')
    t.strictSame(eventsOf(again.text).map(({ data }) => data), ['3'])
  })

  t.test('subscribe() and unsubscribe() do nothing on a closed stream', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const client = await follow(app, 'a')
    const stream = onlyStream(app)
    stream.close()
    t.equal(await client.next(), undefined)
    stream.subscribe('a', 'b')
    stream.unsubscribe('a', 'c')
    t.strictSame(subscribersByTopic(app), {})
    t.throws(() => stream.subscribe(''), { code: 'SSE_ERR_TOPIC' })
  })
})

test('unsubscribe', async (t) => {
  t.test('unsubscribe() ends a topic for one stream, and no other topic or stream', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const one = await follow(app, 'a,b')
    const stream = onlyStream(app)
    const other = await follow(app, 'a')
    stream.unsubscribe('a', 'never heard of', 'a')
    stream.unsubscribe('a')
    t.strictSame(subscribersByTopic(app), { a: 1, b: 1 })
    await publishAll(app, 'a', 'a1')
    await publishAll(app, 'b', 'b1')
    stream.unsubscribe('b')
    await publishAll(app, 'b', 'b2')
    await app.sse.broadcast('all')
    stream.subscribe('a')
    await publishAll(app, 'a', 'a2')
    t.strictSame(await takeData(one, 3), ['b1', 'all', 'a2'])
    t.strictSame(await takeData(other, 3), ['a1', 'all', 'a2'])
  })

  t.test('unsubscribe() in onConnect excludes the topic from the replay', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['a', 'b'], onConnect: (_request, stream) => stream.unsubscribe('a') })
    const [first] = await publishAll(app, 'a', '1', '2')
    await publishAll(app, 'b', 'b1')
    t.strictSame(await takeData(await follow(app, '/', first), 1), ['b1'])
  })

  t.test('unsubscribe() on a stream without topics does nothing', async (t) => {
    const app = await makeApp(t)
    app.get('/', (_request, reply) => { reply.sse().unsubscribe('a') })
    const client = await follow(app, '/')
    await onlyStream(app).send({ id: 'own', data: 'x' })
    t.match(await client.next(), { id: 'own' }, 'custom ids are still allowed')
  })
})

test('custom ids of a shared payload reach only streams without topics', async (t) => {
  const app = await makeApp(t, { heartbeat: 20 })
  let n = 0
  app.sseRoute<{ Querystring: { topic?: string } }>('/', {
    interval: 5,
    shared: true,
    payload: () => ({ id: `own ${++n}`, data: 'tick' }),
    onConnect: ({ query: { topic } }, stream) => { if (topic !== undefined) stream.subscribe(topic) }
  })
  const plain = await injectSSE(app, { url: '/' })
  const client = await open(t, await listen(app), '/?topic=a')
  await client.until('data: tick', 2)
  const id = await app.sse.publish('a', 'published')
  await client.until(`id: ${id}\ndata: published`)
  const other = await app.sse.publish('b', 'y')
  await client.until(`id: ${other}\n\n`)
  t.match((await plain.next())?.id, /^own \d+$/)
  t.notMatch(client.text, 'own', 'the ticks have no id')
  // on a slow machine heartbeats come between
  t.match(client.text, new RegExp(`\ndata: tick\n\n(:\n|id: .*\n\n)*id: ${id}\ndata: published\n\n`))
  t.equal(idsOf(client.text).at(-1), other, 'heartbeats carry the id of the log')
})
