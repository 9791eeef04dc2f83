import { test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import type { SSEStream } from '../../lib/index.js'
import type { InjectedEvent } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { untilStable, eventsOf, follow, hubOf, idsOf, publishAll, serveTopics, take, takeData } from '../helpers/subscriber.js'

/** Returns a gap event; `id` is the position from which the stream continues. */
function gap (id: string | undefined, lastEventId: string | undefined, oldestId: string | null | undefined): InjectedEvent {
  return { id, event: 'gap', data: JSON.stringify({ lastEventId, oldestId }) }
}

const messages = (ids: string[], ...data: string[]): InjectedEvent[] => data.map((text, index) => ({ id: ids[index], event: 'message', data: text }))

test('a client whose id the log does not reach back to', async (t) => {
  t.test('a client whose id is older than the log gets a gap event, then the retained events of its topics', async (t) => {
    const app = await makeApp(t, { history: { size: 2 } })
    serveTopics(app)
    const ids = await publishAll(app, 'a', '0', '1', '2', '3', '4')
    ids.push(await app.sse.publish('b', 'another\'s'), await app.sse.broadcast('5'))
    const stream = await follow(app, 'a', ids[1])
    ids.push(...await publishAll(app, 'a', 'live'))
    t.strictSame(await take(stream, 5), [
      gap(ids[2], ids[1], ids[3]), ...messages(ids.slice(3), '3', '4'), ...messages(ids.slice(6), '5', 'live')
    ])
    t.match(app.sse.stats(), { resumed: 1, gaps: 1, replayed: 3, sent: 4 })
  })

  t.test('a client whose id is right before the oldest retained event gets no gap', async (t) => {
    const app = await makeApp(t, { history: { size: 2 } })
    serveTopics(app)
    const ids = await publishAll(app, 'a', '0', '1', '2', '3')
    t.strictSame(await takeData(await follow(app, 'a', ids[1]), 2), ['2', '3'])
    t.match(app.sse.stats(), { gaps: 0, replayed: 2 })
  })

  t.test('a gap is sent after the events of onConnect and before everything else', async (t) => {
    const app = await makeApp(t, { history: { size: 1 } })
    app.sseRoute('/', { topics: ['a'], onConnect: (_request, stream) => stream.send('hello') })
    const ids = await publishAll(app, 'a', '0', '1', '2')
    t.match(await take(await follow(app, '/', ids[0]), 3), [{ data: 'hello' }, gap(ids[1], ids[0], ids[2]), { data: '2' }])
  })
})

test('an id that has the log\'s form and is not known', async (t) => {
  t.test('an id that has the form of the log but is unknown leads to a gap, then all retained events', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const start = hubOf(app).newest
    const ids = await publishAll(app, 'a', '0')
    // so that an id between the two exists
    await until('the next millisecond', () => Date.now() > Number(ids[0]?.split('-')[0]))
    ids.push(...await publishAll(app, 'a', '1'))
    const between = `${ids[0]?.split('-')[0]}-4000000000`
    t.ok(compareEventIds(ids[0] ?? '', between) < 0 && compareEventIds(between, ids[1] ?? '') < 0)
    const unknown = ['0-0', '1-1', between, `${Date.now() + 86_400_000}-0`, '18446744073709551615-18446744073709551615']
    for (const id of unknown) {
      const stream = await follow(app, 'a', id)
      t.strictSame(await take(stream, 3), [gap(start, id, ids[0]), ...messages(ids, '0', '1')], id)
      stream.close()
    }
    t.match(app.sse.stats(), { resumed: unknown.length, gaps: unknown.length })
    await until('all streams to be closed', () => app.sse.streams.size === 0)
    t.strictSame(await takeData(await follow(app, 'a', start), 2), ['0', '1'], 'a client that reconnects with the id of the gap gets no second gap')
    t.equal(app.sse.stats().gaps, unknown.length)
  })

  t.test('an unknown id leads to a gap in an empty log, whose oldestId is null', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const start = hubOf(app).newest
    const stream = await follow(app, 'a', '1-1')
    t.strictSame(await take(stream, 1), [gap(start, '1-1', null)])
    const again = await follow(app, 'a', start)
    const ids = await publishAll(app, 'a', 'first')
    for (const each of [stream, again]) t.strictSame(await take(each, 1), messages(ids, 'first'))
    t.equal(app.sse.stats().gaps, 1)
  })
})

test('the id of a gap', async (t) => {
  t.test('a client that reconnects with the id of a gap resumes at that position, without a second gap', async (t) => {
    const app = await makeApp(t, { history: { size: 3 } })
    serveTopics(app)
    const ids = await publishAll(app, 'a', '0', '1', '2', '3', '4')
    const [first] = await take(await follow(app, 'a', ids[0]), 1)
    t.equal(first?.event, 'gap')
    t.strictSame(await take(await follow(app, 'a', first?.id), 3), messages(ids.slice(2), '2', '3', '4'))
    t.equal(app.sse.stats().gaps, 1)
  })

  t.test('a gap carries its own id, without a separate id line', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    serveTopics(app)
    const start = hubOf(app).newest
    const client = await open(t, await listen(app), '/on/a', { headers: { 'last-event-id': '1-1' } })
    await client.until('event: gap')
    const id = await app.sse.publish('a', 'next')
    await client.until('data: next\n\n')
    t.equal(client.text, `id: 1-1\n\nid: ${start}\nevent: gap\ndata: {"lastEventId":"1-1","oldestId":null}\n\nid: ${id}\ndata: next\n\n`)
  })

  t.test('after a gap, the ids of opening lines and heartbeats lead to no second gap', async (t) => {
    const app = await makeApp(t, { history: { size: 3 }, heartbeat: 20 })
    serveTopics(app)
    const ids = await publishAll(app, 'b', '0', '1', '2', '3', '4')
    const client = await open(t, await listen(app), '/on/b', { headers: { 'last-event-id': ids[0] } })
    const [later = ''] = await publishAll(app, 'a', 'of another topic')
    await client.until(`id: ${later}\n\n`)
    t.strictSame(eventsOf(client.text), [gap(ids[1], ids[0], ids[2]), ...messages(ids.slice(2), '2', '3', '4')])
    const known = [...new Set(idsOf(client.text))].slice(1)
    t.strictSame(known, [...ids.slice(1), later])
    for (const [index, id] of known.entries()) await take(await follow(app, 'b', id), Math.max(0, 3 - index))
    t.equal(app.sse.stats().gaps, 1)
  })
})

