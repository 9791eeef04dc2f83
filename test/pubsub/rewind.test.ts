import { test } from 'tap'
import { listen, makeApp, open } from '../helpers/app.js'
import { follow, hubOf, idsOf, publishAll, take, takeData } from '../helpers/subscriber.js'

test('a client without an id is sent the newest retained events of each topic, in the order of the log, without a gap', async (t) => {
  const app = await makeApp(t, { history: { size: 3 } })
  app.sseRoute('/last', { topics: ['a', 'b', 'c'], rewind: 2 })
  app.sseRoute('/all', { topics: ['a', 'b', 'c'], rewind: 'all' })
  app.sseRoute('/none', { topics: ['a', 'b', 'c'] })
  await publishAll(app, 'a', 'a0', 'a1')
  await publishAll(app, 'b', 'b0')
  await publishAll(app, 'a', 'a2', 'a3')
  await publishAll(app, 'busy', ...Array.from({ length: 50 }, String))
  const streams = [await follow(app, '/last'), await follow(app, '/all'), await follow(app, '/none')] as const
  await publishAll(app, 'b', 'live')
  t.strictSame(await takeData(streams[0], 4), ['b0', 'a2', 'a3', 'live'])
  t.strictSame(await takeData(streams[1], 5), ['a1', 'b0', 'a2', 'a3', 'live'])
  t.strictSame(await takeData(streams[2], 1), ['live'])
  t.match(app.sse.stats(), { gaps: 0, resumed: 0 })
})

test('a client that has an id is sent the events after it, whatever rewind says', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'], rewind: 'all' })
  const ids = await publishAll(app, 'a', '0', '1', '2')
  t.strictSame(await takeData(await follow(app, '/', ids[1]), 1), ['2'])
})

test('a rewind sends neither broadcasts nor events of the client id that were published before', async (t) => {
  const app = await makeApp(t, { clientId: () => 'me' })
  app.sseRoute('/', { topics: ['a'], rewind: 5 })
  await app.sse.broadcast('old broadcast')
  await app.sse.sendTo('me', 'old message')
  await publishAll(app, 'a', 'a0')
  const stream = await follow(app, '/')
  await app.sse.broadcast('broadcast')
  t.strictSame(await takeData(stream, 2), ['a0', 'broadcast'])
})

test('events published while onConnect is pending are all sent after a rewind, also broadcasts', async (t) => {
  const app = await makeApp(t, { history: { size: 3 } })
  let connected = () => {}
  const start = new Promise<void>((resolve) => { connected = resolve })
  app.sseRoute('/', {
    topics: ['a', 'b'],
    rewind: 1,
    async onConnect () {
      await app.sse.broadcast('broadcast')
      await publishAll(app, 'a', 'a2', 'a3')
      await start
    }
  })
  await publishAll(app, 'a', 'a0', 'a1')
  await publishAll(app, 'b', 'b0', 'b1')
  const stream = await follow(app, '/')
  connected()
  t.strictSame(await takeData(stream, 4), ['b1', 'broadcast', 'a2', 'a3'])
  t.match(app.sse.stats(), { gaps: 0 })
})

test('a client that leaves during a rewind continues after the last event that it has', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a', 'b'], rewind: 'all' })
  await publishAll(app, 'a', '0', '1')
  await publishAll(app, 'b', '2', '3')
  const [, second] = await take(await follow(app, '/'), 2)
  t.strictSame(await takeData(await follow(app, '/', second?.id), 2), ['2', '3'])
})

test('a rewind with nothing retained sends the id of the log once the stream is live, and no id before', async (t) => {
  const app = await makeApp(t, { heartbeat: 20 })
  app.sseRoute('/', { topics: ['a'], rewind: 1 })
  const client = await open(t, await listen(app), '/')
  await client.until('\n\n')
  t.strictSame(idsOf(client.text), [hubOf(app).newest])
  await publishAll(app, 'a', 'first')
  await client.until('data: first\n\n')
})

test('a heartbeat while onConnect is pending has no id if a rewind follows', async (t) => {
  const app = await makeApp(t, { heartbeat: 20 })
  let go = () => {}
  app.sseRoute('/', { topics: ['a'], rewind: 1, onConnect: () => new Promise<void>((resolve) => { go = resolve }) })
  const client = await open(t, await listen(app), '/')
  await publishAll(app, 'a', 'x')
  await client.until(':\n')
  t.strictSame(idsOf(client.text), [])
  go()
  await client.until('data: x\n\n')
})

test('a rewound replay reads many events in pages, and no event of another topic', async (t) => {
  const app = await makeApp(t, { history: { size: 10_000 } })
  app.sseRoute('/', { topics: ['a'], rewind: 'all' })
  const all = Array.from({ length: 500 }, (_, index) => String(index))
  for (const text of all) {
    await app.sse.publish('a', text)
    await app.sse.publish('b', 'other')
  }
  t.strictSame(await takeData(await follow(app, '/'), 500), all)
})
