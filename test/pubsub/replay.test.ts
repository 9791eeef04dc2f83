import { getDefaultHighWaterMark } from 'node:stream'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { test } from 'tap'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import type { Page, Reader, SSEStream } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { untilStable, eventsOf, follow, hubOf, idsOf, publishAll, serveTopics, take, takeData } from '../helpers/subscriber.js'

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index))

test('a client that reconnects', async (t) => {
  t.test('a client that reconnects gets the missed events with their original ids, then new events', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const ids = await publishAll(app, 'a', 'seen', 'missed 1', 'missed 2')
    const stream = await follow(app, 'a', ids[0])
    ids.push(...await publishAll(app, 'a', 'live'))
    t.strictSame(await take(stream, 3), ['missed 1', 'missed 2', 'live'].map((data, index) => ({ id: ids[index + 1], event: 'message', data })))
    t.match(app.sse.stats(), { resumed: 1, replayed: 2, sent: 3, gaps: 0 })
  })

  t.test('a client can send its last id as header or as query parameter', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const [first, second] = await publishAll(app, 'a', '1', '2', '3')
    t.strictSame(await takeData(await follow(app, 'a', first), 2), ['2', '3'])
    t.strictSame(await takeData(await injectSSE(app, { url: `/on/a?lastEventId=${first}` }), 2), ['2', '3'])
    t.strictSame(await takeData(await injectSSE(app, { url: `/on/a?lastEventId=${first}`, headers: { 'last-event-id': second } }), 1), ['3'], 'the header has priority')
  })

  t.test('a replay contains the events of the topics and the client id of the stream, and broadcasts, and nothing else', async (t) => {
    const app = await makeApp(t)
    app.sseRoute<{ Params: { name: string } }>('/:name', { topics: ['a', 'b'], clientId: ({ params }) => params.name })
    const seen = await app.sse.publish('a', 'seen')
    await app.sse.publish('a', 'a')
    await app.sse.publish('c', 'another topic\'s')
    await app.sse.sendTo('ann', 'ann\'s')
    await app.sse.sendTo('bob', 'bob\'s')
    await app.sse.sendTo('a', 'a client with a topic\'s name')
    await app.sse.publish('ann', 'a topic with a client\'s name')
    await app.sse.broadcast('for all')
    await app.sse.publish('b', 'b')
    t.strictSame(await takeData(await follow(app, '/ann', seen), 4), ['a', 'ann\'s', 'for all', 'b'])
    t.strictSame(await takeData(await follow(app, '/bob', seen), 4), ['a', 'bob\'s', 'for all', 'b'])
    await app.sse.broadcast('end')
    t.strictSame(await takeData(await follow(app, '/eve', seen), 4), ['a', 'for all', 'b', 'end'])
  })

  t.test('a stream without topics gets missed broadcasts and events of its client id', async (t) => {
    const app = await makeApp(t, { clientId: () => 'ann' })
    app.sseRoute('/interval', { interval: 60_000, immediate: false, payload: () => 'x' })
    app.get('/reply', (_request, reply) => { reply.sse() })
    const seen = await app.sse.broadcast('seen')
    await app.sse.publish('a', 'x')
    await app.sse.sendTo('ann', 'ann\'s')
    await app.sse.broadcast('for all')
    for (const url of ['/interval', '/reply']) {
      const stream = await follow(app, url, seen)
      t.strictSame(await takeData(stream, 2), ['ann\'s', 'for all'])
    }
    t.match(app.sse.stats(), { resumed: 2, replayed: 4, gaps: 0 })
  })

  t.test('a client that reconnects with the newest id gets no replay and no gap', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const newest = (await publishAll(app, 'a', '1', '2')).at(-1)
    const stream = await follow(app, 'a', newest)
    await publishAll(app, 'a', '3')
    t.strictSame(await takeData(stream, 1), ['3'])
    t.match(app.sse.stats(), { resumed: 1, replayed: 0, gaps: 0 })
  })

  t.test('an unknown form of id leads to no replay and no gap', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    await publishAll(app, 'a', 'before')
    const nonsense = [
      'abc', '', '1', '1-', '-1', '-', '--', '01-1', '1-01', '1--1', '1-1-1', '+1-1', '1.0-1', '1e3-1', '0x1-1', '1-*', '١-١', 'null', 'gap', '$',
      '18446744073709551616-0', '0-18446744073709551616', '100000000000000000000-0', `${'9'.repeat(5_000)}-0`
    ]
    for (const id of nonsense) {
      const stream = await follow(app, `/on/a?lastEventId=${encodeURIComponent(id)}`)
      const byHeader = await follow(app, 'a', Buffer.from(id).toString('latin1'))
      const live = await app.sse.publish('a', 'live')
      t.strictSame(await take(stream, 1), [{ id: live, event: 'message', data: 'live' }], id.slice(0, 30))
      t.strictSame(await take(byHeader, 1), [{ id: live, event: 'message', data: 'live' }])
      stream.close()
      byHeader.close()
    }
    t.match(app.sse.stats(), { resumed: 0, replayed: 0, gaps: 0 })
  })

  t.test('a client with a custom id keeps it: nothing is replayed, and broadcasts have no id', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    let stream: SSEStream | undefined
    app.get('/', async (_request, reply) => { stream = reply.sse() })
    await app.sse.broadcast('missed')
    const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': '41' } })
    t.equal(stream?.lastEventId, '41')
    await app.sse.broadcast('one')
    await client.until('data: one')
    await stream?.send({ id: 42, data: 'own' })
    await app.sse.broadcast('two')
    await client.until('data: two\n\n')
    t.equal(client.text, 'data: one\n\nid: 42\ndata: own\n\ndata: two\n\n')
    t.match(app.sse.stats(), { resumed: 0, replayed: 0, gaps: 0 })
  })
})

