import { setImmediate as nextTurn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import type { SSEPluginOptions, SSEStats, SSEStream } from '../../lib/index.js'
import { type Client, listen, makeApp, open, until } from '../helpers/app.js'
import { untilStable, eventsOf, hubOf, idsOf, publishAll, serveTopics } from '../helpers/subscriber.js'

const FILL = 'x'.repeat(20_000)

/** Creates an app with one client that reads nothing and one that reads all, both subscribed to `a`. */
async function createAppWithSlowClient (t: Test, options: SSEPluginOptions) {
  const app = await makeApp(t, { maxBufferedBytes: 100_000, heartbeat: false, history: { size: 10_000 }, ...options })
  const streams: SSEStream[] = []
  const disconnected: SSEStream[] = []
  app.sseRoute('/', { topics: ['a'], onConnect: (_request, stream) => { streams.push(stream) }, onDisconnect: (_request, stream) => { disconnected.push(stream) } })
  const port = await listen(app)
  const slow = await open(t, port, '/')
  slow.pause()
  const healthy = await open(t, port, '/')
  return { app, port, slow, healthy, streams, disconnected }
}

/** Publishes until the stats meet a condition, and returns the ids. */
async function publishUntil (app: FastifyInstance, enough: (stats: SSEStats) => boolean): Promise<string[]> {
  const ids: string[] = []
  while (!enough(app.sse.stats())) {
    if (ids.length === 5_000) throw new Error(JSON.stringify(app.sse.stats()))
    ids.push(await app.sse.publish('a', `${ids.length} ${FILL}`))
    await nextTurn()
  }
  return ids
}

/** Waits until a client has received an event, which must be among its last ones. */
async function waitForEvent (client: Client, id: string | undefined): Promise<void> {
  await until(`the event ${id}`, () => idsOf(client.text.slice(-100_000)).includes(id ?? ''))
}

const eventIdsOf = (client: Client) => eventsOf(client.text).map(({ id }) => id)

test('a slow client with overflow: disconnect', async (t) => {
  t.test('with overflow: disconnect, a slow client is disconnected, reconnects with its last id and misses nothing', async (t) => {
    const { app, port, slow, healthy, streams, disconnected } = await createAppWithSlowClient(t, { overflow: 'disconnect' })
    const ids = await publishUntil(app, ({ closed }) => closed.overflow > 0)
    t.equal(streams[0]?.closeReason, 'overflow')
    t.strictSame(disconnected, [streams[0]])
    ids.push(...await publishAll(app, 'a', 'after'))
    slow.resume()
    t.notOk(await slow.finished(), 'the response is aborted, so that the client reconnects')
    const got = eventIdsOf(slow)
    t.strictSame(got, ids.slice(0, got.length), 'no event is missing in what the slow client got')
    t.ok(got.length < ids.length - 1)
    const again = await open(t, port, '/', { headers: { 'last-event-id': idsOf(slow.text).at(-1) } })
    await waitForEvent(again, ids.at(-1))
    t.strictSame([...got, ...eventIdsOf(again)], ids)
    await waitForEvent(healthy, ids.at(-1))
    t.strictSame(eventIdsOf(healthy), ids, 'the other client got all events')
    t.match(app.sse.stats(), { active: 2, dropped: 0, gaps: 0, closed: { overflow: 1, error: 0 } })
  })

  t.test('with overflow: disconnect, published events are limited by maxBufferedBytes of each stream', async (t) => {
    const { app, slow, streams } = await createAppWithSlowClient(t, { overflow: 'disconnect' })
    const raw = streams[0]?.request.raw.socket
    let most = 0
    await publishUntil(app, ({ closed }) => {
      most = Math.max(most, raw?.writableLength ?? 0)
      return closed.overflow > 0
    })
    t.ok(most > 0 && most <= 100_000 + 2 * 20_100, `${most} bytes waited at most`)
    slow.disconnect()
  })

  t.test('events published in onDisconnect of a slow client arrive in the same order on all streams', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 100_000, overflow: 'disconnect', heartbeat: false, history: { size: 10_000 } })
    const farewells: Promise<string>[] = []
    app.sseRoute('/', { topics: ['a'], onDisconnect: () => { farewells.push(app.sse.publish('a', 'left')) } })
    const port = await listen(app)
    const slow: Client[] = []
    for (let i = 0; i < 3; i++) slow.push(await open(t, port, '/'))
    for (const client of slow) client.pause()
    const healthy = [await open(t, port, '/'), await open(t, port, '/')]
    const ids = await publishUntil(app, ({ closed }) => closed.overflow === 3)
    const expected = [...ids, ...await Promise.all(farewells)].sort(compareEventIds)
    t.equal(farewells.length, 3)
    for (const client of healthy) {
      await waitForEvent(client, expected.at(-1))
      t.strictSame(eventIdsOf(client), expected)
    }
  })
})

