import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { follow, KEYS, publishFromOutside, startApp, until, WARN } from './app.js'
import { publishAll, take, takeData } from '../helpers/subscriber.js'
import { testRedis } from '../helpers/redis-server.js'

/** The fields of entries that are not events of the plugin. */
const FOREIGN = [
  ['x', 'y'], ['', ''], ['v', '1', 'to', 'topic'], ['v', '1', 'to', 'topic', 'name', 'news'], ['v', '1', 'to', 'nobody', 'name', 'news', 'text', 'data: x\n\n'],
  ['v', '1', 'to', 'topic', 'name', 'news', 'text', ''], ['v', '1', 'to', 'topic', 'name', 'news', 'text', 'data: no end\n'], ['v', '1', 'to', 'TOPIC', 'name', 'news', 'text', 'data: x\n\n'],
  ['v', '1', 'to', 'topic', 'to', 'nobody', 'name', 'news', 'text', 'data: x\n\n'], ['v', '1', '__proto__', 'x', 'constructor', 'x', 'text', 'data: x\n\n'],
  ['to', 'topic', 'name', 'news', 'text', 'data: x\n\n'], ['v', '2', 'to', 'topic', 'name', 'news', 'text', 'data: x\n\n'],
  ['v', '1', 'to', 'client', 'name', 'a', 'name', 'b', 'text', 'data: x\n\n'], ['v', '1', 'to', 'all', 'name', 'a', 'text', 'data: x\n\n'],
  ['v', '1', 'to', 'topic', 'name', '', 'text', 'data: x\n\n'], ['v', '1', 'do', 'close'], ['v', '1', 'do', 'close', 'client', ''],
  ['v', '1', 'do', 'dance', 'client', 'ann'], ['v', '1', 'do', 'unsubscribe', 'client', 'ann']
]

testRedis('entries of the Redis stream that are not events are skipped and logged once', async (t, server) => {
  const { url } = server
  const clients = { 'a url': { url }, RESP3: { client: createClient({ url, RESP: 3 }) }, ioredis: { client: new Redis(url, { lazyConnect: true }) } }
  for (const [what, options] of Object.entries(clients)) {
    await server.call('FLUSHALL')
    const { app, lines } = await startApp(t, options)
    const stream = await follow(app, 'news')
    const ids: string[] = []
    const foreign: string[] = []
    for (const [i, fields] of FOREIGN.entries()) {
      foreign.push(String(await server.call('XADD', KEYS.log, '*', ...fields)))
      ids.push(i % 2 === 0 ? await app.sse.publish('news', String(i)) : await publishFromOutside(server, 'news', String(i)))
    }
    t.strictSame((await take(stream, ids.length)).map(({ id }) => id), ids, what)
    const skipped = () => lines.filter(({ level }) => level === WARN).map(({ msg }) => msg)
    t.strictSame(skipped(), foreign.map((id) => `the entry ${id} of the Redis stream "sse" is no event of this plugin's, and is skipped`))

    const later = await startApp(t, options)
    for (const [i, id] of [ids[0], foreign[3]].entries()) {
      const after = i === 0 ? 1 : 3
      for (const process of [app, later.app]) {
        t.strictSame((await take(await follow(process, 'news', id), ids.length - after)).map(({ id }) => id), ids.slice(after), 'replayed')
      }
    }
    t.equal(skipped().length, foreign.length)
    t.strictSame(later.lines, [], 'those from before are not told of')
    t.strictSame([app.sse.stats().gaps, later.app.sse.stats().gaps], [0, 0])
    await Promise.all([app.close(), later.app.close()])
  }
})

testRedis('a Redis stream with more than a page of foreign entries is read and replayed', async (t, server) => {
  const writer = await startApp(t, { url: server.url, maxLength: 10_000 }, { history: { size: 3 } })
  const addForeign = async (count: number) => { for (let i = 0; i < count; i++) await server.call('XADD', KEYS.log, '*', 'x', String(i)) }
  await addForeign(3)
  const [first = ''] = await publishAll(writer.app, 'news', '1')
  // more than one batch
  await server.call('EVAL', "for i = 1, 1000 do redis.call('XADD', KEYS[1], '*', 'x', i) end", '1', KEYS.log)
  const [, third] = await publishAll(writer.app, 'news', '2', '3')
  await addForeign(10)

  const { app } = await startApp(t, { url: server.url })
  const [known, unknown, newest] = [await follow(app, 'news', first), await follow(app, 'news', '1-1'), await follow(app, 'news', third)]
  t.strictSame(await takeData(known, 2), ['2', '3'])
  t.strictSame((await take(unknown, 4)).map(({ event, data }) => event === 'gap' ? event : data), ['gap', '1', '2', '3'])
  await until('what is foreign to be skipped', () => writer.lines.length === 1_013)
  const again = await follow(writer.app, 'news', first)
  t.strictSame(await takeData(again, 2), ['2', '3'])
  const last = await app.sse.publish('news', 'live')
  for (const stream of [known, unknown, newest, again]) t.strictSame((await take(stream, 1)).map(({ id }) => id), [last])
  t.strictSame([app.sse.stats().gaps, writer.app.sse.stats().gaps], [1, 0])
})
