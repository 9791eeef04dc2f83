import type { StartPositions } from '../../lib/backplane.js'
import { compareEventIds } from '../../lib/event/id.js'
import { listen, open } from '../helpers/app.js'
import { eventsOf, privatePartsOf, take } from '../helpers/subscriber.js'
import { follow, loseEvents, publishFromOutside, startApp, until } from './app.js'
import { openProxy } from './proxy.js'
import { testRedis } from '../helpers/redis-server.js'

for (const history of [undefined, false] as const) {
  testRedis(`a client reconnects to a process that has read less of the log than the one before${history === false ? ', and nothing is replayed' : ''}`, async (t, server) => {
    const proxy = await openProxy(t, server.port)
    const { app } = await startApp(t, { url: proxy.url }, history === undefined ? {} : { history })
    await app.sse.publish('news', '0')
    const port = await listen(app)
    proxy.stall('XREAD')
    const ids: string[] = []
    for (let i = 1; i <= 5; i++) ids.push(await publishFromOutside(server, 'news', String(i)))
    const clients = await Promise.all(ids.map((id) => open(t, port, '/on/news', { headers: { 'last-event-id': id } })))
    proxy.resume()
    const last = await app.sse.publish('news', 'last')
    for (const [i, client] of clients.entries()) {
      await client.until(`id: ${last}\n`)
      const got = eventsOf(client.text).map(({ id = '' }) => id)
      if (history === false) t.ok(got.every((id, j) => compareEventIds(got[j - 1] ?? ids[i] ?? '', id) < 0), 'it gets nothing twice')
      else t.strictSame(got, [...ids.slice(i + 1), last], 'it gets what it does not have')
    }
    if (history === undefined) t.equal(app.sse.stats().gaps, 0)
  })
}

testRedis('a process replays no events from Redis that it has not received', async (t, server) => {
  const ids = [await publishFromOutside(server, 'news', '1'), await publishFromOutside(server, 'news', '2')]
  const proxy = await openProxy(t, server.port)
  const { app } = await startApp(t, { url: proxy.url })
  const hub = privatePartsOf(app.sse).hub
  ids.push(await app.sse.publish('news', '3'))
  await until('it to be received', () => hub.newest === ids[2])
  proxy.stall('XREAD')
  await publishFromOutside(server, 'news', '4')
  for (const [i, after] of ['1-1', ...ids].entries()) {
    const { events } = await hub.read(after, { topics: new Set(['news']), clientId: 'ann', from: null }, 10)
    t.strictSame(events.map(({ id }) => id), ids.slice(i))
  }
})

testRedis('oldestId is the id of an event that Redis still has', async (t, server) => {
  await publishFromOutside(server, 'news', '0')
  const { app } = await startApp(t, { url: server.url }, { history: { size: 100 } })
  for (let i = 0; i < 6; i++) {
    const ids = await Promise.all(Array.from({ length: 50 }, () => app.sse.publish('news', 'x')))
    await until('them to be received', () => privatePartsOf(app.sse).hub.newest === ids.at(-1))
  }
  const [[oldest]] = await server.call('XRANGE', '{sse}:topic:news', '-', '+', 'COUNT', '1') as [[id: string]]
  t.ok(compareEventIds(privatePartsOf(app.sse).hub.oldestId ?? '0-0', oldest) >= 0)
})

testRedis('a replay from a Redis stream that holds only loss markers', async (t, server) => {
  for (let i = 0; i < 3; i++) await loseEvents(server)
  const { app } = await startApp(t, { url: server.url })
  const stream = await follow(app, 'news', '1-1')
  const id = await app.sse.publish('news', '1')
  t.strictSame((await take(stream, 2)).map(({ event, id }) => event === 'gap' ? event : id), ['gap', id])
})

testRedis('a replay sends a gap at the newest loss marker', async (t, server) => {
  const first = await publishFromOutside(server, 'news', '1')
  for (const data of ['2', '3']) {
    await loseEvents(server)
    await publishFromOutside(server, 'news', data)
  }
  const { app } = await startApp(t, { url: server.url })
  for (const [after, events] of [[first, ['2', 'gap', '3']], ['1-1', ['1', '2', 'gap', '3']]] as const) {
    t.strictSame((await take(await follow(app, 'news', after), events.length)).map(({ event, data }) => event === 'gap' ? event : data), events)
  }
})

testRedis('a process that has received none of the events reads them from Redis in pages, also after a rewind', async (t, server) => {
  const writer = await startApp(t, { url: server.url }, { history: { maxAge: Infinity } })
  const ids: string[] = []
  for (let i = 0; i < 4; i++) ids.push(await writer.app.sse.publish(i % 2 === 0 ? 'a' : ['a', 'b'], 'x'), await writer.app.sse.sendTo('ann', 'x'))
  ids.push(await writer.app.sse.broadcast('x'))
  t.equal(await server.call('PTTL', '{sse}:topic:a'), -1, 'without an age limit')
  const { hub } = privatePartsOf((await startApp(t, { url: server.url })).app.sse)
  const topics = new Set(['b', 'a', 'c'])
  const readAll = async (after: string, limit: number, from: StartPositions | null) => {
    const found: string[] = []
    for (let position = after; position !== hub.newest;) {
      const page = await hub.read(position, { topics, clientId: 'ann', from }, limit)
      t.equal(page.gap, null)
      found.push(...page.events.map(({ id }) => id))
      position = page.position
    }
    return found
  }
  const [first = '', second = ''] = ids
  for (const limit of [1, 2, 3, 100]) {
    t.strictSame(await readAll(first, limit, null), ids.slice(1))
    t.strictSame(await readAll(second, limit, null), ids.slice(2))
    t.strictSame(await readAll('0-0', limit, await hub.rewind(topics, 1)), [ids[6]])
    t.strictSame(await readAll('0-0', limit, await hub.rewind(topics, 3)), [ids[2], ids[4], ids[6]])
    t.strictSame(await readAll('0-0', limit, await hub.rewind(topics, Infinity)), [ids[0], ids[2], ids[4], ids[6]])
  }
})