test('a slow client with overflow: drop', async (t) => {
  t.test('with overflow: drop, a slow client gets a gap event for the dropped events, then new events', async (t) => {
    const { app, port, slow, healthy, streams } = await createAppWithSlowClient(t, { overflow: 'drop' })
    const ids = await publishUntil(app, ({ dropped }) => dropped >= 20)
    const { dropped } = app.sse.stats()
    const last = ids.at(-1)
    slow.resume()
    await slow.until('event: gap')
    const live = await publishAll(app, 'a', 'live 1', 'live 2')
    await waitForEvent(slow, live[1])

    const events = eventsOf(slow.text)
    const at = events.findIndex(({ event }) => event === 'gap')
    t.equal(at, ids.length - dropped, 'all events that were not dropped arrived')
    t.strictSame(events.slice(0, at).map(({ id }) => id), ids.slice(0, at))
    t.strictSame(events[at], { id: last, event: 'gap', data: JSON.stringify({ lastEventId: ids[at - 1], oldestId: hubOf(app).oldestId }) })
    t.equal(hubOf(app).oldestId, ids[0])
    t.strictSame(events.slice(at + 1), live.map((id, index) => ({ id, event: 'message', data: `live ${index + 1}` })))

    await waitForEvent(healthy, live[1])
    t.strictSame(eventIdsOf(healthy), [...ids, ...live], 'the other client got all events')
    t.equal(streams[0]?.closeReason, null)
    t.match(app.sse.stats(), { active: 2, gaps: 1, dropped, closed: { overflow: 0 } })

    const again = await open(t, port, '/', { headers: { 'last-event-id': last } })
    await waitForEvent(again, live[1])
    t.strictSame(eventIdsOf(again), live, 'a client that reconnects after the gap gets no second gap')
    t.equal(app.sse.stats().gaps, 1)
  })

  t.test('with overflow: drop, a client gets one gap for each time it was slow', async (t) => {
    const { app, slow } = await createAppWithSlowClient(t, { overflow: 'drop' })
    const ids: string[] = []
    for (let times = 1; times <= 2; times++) {
      slow.pause()
      const before = app.sse.stats().dropped
      ids.push(...await publishUntil(app, ({ dropped }) => dropped >= before + 5))
      slow.resume()
      // publishes also while the client catches up
      ids.push(...await publishUntil(app, ({ gaps }) => gaps === times))
    }
    ids.push(...await publishAll(app, 'a', 'live'))
    await waitForEvent(slow, ids.at(-1))
    const events = eventsOf(slow.text)
    let held: string | undefined
    let missed = 0
    for (const { id, event, data } of events) {
      const place = ids.indexOf(held ?? '')
      if (event === 'gap') {
        t.equal(JSON.parse(data).lastEventId, held)
        missed += ids.indexOf(id ?? '') - place
      } else if (ids.indexOf(id ?? '') !== place + 1) {
        t.fail(`${id} follows ${held} without a gap`)
      }
      held = id
    }
    t.equal(missed, app.sse.stats().dropped, 'the gaps name all dropped events and no other')
    t.equal(app.sse.stats().gaps, 2)
  })

  t.test('with overflow: drop, a replay follows the pace of the client, and events that wait in the log are not dropped', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 0, heartbeat: false, overflow: 'drop' })
    serveTopics(app)
    const ids = await publishAll(app, 'a', ...Array.from({ length: 1_000 }, () => FILL))
    const client = await open(t, await listen(app), '/on/a', { headers: { 'last-event-id': ids[0] } })
    client.pause()
    await untilStable('the replay to stop', () => app.sse.stats().replayed)
    ids.push(...await publishAll(app, 'a', 'live 1', 'live 2'))
    client.resume()
    await waitForEvent(client, ids.at(-1))
    t.strictSame(eventIdsOf(client), ids.slice(1))
    t.match(app.sse.stats(), { dropped: 0, gaps: 0 })
  })
})

