import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import type { SSEPluginOptions, SSEStats, SSEStream } from '../../lib/index.js'
import { type Client, listen, makeApp, open, until } from '../helpers/app.js'
import { atRest, eventsOf, hubOf, idsOf, publishAll, serveTopics } from '../helpers/subscriber.js'

const FILL = 'x'.repeat(20_000)

/** An app whose route `/` follows `a`, with one client that reads nothing and one that reads all, in this order. */
async function withSlowClient (t: Test, options: SSEPluginOptions) {
  const app = await makeApp(t, { maxBufferedBytes: 100_000, heartbeat: false, history: { size: 10_000 }, ...options })
  const streams: SSEStream[] = []
  const left: SSEStream[] = []
  app.sseRoute('/', { topics: ['a'], onConnect: (_request, stream) => { streams.push(stream) }, onDisconnect: (_request, stream) => { left.push(stream) } })
  const port = await listen(app)
  const slow = await open(t, port, '/')
  slow.pause()
  const healthy = await open(t, port, '/')
  return { app, port, slow, healthy, streams, left }
}

/** Publishes until the counts say that it is enough; the ids. */
async function publishUntil (app: FastifyInstance, enough: (stats: SSEStats) => boolean): Promise<string[]> {
  const ids: string[] = []
  while (!enough(app.sse.stats())) {
    if (ids.length === 5_000) throw new Error(JSON.stringify(app.sse.stats()))
    ids.push(await app.sse.publish('a', `${ids.length} ${FILL}`))
    await turn()
  }
  return ids
}

/** Waits until a client has an event that is among the last of what it was sent. */
async function has (client: Client, id: string | undefined): Promise<void> {
  await until(`the event ${id}`, () => idsOf(client.text.slice(-100_000)).includes(id ?? ''))
}

const eventIdsOf = (client: Client) => eventsOf(client.text).map(({ id }) => id)

test('a slow client with overflow: disconnect', async (t) => {
  t.test('is closed, comes back with its last id, and has missed nothing', async (t) => {
    const { app, port, slow, healthy, streams, left } = await withSlowClient(t, {})
    const ids = await publishUntil(app, ({ closed }) => closed.overflow > 0)
    t.equal(streams[0]?.closeReason, 'overflow')
    t.strictSame(left, [streams[0]])
    ids.push(...await publishAll(app, 'a', 'after'))
    slow.resume()
    t.notOk(await slow.over(), 'broken off, so that it reconnects')
    const got = eventIdsOf(slow)
    t.strictSame(got, ids.slice(0, got.length), 'what it got has no hole')
    t.ok(got.length < ids.length - 1)
    const again = await open(t, port, '/', { headers: { 'last-event-id': idsOf(slow.text).at(-1) } })
    await has(again, ids.at(-1))
    t.strictSame([...got, ...eventIdsOf(again)], ids)
    await has(healthy, ids.at(-1))
    t.strictSame(eventIdsOf(healthy), ids, 'others got all meanwhile')
    t.match(app.sse.stats(), { active: 2, dropped: 0, gaps: 0, closed: { overflow: 1, error: 0 } })
  })

  t.test('makes its bound the stream\'s own, whatever was published', async (t) => {
    const { app, slow, streams } = await withSlowClient(t, {})
    const raw = streams[0]?.request.raw.socket
    let most = 0
    await publishUntil(app, ({ closed }) => {
      most = Math.max(most, raw?.writableLength ?? 0)
      return closed.overflow > 0
    })
    t.ok(most > 0 && most <= 100_000 + 2 * 20_100, `${most} bytes waited at most`)
    slow.leave()
  })

  t.test('publishes in onDisconnect, within nobody\'s turn: all see the same order', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 100_000, heartbeat: false, history: { size: 10_000 } })
    const left: Promise<string>[] = []
    app.sseRoute('/', { topics: ['a'], onDisconnect: () => { left.push(app.sse.publish('a', 'left')) } })
    const port = await listen(app)
    const slow: Client[] = []
    for (let i = 0; i < 3; i++) slow.push(await open(t, port, '/'))
    for (const client of slow) client.pause()
    const healthy = [await open(t, port, '/'), await open(t, port, '/')]
    const ids = await publishUntil(app, ({ closed }) => closed.overflow === 3)
    const expected = [...ids, ...await Promise.all(left)].sort(compareEventIds)
    t.equal(left.length, 3)
    for (const client of healthy) {
      await has(client, expected.at(-1))
      t.strictSame(eventIdsOf(client), expected)
    }
  })
})

