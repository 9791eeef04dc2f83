import { setTimeout as wait } from 'node:timers/promises'
import { Redis } from 'ioredis'
import { listen, open } from '../helpers/app.js'
import { compareEventIds } from '../../lib/event/id.js'
import { eventsOf, publishAll, take, takeData } from '../helpers/subscriber.js'
import { ERROR, follow, FUTURE, KEYS, moveToFuture, OUTAGE, outage, publishAtLast, publishFromOutside, saidOf, startApp, until } from './app.js'
import { openProxy } from './proxy.js'
import { APPEND } from '../../lib/redis/scripts.js'
import { type RedisServer, testRedis } from '../helpers/redis-server.js'

const NEWS = '{sse}:topic:news'

/** Replaces the log by one with lower ids, the last of which are 1-1 to 1-3. */
const LOWER = `
  redis.call('FLUSHALL')
  for i = 1, 3 do
    redis.call('XADD', KEYS[1], '1-' .. i, 'v', '1', 'after', '1-' .. i - 1, 'to', 'topic', 'name', 'news', 'text', 'data: lower\\n\\n')
    redis.call('XADD', KEYS[3], '1-' .. i, 'v', '1', 'to', 'topic', 'name', 'news', 'text', 'data: lower\\n\\n')
  end
  redis.call('HSET', KEYS[2], 'begin', '1-0', 'last', '1-3', KEYS[3], '1-0 1-3 0')`

/** Deletes the newest event `id`, as a failover to a replica that lags does, and appends events to the topic `news`, in one step. */
async function failOver (server: RedisServer, count: number, id: string): Promise<void> {
  const script = `
    local after = redis.call('XRANGE', KEYS[1], ARGV[1], ARGV[1])[1][2][4]
    redis.call('XDEL', KEYS[1], ARGV[1])
    redis.call('XDEL', KEYS[3], ARGV[1])
    for i = 0, ARGV[2] - 1 do
      local id = redis.call('XADD', KEYS[1], '*', 'v', '1', 'after', after, 'to', 'topic', 'name', 'news', 'text', 'data: ' .. i .. '\\n\\n')
      redis.call('XADD', KEYS[3], id, 'v', '1', 'to', 'topic', 'name', 'news', 'text', 'data: ' .. i .. '\\n\\n')
      after = id
    end
    redis.call('HSET', KEYS[2], 'last', after, KEYS[3], '1-0 ' .. after .. ' 3600000')`
  await server.call('EVAL', script, '3', KEYS.log, KEYS.marks, NEWS, id, String(count))
}

testRedis('after Redis restarts empty, streams get a gap and ids keep growing', async (t, server) => {
  await moveToFuture(server)
  const options = { clientId: () => 'somebody' }
  const apps = [await startApp(t, { url: server.url }), await startApp(t, { url: server.url }, options)] as const
  const [{ app: first }, { app: second }] = apps
  first.sseRoute('/bare', { interval: 60_000, payload: () => 'bare' })
  second.sseRoute('/client', { onConnect: async (_request, stream) => { await stream.send('hello') } })
  const [bare, byClient, ...byTopic] = await Promise.all([follow(first, '/bare'), follow(second, '/client'), follow(first, 'news'), follow(second, 'news')])
  const id = await first.sse.publish('news', '1')
  for (const stream of byTopic) t.strictSame(await takeData(stream, 1), ['1'])
  t.strictSame([await takeData(bare, 1), await takeData(byClient, 1)], [['bare'], ['hello']])

  await server.restartEmpty()
  let through = ''
  for (const stream of byTopic) {
    const [gap] = await take(stream, 1)
    t.strictSame([gap?.event, gap?.data], ['gap', JSON.stringify({ lastEventId: id, oldestId: null })])
    through = gap?.id ?? ''
    t.ok(compareEventIds(through, id) >= 0)
  }
  t.strictSame(await take(byClient, 1), [{ id: undefined, event: 'gap', data: JSON.stringify({ lastEventId: null, oldestId: null }) }])
  const [after = '', all = ''] = [await publishAtLast(second, 'news', '2'), await first.sse.broadcast('3')]
  t.ok(compareEventIds(after, id) > 0, `${after} after ${id}`)
  for (const stream of byTopic) t.strictSame((await take(stream, 2)).map(({ id }) => id), [after, all])
  t.strictSame(await take(bare, 1), [{ id: all, event: 'message', data: '3' }], 'that of no client and no topic is not told')
  t.strictSame((await take(byClient, 1)).map(({ id }) => id), [all])

  const resumed = await take(await follow(first, 'news', FUTURE), 3)
  t.strictSame(resumed.map(({ event, data }) => event === 'gap' ? data : event), [JSON.stringify({ lastEventId: FUTURE, oldestId: after }), 'message', 'message'])
  t.strictSame(await takeData(await follow(first, 'news', through), 2), ['2', '3'], 'nothing is missing after the gap')
  for (const { app, lines } of apps) {
    await until('the end of the outage', () => saidOf(lines).length === 2)
    t.strictSame(saidOf(lines), OUTAGE)
    t.equal(lines.filter(({ msg }) => msg.includes('has lost events')).length, 1)
    t.equal(app.sse.stats().gaps, 2)
  }
})