test('a stream that subscribes while its client is behind', async (t) => {
  t.test('a slow client whose stream subscribes gets the position in the log, so that it misses nothing after an overflow', async (t) => {
    const app = await makeApp(t, { overflow: 'disconnect', maxBufferedBytes: 50_000, heartbeat: false })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => {
      stream = reply.sse()
      if (stream.lastEventId !== null) stream.subscribe('a')
    })
    const port = await listen(app)
    const client = await open(t, port, '/')
    client.pause()
    await until('the client to be slow', async () => {
      stream?.send(FILL).catch(t.error)
      await nextTurn()
      return (stream?.request.raw.socket.writableLength ?? 0) > 0
    })
    stream?.send(FILL.repeat(3)).catch(t.error)
    stream?.subscribe('a')
    const id = await app.sse.publish('a', 'missed')
    await until('the stream to be closed', () => stream?.closeReason === 'overflow')
    client.resume()
    await client.finished()
    const again = await open(t, port, '/', { headers: { 'last-event-id': idsOf(client.text).at(-1) ?? '' } })
    await again.until(`id: ${id}\ndata: missed\n\n`)
  })

  t.test('a stream that subscribes while events are dropped gets its position with the gap', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/')
    client.pause()
    await until('a dropped event', async () => {
      stream?.send(FILL).catch(t.error)
      await nextTurn()
      return app.sse.stats().dropped > 0
    })
    await app.sse.broadcast('dropped')
    stream?.subscribe('a')
    client.resume()
    await client.until('event: gap\ndata: {"lastEventId":null,')
    t.strictSame(idsOf(client.text), [hubOf(app).newest], 'the id is that of the gap')
    const id = await app.sse.publish('a', 'live')
    await client.until(`id: ${id}\ndata: live\n\n`)
  })

  t.test('a stream that subscribes late while events are dropped gets the missed events named by that gap', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': '1-1' } })
    await client.until('event: gap')
    const [held] = idsOf(client.text)
    client.pause()
    await until('a dropped event', async () => {
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
    t.match(gaps[1]?.data, `{"lastEventId":"${idsOf(client.text)[at - 1]}",`, 'the gap names the last id of the client')
    t.equal(app.sse.stats().gaps, 2)
  })

  t.test('a gap names no last id after an event with an empty id has reset it', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': 'own' } })
    await stream?.send({ id: '', data: 'forget' })
    client.pause()
    await until('a dropped event', async () => {
      await app.sse.broadcast(FILL)
      return app.sse.stats().dropped > 0
    })
    client.resume()
    await client.until('event: gap\ndata: {"lastEventId":null,')
  })

  t.test('a gap during a replay skips no event of the replay', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, heartbeat: false, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.sseRoute('/', { topics: ['a'], onConnect: (_request, opened) => { stream = opened } })
    const ids = await publishAll(app, 'a', ...Array.from({ length: 1_000 }, () => FILL))
    const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': ids[0] } })
    client.pause()
    await untilStable('the replay to stop', () => app.sse.stats().replayed)
    for (let i = 0; i < 10; i++) stream?.send(FILL).catch(t.error)
    t.ok(app.sse.stats().dropped > 0)
    client.resume()
    await waitForEvent(client, ids.at(-1))
    const events = eventsOf(client.text).filter(({ id }) => id !== undefined)
    t.strictSame(events.filter(({ event }) => event === 'message').map(({ id }) => id), ids.slice(1), 'all missed events arrived')
    const place = events.findIndex(({ event }) => event === 'gap')
    t.equal(events[place]?.id, events[place - 1]?.id, 'the gap has the position of the replay')
  })
})