test('a slow client with overflow: drop', async (t) => {
  t.test('is told by a gap what it was not sent, and goes on live', async (t) => {
    const { app, port, slow, healthy, streams } = await withSlowClient(t, { overflow: 'drop' })
    const ids = await publishUntil(app, ({ dropped }) => dropped >= 20)
    const { dropped } = app.sse.stats()
    const last = ids.at(-1)
    slow.resume()
    await slow.until('event: gap')
    const live = await publishAll(app, 'a', 'live 1', 'live 2')
    await has(slow, live[1])

    const events = eventsOf(slow.text)
    const at = events.findIndex(({ event }) => event === 'gap')
    t.equal(at, ids.length - dropped, 'it got all that were not dropped')
    t.strictSame(events.slice(0, at).map(({ id }) => id), ids.slice(0, at))
    t.strictSame(events[at], { id: last, event: 'gap', data: JSON.stringify({ lastEventId: ids[at - 1], oldestId: hubOf(app).oldestId }) })
    t.equal(hubOf(app).oldestId, ids[0])
    t.strictSame(events.slice(at + 1), live.map((id, index) => ({ id, event: 'message', data: `live ${index + 1}` })))

    await has(healthy, live[1])
    t.strictSame(eventIdsOf(healthy), [...ids, ...live], 'others got all')
    t.equal(streams[0]?.closeReason, null)
    t.match(app.sse.stats(), { active: 2, gaps: 1, dropped, closed: { overflow: 0 } })

    const again = await open(t, port, '/', { headers: { 'last-event-id': last } })
    await has(again, live[1])
    t.strictSame(eventIdsOf(again), live, 'and has no second gap when it comes back')
    t.equal(app.sse.stats().gaps, 1)
  })

  t.test('has one gap for each time that it fell behind', async (t) => {
    const { app, slow } = await withSlowClient(t, { overflow: 'drop' })
    const ids: string[] = []
    for (let times = 1; times <= 2; times++) {
      slow.pause()
      const before = app.sse.stats().dropped
      ids.push(...await publishUntil(app, ({ dropped }) => dropped >= before + 5))
      slow.resume()
      // also while it catches up
      ids.push(...await publishUntil(app, ({ gaps }) => gaps === times))
    }
    ids.push(...await publishAll(app, 'a', 'live'))
    await has(slow, ids.at(-1))
    const events = eventsOf(slow.text)
    let held: string | undefined
    let told = 0
    for (const { id, event, data } of events) {
      const place = ids.indexOf(held ?? '')
      if (event === 'gap') {
        t.equal(JSON.parse(data).lastEventId, held)
        told += ids.indexOf(id ?? '') - place
      } else if (ids.indexOf(id ?? '') !== place + 1) {
        t.fail(`${id} follows ${held} without a gap`)
      }
      held = id
    }
    t.equal(told, app.sse.stats().dropped, 'the gaps tell of all that were dropped, and of no more')
    t.equal(app.sse.stats().gaps, 2)
  })

  t.test('is not sent a replay faster than it reads: what waits in the log is not dropped', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 0, heartbeat: false, overflow: 'drop' })
    serveTopics(app)
    const ids = await publishAll(app, 'a', ...Array.from({ length: 1_000 }, () => FILL))
    const client = await open(t, await listen(app), '/on/a', { headers: { 'last-event-id': ids[0] } })
    client.pause()
    await atRest('the replay', () => app.sse.stats().replayed)
    ids.push(...await publishAll(app, 'a', 'live 1', 'live 2'))
    client.resume()
    await has(client, ids.at(-1))
    t.strictSame(eventIdsOf(client), ids.slice(1))
    t.match(app.sse.stats(), { dropped: 0, gaps: 0 })
  })
})