test('how far the log reaches', async (t) => {
  t.test('history.maxAge limits how far the log reaches back', async (t) => {
    const app = await makeApp(t, { history: { maxAge: 600 } })
    serveTopics(app)
    const ids = await publishAll(app, 'a', '0', '1')
    t.strictSame(await takeData(await follow(app, 'a', ids[0]), 1), ['1'])
    await until('both events to expire', () => hubOf(app).oldestId === null)
    t.strictSame(await take(await follow(app, 'a', ids[0]), 1), [gap(ids[1], ids[0], null)])
    const newest = await follow(app, 'a', ids[1])
    ids.push(...await publishAll(app, 'a', '2'))
    t.strictSame(await take(newest, 1), messages(ids.slice(2), '2'))
    t.strictSame(await take(await follow(app, 'a', ids[0]), 2), [gap(ids[1], ids[0], ids[2]), ...messages(ids.slice(2), '2')])
    t.equal(app.sse.stats().gaps, 2)
  })

  for (const history of [false, { size: 0 }] as const) {
    t.test(`with history: ${JSON.stringify(history)}, every id except the newest leads to a gap`, async (t) => {
      const app = await makeApp(t, { history })
      serveTopics(app)
      const ids = await publishAll(app, 'a', '0', '1')
      const [newest, older] = [await follow(app, 'a', ids[1]), await follow(app, 'a', ids[0])]
      t.strictSame(await take(older, 1), [gap(ids[1], ids[0], null)])
      ids.push(...await publishAll(app, 'a', 'live'))
      for (const stream of [newest, older]) t.strictSame(await take(stream, 1), messages(ids.slice(2), 'live'))
      t.match(app.sse.stats(), { gaps: 1, replayed: 0, resumed: 2 })
    })
  }

  t.test('a gap is sent when the log drops events that were published while onConnect was pending', async (t) => {
    const app = await makeApp(t, { history: { size: 2 } })
    const ids: string[] = []
    const start = hubOf(app).newest
    app.sseRoute('/', { topics: ['a'], onConnect: async () => { ids.push(...await publishAll(app, 'a', '0', '1', '2', '3')) } })
    const stream = await follow(app, '/')
    t.strictSame(await take(stream, 3), [gap(ids[1], start, ids[2]), ...messages(ids.slice(2), '2', '3')])
  })
})

test('a slow client gets one gap when the log drops events before its replay has read them', async (t) => {
  const app = await makeApp(t, { history: { size: 300 } })
  serveTopics(app)
  const fill = 'x'.repeat(60_000)
  const ids = await publishAll(app, 'a', ...Array.from({ length: 300 }, () => fill))
  const client = await open(t, await listen(app), '/on/a', { headers: { 'last-event-id': ids[0] } })
  client.pause()
  await untilStable('the replay to stop', () => app.sse.stats().replayed)
  const { replayed } = app.sse.stats()
  t.ok(replayed > 0 && replayed < 250, `${replayed} events were enough to fill the buffers of the kernel`)
  ids.push(...await publishAll(app, 'a', ...Array.from({ length: 250 }, () => 'small')))
  client.resume()
  await until('all events', () => idsOf(client.text.slice(-1_000)).includes(ids[549] ?? ''))
  const events = eventsOf(client.text)
  const at = events.findIndex(({ event }) => event === 'gap')
  t.strictSame(events[at], gap(ids[249], ids[at], ids[250]), 'the gap is where the log had dropped unread events')
  t.strictSame(events.map(({ id }) => id), [...ids.slice(1, at + 1), ...ids.slice(249)], 'no event is missing before and after the gap')
  t.equal(app.sse.stats().gaps, 1)
  const again = await follow(app, 'a', ids[249])
  t.equal((await take(again, 300)).at(-1)?.id, ids[549])
  t.equal(app.sse.stats().gaps, 1, 'a client that reconnects with the id of the gap gets no second gap')
})

test('a client of a rarely used topic gets no gap, however much is published to a busy topic', async (t) => {
  const app = await makeApp(t, { history: { size: 5 }, heartbeat: 20 })
  let stream: SSEStream | undefined
  app.sseRoute('/', { topics: ['quiet'], onConnect: (_request, connected) => { stream = connected } })
  const client = await open(t, await listen(app), '/')
  await client.until('\n\n')
  const busy = await publishAll(app, 'busy', ...Array.from({ length: 50 }, (_, index) => String(index)))
  await client.until(`id: ${busy.at(-1)}\n\n`)
  client.disconnect()
  await until('the stream to be closed', () => stream?.closed)
  await app.sse.publish('quiet', 'missed')
  const [opening, ...beats] = idsOf(client.text)
  t.strictSame(await takeData(await follow(app, '/', beats.at(-1)), 1), ['missed'], 'with the id of a heartbeat')
  t.strictSame(await takeData(await follow(app, '/', opening), 1), ['missed'], 'with the id of the opening line')
  t.equal(app.sse.stats().gaps, 0)
})
