import { setTimeout as wait } from 'node:timers/promises'
import { Transform } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { test } from 'tap'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import type { SSEStream } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { follow, publishAll, serveTopics, take, takeData } from '../helpers/subscriber.js'

test('events published while onConnect is pending', async (t) => {
  t.test('events published while onConnect is pending are sent after its own events, in the order of the log, including broadcasts', async (t) => {
    const app = await makeApp(t)
    let greeted = () => {}
    app.sseRoute('/', {
      onConnect: async (_request, stream) => {
        const snapshot = new Promise<void>((resolve) => { greeted = resolve })
        await app.sse.broadcast('hello')
        stream.subscribe('x')
        await app.sse.publish('x', 'change')
        await snapshot
        await stream.send('snapshot')
      }
    })
    const stream = await follow(app, '/')
    await app.sse.sendTo(String([...app.sse.streams.keys()]), 'for this one')
    await app.sse.publish('x', 'last')
    greeted()
    t.strictSame(await takeData(stream, 5), ['snapshot', 'hello', 'change', 'for this one', 'last'])
  })

  t.test('broadcasts sent while onConnect is pending are delivered also to a stream without topics', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', {
      onConnect: async (_request, stream) => {
        await app.sse.broadcast('1')
        await app.sse.broadcast('2')
        await stream.send('greeting')
      }
    })
    t.strictSame(await takeData(await follow(app, '/'), 3), ['greeting', '1', '2'])
  })

  t.test('a stream with custom ids gets no gap for events published while onConnect is pending', async (t) => {
    const app = await makeApp(t, { history: { size: 1 } })
    app.addHook('onSend', async () => { await wait(10) })
    app.get('/sends', async (_request, reply) => { reply.sse().send({ id: 'order-7', data: 'own' }).catch(t.error) })
    app.sseRoute('/comes', { onConnect: async () => { await wait(30) } })
    const streams = Promise.all([follow(app, '/sends'), follow(app, '/comes', '7')])
    await wait(5)
    await publishAll(app, 'elsewhere', '1', '2')
    const [sends, comes] = await streams
    await publishAll(app, 'elsewhere', '3', '4')
    t.strictSame(await takeData(sends, 1), ['own'])
    await wait(40)
    await app.sse.broadcast('all')
    t.match([await sends.next(), await comes.next()], [{ id: undefined, data: 'all' }, { id: undefined, data: 'all' }])
    t.equal(app.sse.stats().gaps, 0)
  })
})

test('payloads and sources start after the gap and the replayed events', async (t) => {
  const app = await makeApp(t, { history: { size: 2 } })
  app.sseRoute('/interval', { topics: ['a'], interval: 60_000, payload: () => 'now' })
  app.sseRoute('/shared', { topics: ['a'], interval: 60_000, shared: true, payload: () => 'now' })
  app.sseRoute('/source', { topics: ['a'], source: () => ['now'] })
  app.sseRoute('/one-by-one', { topics: ['a'], openOn: 'first-event', source: () => ['now'] })
  app.get('/reply', (_request, reply) => reply.sse(['now']))
  const [first] = await publishAll(app, 'a', '1', '2', '3', '4')
  for (const path of ['/interval', '/shared', '/source', '/one-by-one']) {
    const stream = await follow(app, path, first)
    t.strictSame((await take(stream, 4)).map(({ event, data }) => event === 'gap' ? event : data), ['gap', '3', '4', 'now'], path)
    stream.close()
  }
  const [, second] = [await app.sse.broadcast('5'), await app.sse.broadcast('6')]
  await app.sse.broadcast('7')
  t.strictSame(await takeData(await follow(app, '/reply', second), 2), ['7', 'now'])
})

test('a client that disconnects during its replay gets no payload, and payload is not called', async (t) => {
  const app = await makeApp(t, { maxBufferedBytes: 0 })
  app.sseRoute('/', { topics: ['a'], interval: 10, payload: () => { t.fail('payload was called without a client') } })
  const ids = await publishAll(app, 'a', ...Array.from({ length: 1_000 }, () => 'x'.repeat(20_000)))
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': ids[0] } })
  client.pause()
  await until('the replay to start', () => app.sse.stats().replayed > 0)
  client.disconnect()
  await until('the stream to be closed', () => app.sse.streams.size === 0)
  await wait(30)
})

