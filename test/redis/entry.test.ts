import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { APPEND_SCRIPT } from '../../lib/redis/index.js'
import { compareEventIds } from '../../lib/event/id.js'
import { injectSSE } from '../../lib/testing.js'
import { KEYS, follow, startApp } from './app.js'
import { take } from '../helpers/subscriber.js'
import { type RedisServer, testRedis } from '../helpers/redis-server.js'

const run = promisify(execFile)
const NEWS = '{sse}:topic:news'

/** Runs a command with redis-cli. Resolves to its output. */
async function redisCli (server: RedisServer, ...command: string[]): Promise<string> {
  const { stdout } = await run('redis-cli', ['-p', String(server.port), ...command])
  return stdout.trim()
}

testRedis('redis-cli publishes an event and a control message with the script', async (t, server) => {
  const { app } = await startApp(t, { url: server.url }, { history: { size: 3 }, clientId: () => 'ann' })
  const stream = await injectSSE(app, { url: '/on/news,sport' })
  const append = (streams: string[], ...args: string[]) => redisCli(server, 'EVAL', APPEND_SCRIPT, String(3 + streams.length), KEYS.log, KEYS.marks, KEYS.expiring, ...streams, ...args)
  const ids = [
    await append([NEWS], '', '', '', 'to', 'topic', 'name', 'news', 'text', 'data: 1\n\n'),
    await append([NEWS, '{sse}:topic:sport'], '', '', '', '2', '0', 'to', 'topic', 'name', 'news', 'name', 'sport', 'except', 'bob', 'text', 'event: goal\ndata: 2\n\n'),
    await append(['{sse}:client:ann'], '', '', '', 'to', 'client', 'name', 'ann', 'text', 'data: 3\n\n'),
    await append(['{sse}:all'], '', '', '', 'to', 'all', 'text', 'data: 4\n\n')
  ]
  const expected = ids.map((id, i) => ({ id, event: i === 1 ? 'goal' : 'message', data: String(i + 1) }))
  t.strictSame(await take(stream, 4), expected)
  t.strictSame(await take(await injectSSE(app, { url: '/on/news,sport', headers: { 'last-event-id': ids[0] ?? '' } }), 3), expected.slice(1), 'replayed')
  t.strictSame(await server.call('XRANGE', '{sse}:topic:sport', '-', '+'), [[ids[1], ['v', '1', 'to', 'topic', 'name', 'news', 'name', 'sport', 'except', 'bob', 'text', 'event: goal\ndata: 2\n\n']]])
  t.equal(await server.call('PTTL', '{sse}:topic:sport'), -1)
  await append([], '', 'do', 'unsubscribe', 'client', 'ann', 'topic', 'sport')
  await append([], '', 'do', 'close', 'client', 'ann')
  t.equal(await stream.next(), undefined)
})

testRedis('an entry in the log has the documented form', async (t, server) => {
  const { app } = await startApp(t, { url: server.url })
  const ids = [await app.sse.publish(['news', 'sport'], { event: 'goal', data: [1] }, { except: 'ann' }), await app.sse.broadcast('x'), await app.sse.sendTo('bob', 'y')]
  await app.sse.close('bob')
  await app.sse.unsubscribe('ann', 'news')
  const entries = await server.call('XRANGE', KEYS.log, '-', '+') as Array<[id: string, fields: string[]]>
  t.strictSame(entries[0]?.[1], ['v', '1', 'lost', 'before'], 'the log begins with a loss marker')
  t.strictSame(entries.slice(1, 4).map(([id]) => id), ids)
  t.strictSame(entries.slice(1).map(([, [v, one, after]]) => [v, one, after]), ids.concat('', '').map(() => ['v', '1', 'after']))
  t.strictSame(entries.slice(1).map(([, fields]) => fields[3]), entries.slice(0, -1).map(([id]) => id), 'each has the id of the entry before')
  t.strictSame(entries.slice(1).map(([, fields]) => fields.slice(4)), [
    ['to', 'topic', 'name', 'news', 'name', 'sport', 'except', 'ann', 'text', 'event: goal\ndata: [1]\n\n'],
    ['to', 'all', 'text', 'data: x\n\n'],
    ['to', 'client', 'name', 'bob', 'text', 'data: y\n\n'],
    ['do', 'close', 'client', 'bob'],
    ['do', 'unsubscribe', 'client', 'ann', 'topic', 'news']
  ])
  for (const key of [NEWS, '{sse}:topic:sport', '{sse}:all', '{sse}:client:bob']) t.equal(await server.call('XLEN', key), 1, key)
})