testRedis('an app starts on a Redis stream whose entries were deleted', async (t, server) => {
  await moveToFuture(server)
  await server.call('XTRIM', KEYS.log, 'MAXLEN', '0')
  const { app } = await startApp(t, { url: server.url })
  const [stream, resumed] = [await follow(app, 'news'), await follow(app, 'news', '1-1')]
  t.strictSame((await take(resumed, 1)).map(({ event }) => event), ['gap'])
  const id = await app.sse.publish('news', '1')
  t.ok(compareEventIds(id, FUTURE) > 0)
  for (const each of [resumed, stream]) t.equal((await take(each, 1))[0]?.id, id, 'nothing is missing before it')
})

testRedis('after Redis restarts with another log, streams get a gap and the events of that log', async (t, server) => {
  const apps = [await startApp(t, { url: server.url }), await startApp(t, { url: server.url })] as const
  const streams = await Promise.all(apps.map(({ app }) => follow(app, 'news')))
  const last = await apps[0].app.sse.publish('news', '1')
  for (const stream of streams) await take(stream, 1)
  await server.kill()
  await Promise.all(apps.map(outage))
  await server.restartEmpty()
  const oldest = await publishFromOutside(server, 'news', 'after')
  for (const stream of streams) {
    const [gap, after] = await take(stream, 2)
    t.strictSame([gap?.event, gap?.data, after?.data], ['gap', JSON.stringify({ lastEventId: last, oldestId: oldest }), 'after'])
    t.ok(compareEventIds(gap?.id ?? '', oldest) < 0)
  }
})

for (const count of [0, 2]) {
  testRedis(`streams get a gap after Redis lost an acknowledged event that no process had read, and ${count} others follow`, async (t, server) => {
    const proxy = await openProxy(t, server.port)
    const { app } = await startApp(t, { url: proxy.url })
    const stream = await follow(app, 'news')
    await until('the reader to wait', async () => String(await server.call('INFO', 'clients')).includes('blocked_clients:1'))
    // the reader has read all entries, and does not block yet
    proxy.holdBack('XREAD')
    const seen = await app.sse.publish('news', 'seen')
    await take(stream, 1)
    const [, lost = ''] = await publishAll(app, 'news', 'kept', 'lost')
    await failOver(server, count, lost)
    proxy.resume()
    const said = await take(stream, count + 2)
    t.strictSame(said.map(({ event, data }) => event === 'gap' ? event : data), ['kept', ...['0', '1'].slice(0, count), 'gap'])
    t.ok(compareEventIds(seen, said.at(-1)?.id ?? '') < 0)
    const id = await app.sse.publish('news', 'after')
    t.strictSame(await take(stream, 1), [{ id, event: 'message', data: 'after' }])
    t.equal(app.sse.stats().gaps, 1)
  })
}