test('each event arrives exactly once and in order', async (t) => {
  t.test('events published while onConnect is pending arrive once, after its own events and after the missed events', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', {
      topics: ['a'],
      onConnect: async (_request, stream) => {
        await stream.send('hello')
        await publishAll(app, 'a', 'meanwhile 1')
        await nextTurn()
        await app.sse.broadcast('meanwhile 2')
        await stream.send('bye')
      }
    })
    const [first] = await publishAll(app, 'a', 'seen', 'missed')
    const resumed = await follow(app, '/', first)
    t.strictSame(await takeData(resumed, 5), ['hello', 'bye', 'missed', 'meanwhile 1', 'meanwhile 2'])
    const fresh = await follow(app, '/')
    t.strictSame(await takeData(fresh, 4), ['hello', 'bye', 'meanwhile 1', 'meanwhile 2'])
    await publishAll(app, 'a', 'live')
    t.strictSame(await takeData(resumed, 3), ['meanwhile 1', 'meanwhile 2', 'live'], 'the events of the second onConnect')
  })

  t.test('no event is lost or repeated when events are published at every moment between onConnect and live delivery', async (t) => {
    const app = await makeApp(t)
    const published: Promise<string>[] = []
    const publish = () => { published.push(app.sse.publish('a', String(published.length))) }
    app.sseRoute('/', {
      topics: ['a'],
      onConnect: () => {
        publish()
        process.nextTick(publish)
        setImmediate(publish)
        setTimeout(publish, 1)
        let microtasks = Promise.resolve()
        for (let i = 0; i < 20; i++) microtasks = microtasks.then(publish)
      }
    })
    for (const missed of [0, 1, 500]) {
      published.length = 0
      publish()
      for (let i = 0; i < missed; i++) publish()
      const stream = await follow(app, '/', await published[0])
      await until('all events to be published', () => published.length === missed + 1 + 24)
      t.strictSame((await take(stream, missed + 24)).map(({ id }) => id), (await Promise.all(published)).slice(1), `${missed} missed`)
      publish()
      t.equal((await stream.next())?.id, await published.at(-1))
      stream.close()
      await until('the stream to be closed', () => app.sse.streams.size === 0)
    }
  })

  t.test('no event is lost or repeated when events are published during many replays', async (t) => {
    const app = await makeApp(t, { history: { size: 5_000 } })
    serveTopics(app)
    const ids: string[] = []
    const publish = async () => {
      ids.push(await app.sse.publish('a', String(ids.length)))
      await app.sse.publish('b', 'another')
    }
    while (ids.length < 1_000) await publish()
    const starts = [0, 1, 127, 128, 129, 500, 872, 998, 999]
    const streams = await Promise.all(starts.map((start) => follow(app, 'a', ids[start])))
    while (ids.length < 1_500) {
      await publish()
      if (ids.length % 3 === 0) await nextTurn()
    }
    for (const [index, start] of starts.entries()) {
      const events = await take(streams[index] ?? await follow(app, 'a'), 1_500 - start - 1)
      t.strictSame(events.map(({ id, data }) => [id, data]), ids.map((id, number) => [id, String(number)]).slice(start + 1), `from ${start}`)
    }
    t.match(app.sse.stats(), { gaps: 0, resumed: starts.length })
  })

  t.test('no event is lost or repeated when a client reconnects with its last id after each event', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    let { newest: lastEventId } = hubOf(app)
    const seen: string[] = []
    for (let round = 0; round < 20; round++) {
      const stream = await follow(app, 'a', lastEventId)
      await publishAll(app, 'a', `${round} live`)
      for (const { id = '', data } of await take(stream, round === 0 ? 1 : 2)) {
        seen.push(data)
        lastEventId = id
      }
      stream.close()
      await publishAll(app, 'a', `${round} missed`)
    }
    t.strictSame(seen, numbers(20).flatMap((round) => [`${round} live`, `${round} missed`]).slice(0, -1))
    t.equal(app.sse.stats().gaps, 0)
  })
})