test('many topics', async (t) => {
  t.test('subscribing to 10,000 topics and unsubscribing takes less than a second', async (t) => {
    const app = await makeApp(t)
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await injectSSE(app, { url: '/' })
    const start = performance.now()
    const topics = Array.from({ length: 10_000 }, (_, i) => `topic ${i}`)
    for (const topic of topics) stream?.subscribe(topic)
    await app.sse.publish('topic 9999', 'x')
    stream?.unsubscribe(...topics)
    t.ok(performance.now() - start < 1_000, `${performance.now() - start} ms`)
    t.match(await client.next(), { data: 'x' })
  })

  t.test('unsubscribe() on a stream without topics keeps its custom ids allowed', async (t) => {
    const app = await makeApp(t)
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await injectSSE(app, { url: '/' })
    await app.sse.broadcast('all')
    stream?.unsubscribe('x')
    t.equal(await stream?.send({ id: 1, data: 'own' }), true)
    t.match(await take(client, 2), [{ data: 'all' }, { id: '1', data: 'own' }])
  })

  t.test('unsubscribe() on one stream does not change the topics of other streams of the route', async (t) => {
    const app = await makeApp(t)
    const streams: SSEStream[] = []
    app.sseRoute('/', { topics: ['a', 'b'], onConnect: (_request, stream) => { streams.push(stream) } })
    const [one, two] = [await injectSSE(app, { url: '/' }), await injectSSE(app, { url: '/' })]
    streams[0]?.unsubscribe('a')
    streams[0]?.subscribe('c')
    const three = await injectSSE(app, { url: '/' })
    for (const topic of ['a', 'c', 'b']) await app.sse.publish(topic, topic)
    t.strictSame([await takeData(one, 2), await takeData(two, 2), await takeData(three, 2)], [['c', 'b'], ['a', 'b'], ['a', 'b']])
  })
})

test('topics that resolve after handlerTimeout has answered open no stream', async (t) => {
  const lines: string[] = []
  const app = await makeApp(t, {}, { logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
  let given = 0
  app.sseRoute('/', { handlerTimeout: 20, topics: async () => { await wait(60); given++; return ['a'] } })
  t.equal((await app.inject('/')).statusCode, 503)
  await until('the topics to resolve', () => given === 1)
  await wait(5)
  t.strictSame([app.sse.stats().opened, lines.filter((line) => line.includes('already sent'))], [0, []])
})

test('a transform that throws aborts its own stream and no other', async (t) => {
  const app = await makeApp(t, {}, { logger: { level: 'fatal' } })
  serveTopics(app)
  const createTransform = (reply: FastifyReply) => new Transform({
    transform (chunk, _encoding, callback) {
      if (String(chunk).includes('bad')) throw new Error('cannot be passed on')
      reply.header('x-passed', '1')
      callback(null, chunk)
    }
  })
  app.sseRoute('/through', { topics: ['a'], onSend: async (_request, reply, payload) => (payload as Transform).pipe(createTransform(reply)) })
  const port = await listen(app)
  const clients = [await open(t, port, '/on/a'), await open(t, port, '/through'), await open(t, port, '/on/a')]
  await app.sse.publish('a', `bad ${'x'.repeat(20_000)}`)
  await until('the stream to be aborted', () => app.sse.stats().closed.error === 1)
  await app.sse.publish('a', 'next')
  for (const client of [clients[0], clients[2]]) {
    await client?.until('data: bad')
    await client?.until('data: next')
  }
  t.equal(await clients[1]?.finished(), false)
})

test('a stream is aborted and SSE_ERR_BACKPLANE is logged when the backplane returns no events and no gap', async (t) => {
  const lines: string[] = []
  class EmptyBackplane extends MemoryBackplane {
    override read (after: string) { return { gap: null, events: [], position: after } }
  }
  const app = await makeApp(t, { backplane: (history) => new EmptyBackplane(history) }, { logger: { level: 'error', stream: { write: (line: string) => { lines.push(line) } } } })
  serveTopics(app)
  const [first] = await publishAll(app, 'a', '1', '2')
  await t.rejects((await follow(app, 'a', first)).next())
  t.match(lines, [/SSE_ERR_BACKPLANE/])
})

test('a stream that subscribes late', async (t) => {
  t.test('a stream whose client has an id of the log gets one gap when it subscribes late, and none for further topics', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const [first, missed] = await publishAll(app, 'a', '1', '2')
    const client = await follow(app, '/', first)
    await until('the stream to be open', () => stream?.closed === false)
    await wait(5)
    stream?.subscribe('a')
    stream?.subscribe('b')
    const later = await app.sse.publish('a', '3')
    t.strictSame(await take(client, 2), [
      { id: missed, event: 'gap', data: JSON.stringify({ lastEventId: first, oldestId: first }) },
      { id: later, event: 'message', data: '3' }
    ])
    t.equal(app.sse.stats().gaps, 1)
  })

  t.test('a stream that subscribes late gets no gap when nothing was published in between', async (t) => {
    const app = await makeApp(t)
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const [, newest] = await publishAll(app, 'a', '1', '2')
    const client = await follow(app, '/', newest)
    await wait(5)
    stream?.subscribe('a')
    await app.sse.publish('a', '3')
    t.strictSame(await takeData(client, 1), ['3'])
    t.equal(app.sse.stats().gaps, 0)
  })
})