testRedis('after Redis restarts empty, the gap of a process that has read less covers an event that another process published', async (t, server) => {
  const proxies = [await openProxy(t, server.port), await openProxy(t, server.port)] as const
  const [{ app: publisher }, { app: other }] = [await startApp(t, { url: proxies[0].url }), await startApp(t, { url: proxies[1].url })]
  const [atPublisher, atOther] = [await follow(publisher, 'news'), await follow(other, 'news')]
  await until('the readers to wait', async () => String(await server.call('INFO', 'clients')).includes('blocked_clients:2'))
  for (const proxy of proxies) proxy.holdBack('XREAD')
  const seen = await publisher.sse.publish('news', 'seen')
  for (const stream of [atPublisher, atOther]) await take(stream, 1)
  const lost = await publisher.sse.publish('news', 'lost')
  await server.call('FLUSHALL')
  proxies[1].resume()
  const isGap = (gap: Awaited<ReturnType<typeof take>>[number] | undefined, oldestId: string | null) => {
    t.strictSame([gap?.event, gap?.data], ['gap', JSON.stringify({ lastEventId: seen, oldestId })])
    t.ok(compareEventIds(gap?.id ?? '', lost) > 0)
  }
  const [early, late] = [await follow(other, 'news', seen), await follow(publisher, 'news', seen)]
  isGap((await take(atOther, 1))[0], null)
  const after = await other.sse.publish('news', 'after')
  t.equal((await take(atOther, 1))[0]?.id, after)
  proxies[0].resume()
  for (const stream of [atPublisher, late, early]) {
    const [gap, event] = await take(stream, 2)
    isGap(gap, stream === early ? null : after)
    t.equal(event?.id, after)
  }
})

/** An ioredis client that calls `onEmpty` when Redis has answered that it has no marks, before the reader gets the answer. */
function watchEmpty (client: Redis, onEmpty: () => Promise<unknown>): Redis {
  const call = client.call.bind(client) as (...args: string[]) => Promise<unknown>
  return Object.assign(client, {
    async call (...args: string[]) {
      const answer = await call(...args)
      if (args[0] === 'HGET' && answer === null) await onEmpty()
      return answer
    },
    duplicate: (options: object) => watchEmpty(new Redis({ ...client.options, ...options }), onEmpty)
  })
}

testRedis('the gap comes before an event that is published while the loss of all others is detected', async (t, server) => {
  let oldest = ''
  let last = ''
  const client = watchEmpty(new Redis(server.url, { lazyConnect: true }), async () => {
    if (last !== '' && oldest === '') oldest = await publishFromOutside(server, 'news', 'after')
  })
  const { app } = await startApp(t, { client })
  const stream = await follow(app, 'news')
  last = await app.sse.publish('news', '1')
  await take(stream, 1)
  await server.call('FLUSHALL')
  const events = await take(stream, 2)
  t.strictSame(events.map(({ event, data }) => [event, data]), [['gap', JSON.stringify({ lastEventId: last, oldestId: oldest })], ['message', 'after']])
})

testRedis('streams get a gap after the Redis key is deleted, recreated with lower ids, or replaced by another type', async (t, server) => {
  const { app, lines } = await startApp(t, { url: server.url, timeout: 1_500 }, { history: { maxAge: 0 } })
  const stream = await follow(app, 'news')
  const first = await app.sse.publish('news', '1')
  await server.call('FLUSHALL')
  t.strictSame((await take(stream, 2)).map(({ event }) => event), ['message', 'gap'])

  // ids lower than all before
  await server.call('EVAL', LOWER, '3', KEYS.log, KEYS.marks, NEWS)
  t.strictSame((await take(stream, 1)).map(({ event }) => event), ['gap'])
  const second = await app.sse.publish('news', '2')
  t.ok(compareEventIds(second, first) > 0)
  t.strictSame(await takeData(stream, 1), ['2'])
  const resumed = await take(await follow(app, 'news', '1-2'), 3)
  t.strictSame(resumed.map(({ event, data }) => event === 'gap' ? event : data), ['lower', 'gap', '2'], 'who comes with one of them is told after the last of them')

  await server.call('SET', KEYS.log, 'text')
  await until('a line in the log', () => saidOf(lines).length > 0)
  const [line] = lines.filter(({ level }) => level === ERROR)
  t.match(line?.err?.message, /WRONGTYPE/)
  await t.rejects(app.sse.publish('news', 'x'), { code: 'SSE_ERR_BACKPLANE', cause: { message: /WRONGTYPE/ } })
  await server.call('FLUSHALL')
  t.strictSame((await take(stream, 1)).map(({ event }) => event), ['gap'])
  const third = await app.sse.publish('news', '3')
  t.ok(compareEventIds(third, second) > 0)
  t.strictSame(await takeData(stream, 1), ['3'])
  await until('the end of it', () => saidOf(lines).length === 2)
})