test('a replay follows the pace of the client, also when it is much larger than maxBufferedBytes', async (t) => {
  let reads = 0
  class CountingBackplane extends MemoryBackplane {
    override read (after: string, reader: Reader, limit: number): Page {
      reads++
      return super.read(after, reader, limit)
    }
  }
  const app = await makeApp(t, { maxBufferedBytes: 50_000, history: { size: 2_000 }, backplane: (settings) => new CountingBackplane(settings) })
  let stream: SSEStream | undefined
  app.sseRoute('/', { topics: ['a'], onConnect: (_request, connected) => { stream = connected } })
  const fill = 'x'.repeat(20_000)
  const ids = await publishAll(app, 'a', ...numbers(1_500).map((number) => `${number} ${fill}`))
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': ids[0] } })
  client.pause()
  let most = 0
  const sample = setInterval(() => { most = Math.max(most, stream?.request.raw.socket.writableLength ?? 0) }, 1)
  t.teardown(() => clearInterval(sample))
  await untilStable('the replay to stop', () => app.sse.stats().replayed)
  t.ok(app.sse.stats().replayed < 1_000, `${app.sse.stats().replayed} events were enough to fill the buffers of the kernel`)
  await untilStable('the reads to stop', () => reads)
  ids.push(...await publishAll(app, 'a', 'live 1', 'live 2'))
  client.resume()
  await until('all events', () => idsOf(client.text.slice(-1_000)).includes(ids.at(-1) ?? ''))
  t.strictSame(eventsOf(client.text).map(({ id }) => id), ids.slice(1))
  t.ok(most <= getDefaultHighWaterMark(false) + 2 * fill.length, `${most} bytes waited at most`)
  t.equal(stream?.closeReason, null)
  t.match(app.sse.stats(), { replayed: 1_501, gaps: 0, dropped: 0, closed: { overflow: 0 } })
})