testRedis('an entry that was appended with XADD is received, but not replayed', async (t, server) => {
  const { app, lines } = await startApp(t, { url: server.url })
  const stream = await follow(app, 'news')
  const before = await app.sse.publish('news', 'before')
  const id = String(await server.call('XADD', KEYS.log, '*', 'v', '1', 'to', 'topic', 'name', 'news', 'keep', '1 0', 'text', 'data: x\n\n'))
  const after = await app.sse.publish('news', 'after')
  t.strictSame((await take(stream, 3)).map(({ id }) => id), [before, id, after])
  const later = await startApp(t, { url: server.url })
  t.strictSame((await take(await follow(later.app, 'news', before), 1)).map(({ id }) => id), [after])
  t.strictSame([lines, later.lines], [[], []])
})

testRedis('nothing is stored if one of the keys has another type', async (t, server) => {
  const { app } = await startApp(t, { url: server.url })
  await server.call('SET', '{sse}:topic:text', 'x')
  await t.rejects(app.sse.publish(['news', 'text'], 'x'), { code: 'SSE_ERR_BACKPLANE', cause: { message: /WRONGTYPE/ } })
  t.strictSame([await server.call('XLEN', KEYS.log), await server.call('EXISTS', NEWS)], [1, 0])
})

testRedis('Redis forgets the script, the log and single streams, and no event is lost without a gap', async (t, server) => {
  const { app } = await startApp(t, { url: server.url })
  const [first = '', second = ''] = [await app.sse.publish('news', '1'), await app.sse.publish('sport', '2')]
  await server.call('SCRIPT', 'FLUSH')
  const third = await app.sse.publish('news', '3')
  // the streams of the topics are still there
  await server.call('DEL', KEYS.log)
  const fourth = await app.sse.publish('news', '4')
  t.ok(compareEventIds(fourth, third) > 0)
  const { app: later } = await startApp(t, { url: server.url })
  t.strictSame((await take(await follow(later, 'news', first), 2)).map(({ id }) => id), [third, fourth])
  await server.call('DEL', '{sse}:topic:sport')
  t.strictSame((await take(await follow(later, 'news,sport', first), 3)).map(({ event, id }) => [event, id]), [['gap', second], ['message', third], ['message', fourth]])
  const fifth = await app.sse.publish('sport', '5')
  t.strictSame((await take(await follow(later, 'sport', first), 2)).map(({ event, id }) => [event, id]), [['gap', second], ['message', fifth]])
})

testRedis('the marks of topics that expired are bounded, and their loss moves to a floor', async (t, server) => {
  const { app } = await startApp(t, { url: server.url }, { history: { maxAge: 50 } })
  const [first = ''] = [await app.sse.publish('used', 'x')]
  for (let i = 0; i < 104; i++) await Promise.all(Array.from({ length: 100 }, (_, j) => app.sse.publish(`topic ${100 * i + j}`, 'x')))
  const marks = async () => Number(await server.call('HLEN', KEYS.marks))
  t.ok(await marks() < 10_200, `${await marks()} marks`)
  t.ok(Number(await server.call('ZCARD', KEYS.expiring)) <= 10_100)
  const floor = String(await server.call('HGET', KEYS.marks, 'floor:topic'))
  const { app: later } = await startApp(t, { url: server.url })
  t.strictSame((await take(await follow(later, 'used', '1-1'), 1)).map(({ event }) => event), ['gap'])
  const [gap] = await take(await follow(later, 'used', first), 1)
  t.strictSame([gap?.event, gap?.id], ['gap', floor], 'the topic may have lost events')
})