testRedis('publishing rejects while Redis is out of memory, and works again afterwards', async (t, server) => {
  const { app, lines } = await startApp(t, { url: server.url })
  const stream = await follow(app, 'news')
  await app.sse.publish('news', '1')
  await server.call('CONFIG', 'SET', 'maxmemory', '1')
  await server.call('FLUSHALL')
  await until('a line in the log', () => saidOf(lines).length > 0)
  t.match(lines.find(({ level }) => level === ERROR)?.err?.message, /OOM/)
  await t.rejects(app.sse.publish('news', 'x'), { code: 'SSE_ERR_BACKPLANE', cause: { message: /OOM/ } })
  await server.call('CONFIG', 'SET', 'maxmemory', '0')
  t.strictSame((await take(stream, 2)).map(({ event }) => event), ['message', 'gap'])
  await app.sse.publish('news', '2')
  t.strictSame(await takeData(stream, 1), ['2'])
  await until('the end of it', () => saidOf(lines).length === 2)
})

testRedis('processes that detect a loss at the same moment append one loss marker', async (t, server) => {
  const first = startApp(t, { url: server.url })
  const apps = await Promise.all([first, ...Array.from({ length: 4 }, () => startApp(t, { url: server.url }))])
  const { app } = await first
  const streams = await Promise.all(apps.map(({ app }) => follow(app, 'news')))
  const [id] = await publishAll(app, 'news', '1')
  for (const stream of streams) await take(stream, 1)
  for (const { lines } of apps) t.strictSame(lines, [], 'it was begun once')
  await failOver(server, 1, id ?? '')
  const said = await Promise.all(streams.map((stream) => take(stream, 2)))
  await app.sse.publish('news', '3')
  for (const [i, stream] of streams.entries()) {
    t.strictSame(said[i]?.map(({ event, data }) => event === 'gap' ? event : data), ['0', 'gap'])
    t.strictSame(await takeData(stream, 1), ['3'])
  }
  for (const { lines } of apps) t.strictSame(saidOf(lines), [], 'that another was first is no failure')
})

testRedis('streams get a gap after the newest events were deleted from Redis', async (t, server) => {
  const { app } = await startApp(t, { url: server.url })
  const stream = await follow(app, 'news')
  const [, second = ''] = await publishAll(app, 'news', '1', '2')
  t.strictSame(await takeData(stream, 2), ['1', '2'])
  await failOver(server, 1, second)
  t.strictSame((await take(stream, 2)).map(({ event, data }) => event === 'gap' ? event : data), ['0', 'gap'], 'some may be missing')

  // the next entry too, before any process has read it
  const [log, ...others] = [KEYS.log, KEYS.marks, KEYS.expiring, NEWS]
  const fields = ['10000', '1000', '3600000', 'to', 'topic', 'name', 'news', 'text', 'data: deleted\n\n']
  await server.call('EVAL', `local function append () ${APPEND.text} end append() redis.call('XTRIM', KEYS[1], 'MAXLEN', 0)`, '4', log, ...others, ...fields)
  t.equal((await take(stream, 1))[0]?.event, 'gap')
  await app.sse.publish('news', '4')
  t.strictSame(await takeData(stream, 1), ['4'])
})

testRedis('a process that reads late gets the gap that another process has marked', async (t, server) => {
  const proxy = await openProxy(t, server.port)
  const [late, early] = [await startApp(t, { url: proxy.url }), await startApp(t, { url: server.url })]
  const [behind, ahead] = [await follow(late.app, 'news'), await follow(early.app, 'news')]
  await publishFromOutside(server, 'news', '1')
  for (const stream of [behind, ahead]) await take(stream, 1)
  proxy.stall()
  await server.call('FLUSHALL')
  const [gap] = await take(ahead, 1)
  await early.app.sse.publish('news', '2')
  proxy.resume()
  t.strictSame((await take(behind, 1)).map(({ id }) => id), [gap?.id], 'it is one loss')
  for (const stream of [behind, ahead]) t.strictSame(await takeData(stream, 1), ['2'])
})

