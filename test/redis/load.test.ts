import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { injectSSE } from '../../lib/testing.js'
import { listen, open } from '../helpers/app.js'
import { eventsOf, take } from '../helpers/subscriber.js'
import { follow, publishFromOutside, startApp } from './app.js'
import { openProxy } from './proxy.js'
import { type RedisServer, testRedis } from '../helpers/redis-server.js'

async function stat (server: RedisServer, section: string, name: string): Promise<number> {
  const text = String(await server.call('INFO', section))
  return Number(new RegExp(`^${name}:.*?(\\d+)`, 'm').exec(text)?.[1])
}

/** The number of calls of a command since the start of the server. */
function calls (server: RedisServer, command: string): Promise<number> {
  return stat(server, 'commandstats', `cmdstat_${command}`)
}

/** The time that a command has taken since the start of the server, µs. */
async function timeOf (server: RedisServer, command: string): Promise<number> {
  return Number(new RegExp(`^cmdstat_${command}:.*?usec=(\\d+)`, 'm').exec(String(await server.call('INFO', 'commandstats')))?.[1])
}

testRedis('a client that opens streams with unknown ids and leaves at the headers neither delays publish nor grows the memory of Redis', async (t, server) => {
  const writer = await startApp(t, { url: server.url })
  const text = 'x'.repeat(20_000)
  for (let i = 0; i < 5; i++) await Promise.all(Array.from({ length: 100 }, () => writer.app.sse.publish('news', text)))
  const { app } = await startApp(t, { url: server.url })
  const port = await listen(app)
  const before = await stat(server, 'memory', 'used_memory')
  let [most, slowest] = [0, 0]
  const leaving = { over: false }
  const measure = (async () => {
    while (!leaving.over) {
      most = Math.max(most, await stat(server, 'memory', 'used_memory'))
      const begun = performance.now()
      await app.sse.publish('other', 'x')
      slowest = Math.max(slowest, performance.now() - begun)
      await wait(20)
    }
  })()
  for (let i = 0; i < 300; i++) {
    const socket = connect({ host: '127.0.0.1', port })
    socket.on('error', () => {}).write(`GET /on/news HTTP/1.1\r\nhost: x\r\nlast-event-id: 1-${i}\r\n\r\n`)
    await once(socket, 'data')
    socket.destroy()
  }
  leaving.over = true
  await measure
  t.comment(`Redis: ${before} bytes, at most ${most}; publish at most ${slowest} ms`)
  t.ok(most < 10 * before, `Redis grew from ${before} to ${most} bytes`)
  t.ok(slowest < 2_000, `publish took ${slowest} ms`)
  const live = await follow(app, 'news')
  const id = await app.sse.publish('news', 'live')
  t.strictSame((await take(live, 1)).map(({ id }) => id), [id])
})

testRedis('many clients that return to a restarted process share the reads of the events that they missed', async (t, server) => {
  const writer = await startApp(t, { url: server.url })
  const text = 'x'.repeat(10_000)
  const first = await writer.app.sse.publish('news', 'first')
  const ids = [first, ...await Promise.all(Array.from({ length: 100 }, () => writer.app.sse.publish('news', text)))]
  const { app } = await startApp(t, { url: server.url })
  const port = await listen(app)
  const clients = await Promise.all(Array.from({ length: 100 }, () => open(t, port, '/on/news', { headers: { 'last-event-id': first } })))
  const last = await app.sse.publish('news', 'last')
  for (const client of clients) {
    await client.until(`id: ${last}\n`)
    t.strictSame(eventsOf(client.text).map(({ id }) => id), [...ids.slice(1), last])
  }
  const { gaps, closed } = app.sse.stats()
  t.strictSame([gaps, Object.entries(closed).filter(([reason, count]) => reason !== 'client' && count > 0)], [0, []])
  const read = await stat(server, 'stats', 'total_net_output_bytes')
  t.comment(`${read} bytes read`)
  t.ok(read < 100 * 1e6 / 4, `100 clients of 1 MB each: ${read} bytes were read`)
})

testRedis('a burst of events after a partition closes no stream that reads', async (t, server) => {
  const proxy = await openProxy(t, server.port)
  const { app } = await startApp(t, { url: proxy.url }, { maxBufferedBytes: 200_000, overflow: 'disconnect' })
  const port = await listen(app)
  const clients = await Promise.all(Array.from({ length: 10 }, () => open(t, port, '/on/news')))
  await app.sse.publish('news', 'first')
  for (const client of clients) await client.until('data: first')
  proxy.stall('XREAD')
  const ids: string[] = []
  for (let i = 0; i < 300; i++) ids.push(await publishFromOutside(server, 'news', 'x'.repeat(5_000)))
  proxy.resume()
  for (const client of clients) {
    await client.until(`id: ${ids.at(-1)}\n`)
    t.strictSame(eventsOf(client.text).map(({ id }) => id).slice(1), ids)
  }
  t.equal(app.sse.streams.size, 10)
})

testRedis('clients with ids that this process has not received ask Redis once, and an idle process does not read the newest event again', async (t, server) => {
  const proxy = await openProxy(t, server.port)
  const { app } = await startApp(t, { url: proxy.url })
  await app.sse.publish('news', 'x'.repeat(200_000))
  await wait(1_200)
  const [bytes, scripts] = [await stat(server, 'stats', 'total_net_output_bytes'), await calls(server, 'evalsha')]
  await wait(2_500)
  t.ok(await stat(server, 'stats', 'total_net_output_bytes') - bytes < 100_000, 'idle')
  t.equal(await calls(server, 'evalsha'), scripts)

  proxy.stall('XREAD')
  const ahead = await publishFromOutside(server, 'news', 'ahead')
  const streams = await Promise.all(Array.from({ length: 50 }, () => injectSSE(app, { url: '/on/news', headers: { 'last-event-id': ahead } })))
  await wait(500)
  const asked = await calls(server, 'evalsha') - scripts
  t.ok(asked < 110, `${asked} reads`)
  proxy.resume()
  const last = await app.sse.publish('news', 'last')
  for (const stream of streams) t.strictSame((await take(stream, 1)).map(({ id }) => id), [last])
})

testRedis('publishing to a topic with many events, and reading from it, takes Redis no longer than with few', async (t, server) => {
  const { app } = await startApp(t, { url: server.url }, { history: { size: 20_000 } })
  const ids: Record<string, string[]> = { few: [], many: [] }
  const publish = async (topic: string, count = 20) => { ids[topic]?.push(...await Promise.all(Array.from({ length: count }, () => app.sse.publish(topic, 'x')))) }
  const isAsFast = async (what: string, run: (topic: string) => Promise<void>) => {
    // the first run sends the script
    await run('few')
    const start = await timeOf(server, 'evalsha')
    await run('few')
    const few = await timeOf(server, 'evalsha') - start
    await run('many')
    const many = await timeOf(server, 'evalsha') - start - few
    t.ok(many < 5 * few, `${what}: ${few} µs with few events, ${many} µs with many`)
  }
  for (let i = 0; i < 100; i++) await publish('many', 100)
  await isAsFast('publish', publish)
  // this app has no events in memory
  const other = await startApp(t, { url: server.url })
  let last = 1
  await isAsFast('read', async (topic) => {
    // other ids than before, because the process keeps the pages that it has read
    for (const end = last + 8; last < end; last++) await take(await follow(other.app, topic, ids[topic]?.at(-last - 1)), 1)
  })
})