test('a stream that subscribes while its client is behind', async (t) => {
  t.test('says its place in the log all the same, so that an overflow loses nothing', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => {
      stream = reply.sse()
      if (stream.lastEventId !== null) stream.subscribe('a')
    })
    const port = await listen(app)
    const client = await open(t, port, '/')
    client.pause()
    await until('it is behind', async () => {
      stream?.send(FILL).catch(t.error)
      await turn()
      return (stream?.request.raw.socket.writableLength ?? 0) > 0
    })
    stream?.send(FILL.repeat(3)).catch(t.error)
    stream?.subscribe('a')
    const id = await app.sse.publish('a', 'missed')
    await until('it is closed', () => stream?.closeReason === 'overflow')
    client.resume()
    await client.over()
    const again = await open(t, port, '/', { headers: { 'last-event-id': idsOf(client.text).at(-1) ?? '' } })
    await again.until(`id: ${id}\ndata: missed\n\n`)
  })

  t.test('leaves it to the gap where events are being left out', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/')
    client.pause()
    await until('events are left out', async () => {
      stream?.send(FILL).catch(t.error)
      await turn()
      return app.sse.stats().dropped > 0
    })
    await app.sse.broadcast('left out')
    stream?.subscribe('a')
    client.resume()
    await client.until('event: gap\ndata: {"lastEventId":null,')
    t.strictSame(idsOf(client.text), [hubOf(app).newest], 'the id is that of the gap')
    const id = await app.sse.publish('a', 'live')
    await client.until(`id: ${id}\ndata: live\n\n`)
  })

  t.test('leaves it to that gap, too, what its client missed of a topic that comes late', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': '1-1' } })
    await client.until('event: gap')
    const [held] = idsOf(client.text)
    client.pause()
    await until('events are left out', async () => {
      await app.sse.broadcast(FILL)
      return app.sse.stats().dropped > 0
    })
    stream?.subscribe('a')
    client.resume()
    await client.until('event: gap', 2)
    const gaps = eventsOf(client.text).filter(({ event }) => event === 'gap')
    t.equal(gaps.length, 2)
    t.equal(gaps[0]?.id, held)
    const at = idsOf(client.text).indexOf(gaps[1]?.id ?? '')
    t.match(gaps[1]?.data, `{"lastEventId":"${idsOf(client.text)[at - 1]}",`, 'it names the id that its client holds')
    t.equal(app.sse.stats().gaps, 2)
  })

  t.test('holds no id, as its gap says, once an empty one took that away', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': 'own' } })
    await stream?.send({ id: '', data: 'forget' })
    client.pause()
    await until('events are left out', async () => {
      await app.sse.broadcast(FILL)
      return app.sse.stats().dropped > 0
    })
    client.resume()
    await client.until('event: gap\ndata: {"lastEventId":null,')
  })

  t.test('and is read to from the log meanwhile, gets a gap that leaps over nothing of it', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.sseRoute('/', { topics: ['a'], onConnect: (_request, opened) => { stream = opened } })
    const ids = await publishAll(app, 'a', ...Array.from({ length: 1_000 }, () => FILL))
    const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': ids[0] } })
    client.pause()
    await atRest('the replay', () => app.sse.stats().replayed)
    for (let i = 0; i < 10; i++) stream?.send(FILL).catch(t.error)
    t.ok(app.sse.stats().dropped > 0)
    client.resume()
    await has(client, ids.at(-1))
    const events = eventsOf(client.text).filter(({ id }) => id !== undefined)
    t.strictSame(events.filter(({ event }) => event === 'message').map(({ id }) => id), ids.slice(1), 'all that was missed')
    const place = events.findIndex(({ event }) => event === 'gap')
    t.equal(events[place]?.id, events[place - 1]?.id, 'the gap stays where the replay is')
  })
})