testRedis('the newest event is deleted from Redis, and more than one batch of events follows', async (t, server) => {
  const proxy = await openProxy(t, server.port)
  const { app } = await startApp(t, { url: proxy.url, maxLength: 5_000 })
  const stream = await follow(app, 'news')
  await publishFromOutside(server, 'news', 'before')
  const last = await publishFromOutside(server, 'news', 'last')
  t.strictSame(await takeData(stream, 2), ['before', 'last'])
  proxy.stall()
  // in one command, before the reader discards its connection
  await failOver(server, 1_005, last)
  proxy.resume()
  t.strictSame(await takeData(stream, 1_005), Array.from({ length: 1_005 }, (_, i) => String(i)))
  t.strictSame((await take(stream, 1)).map(({ event }) => event), ['gap'], 'it is told')
  const id = await app.sse.publish('news', 'after')
  t.strictSame((await take(stream, 1))[0]?.id, id)
  t.equal(await server.call('XLEN', KEYS.log), 1_009, 'and said in the log once')
})

testRedis('Redis trims the log while a slow client replays it', async (t, server) => {
  const writer = await startApp(t, { url: server.url, maxLength: 500 }, { history: { size: 500 } })
  const text = 'x'.repeat(20_000)
  const ids = await Promise.all(Array.from({ length: 500 }, (_, i) => writer.app.sse.publish('news', `${i} ${text}`)))
  const { app } = await startApp(t, { url: server.url, maxLength: 500 }, { history: { size: 500 } })
  const client = await open(t, await listen(app), '/on/news', { headers: { 'last-event-id': ids[0] } })
  client.pause()
  await until('it is behind', () => app.sse.stats().replayed > 10)
  ids.push(...await Promise.all(Array.from({ length: 500 }, (_, i) => writer.app.sse.publish('news', `${i + 500} ${text}`))))
  client.resume()
  await client.until(`id: ${ids.at(-1)}\n`)
  const events = eventsOf(client.text)
  // a client that is as slow as others publish may get more than one gap
  const gaps = events.filter(({ event }) => event === 'gap').map(({ id }) => ids.indexOf(id ?? ''))
  const got = events.filter(({ event }) => event !== 'gap').map(({ id }) => ids.indexOf(id ?? ''))
  t.ok(gaps.length > 0, 'it gets a gap')
  t.equal(app.sse.stats().gaps, gaps.length)
  t.strictSame(got, got.toSorted((a, b) => a - b))
  const missing = ids.map((_id, i) => i).filter((i) => i > 0 && !got.includes(i))
  t.ok(missing.length > 0)
  t.strictSame(gaps, missing.filter((i) => !missing.includes(i + 1)), 'each gap stands after the last of its missing events')
})

for (const [what, history, count, pause] of [['more than it keeps', {}, 1_000, 0], ['longer than it keeps', { maxAge: 50 }, 30, 30]] as const) {
  testRedis(`a process is behind by ${what}`, async (t, server) => {
    const proxy = await openProxy(t, server.port)
    const late = await startApp(t, { url: proxy.url, maxLength: 100 }, { history })
    const writer = await startApp(t, { url: server.url, maxLength: 100 }, { history })
    const stream = await follow(late.app, 'news')
    // the reader has read all entries, and does not block yet
    proxy.holdBack('XREAD')
    const seen = await late.app.sse.publish('news', 'seen')
    await take(stream, 1)
    const published: Promise<string>[] = []
    for (let i = 0; i < count; i++) {
      published.push(writer.app.sse.publish('news', String(i)))
      if (pause > 0) await wait(pause)
    }
    const ids = await Promise.all(published)
    if (pause > 0) await server.call('XTRIM', KEYS.log, 'MAXLEN', '5')
    proxy.resume()
    const got = [seen]
    let gaps = 0
    while (got.at(-1) !== ids.at(-1)) {
      const [event] = await take(stream, 1)
      if (event?.event !== 'gap') {
        got.push(event?.id ?? '')
        continue
      }
      gaps++
      const { lastEventId, oldestId } = JSON.parse(event.data)
      t.equal(lastEventId, got.at(-1))
      t.ok(compareEventIds(event.id ?? '', oldestId) < 0)
      t.ok(ids.indexOf(oldestId) > ids.indexOf(lastEventId) + 1, 'there it misses some')
    }
    t.ok(gaps > 0, 'it is told')
    for (const [i, id] of got.entries()) if (i > 0) t.ok(compareEventIds(got[i - 1] ?? '', id) < 0)
    t.strictSame(saidOf(late.lines), [])
  })
}
