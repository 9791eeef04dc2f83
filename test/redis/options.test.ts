import { Cluster } from 'ioredis'
import { createClient, createCluster, createSentinel } from 'redis'
import { test } from 'tap'
import { redisBackplane } from '../../lib/redis/index.js'
import { startApp, until } from './app.js'
import { testRedis } from '../helpers/redis-server.js'

test('redisBackplane refuses invalid options', async (t) => {
  const url = 'redis://127.0.0.1'
  const client = createClient({ url })
  const cases: Array<[options: unknown, message: string]> = [
    [undefined, 'The option "redisBackplane" takes { url } or { client }, got undefined'],
    [null, 'The option "redisBackplane" takes { url } or { client }, got null'],
    [url, 'The option "redisBackplane" takes { url } or { client }, got "redis://127.0.0.1"'],
    [{}, 'The option "redisBackplane" takes either a url or a client, got neither'],
    [{ url, client }, 'The option "redisBackplane" takes either a url or a client, got both'],
    ...[1, null, '', 'localhost:6379', 'http://127.0.0.1', 'redis://['].map((url): [unknown, string] =>
      [{ url }, `The option "url" takes redis://…, rediss://… or unix://…, got ${typeof url === 'string' ? 'another text' : url}`]),
    [{ client: null }, 'The option "client" takes a client of node-redis or ioredis, got null'],
    [{ client: {} }, 'The option "client" takes a client of node-redis or ioredis, got an object (Object)'],
    [{ client: url }, 'The option "client" takes a client of node-redis or ioredis, got "redis://127.0.0.1"'],
    ...['', 1, '{a}', 'a}'].map((key): [unknown, string] => [{ url, key }, `The option "key" takes a string without braces that is not empty, got ${typeof key === 'string' ? `"${key}"` : key}`]),
    ...[0, -1, 1.5, Infinity, NaN, '5', null].map((maxLength): [unknown, string] =>
      [{ url, maxLength }, `The option "maxLength" takes a whole number above 0, got ${typeof maxLength === 'string' ? '"5"' : String(maxLength)}`]),
    ...[0, -1, 1.5, 3_600_001, Infinity, NaN, '5', null].map((timeout): [unknown, string] =>
      [{ url, timeout }, `The option "timeout" takes whole ms above 0, at most 3600000, got ${typeof timeout === 'string' ? '"5"' : String(timeout)}`])
  ]
  for (const [options, message] of cases) {
    t.throws(() => redisBackplane(options as { url: string }), { code: 'SSE_ERR_OPTION', message })
  }
  t.throws(() => redisBackplane({ url, maxlength: 5 } as { url: string }), {
    code: 'SSE_ERR_UNKNOWN_OPTION', message: 'redisBackplane takes no option "maxlength": it takes url, client, key, maxLength, timeout'
  })
  const clients = [createCluster({ rootNodes: [{ url }] }), createSentinel({ name: 'main', sentinelRootNodes: [{ host: '127.0.0.1', port: 1 }] }), new Cluster([url], { lazyConnect: true })]
  for (const good of clients) t.doesNotThrow(() => redisBackplane({ client: good }))
  for (const good of ['redis://127.0.0.1', 'redis://user:pass@host:1/2', 'rediss://host', 'unix:///run/redis.sock']) t.doesNotThrow(() => redisBackplane({ url: good }))
})

testRedis('Redis keeps the number of events of maxLength or history.size, under the given key', async (t, server) => {
  const length = async (key: string) => Number(await server.call('XLEN', `{${key}}:log`))
  const cases: Array<[key: string, options: { maxLength?: number }, history: { size: number } | false | undefined, least: number, most: number]> = [
    ['by history.size', {}, { size: 300 }, 300, 400], ['by maxLength', { maxLength: 400 }, { size: 10 }, 400, 500],
    ['at least 100', { maxLength: 1 }, undefined, 100, 200], ['none is replayed, though some are kept', {}, false, 100, 200], ['by default', {}, undefined, 600, 602]
  ]
  for (const [key, options, history, least, most] of cases) {
    const { app } = await startApp(t, { url: server.url, key, ...options }, history === undefined ? {} : { history })
    for (let i = 0; i < 6; i++) await Promise.all(Array.from({ length: 100 }, () => app.sse.publish('news', 'x')))
    const kept = await length(key)
    t.ok(kept >= least && kept <= most, `${key}: ${kept}`)
    await app.close()
  }
  t.equal(await length('sse'), 0)
  const { app } = await startApp(t, { url: server.url })
  await app.sse.publish('news', 'x')
  t.ok(await length('sse') >= 1)
})

testRedis('publishing trims the events of a topic that are older than maxAge, and Redis deletes the events of a quiet topic', async (t, server) => {
  const { app } = await startApp(t, { url: server.url }, { history: { maxAge: 300 } })
  const length = async (topic: string) => Number(await server.call('XLEN', `{sse}:topic:${topic}`))
  await app.sse.publish('quiet', 'x')
  await Promise.all(Array.from({ length: 50 }, () => app.sse.publish('news', 'x')))
  t.strictSame([await length('news'), await length('quiet')], [50, 1])
  await until('the end of the quiet topic', async () => {
    await app.sse.publish('news', 'x')
    return await length('quiet') === 0
  })
  const before = Date.now()
  await app.sse.publish('news', 'x')
  const [[oldest = '']] = await server.call('XRANGE', '{sse}:topic:news', '-', '+', 'COUNT', '1') as [[id: string]]
  t.ok(parseInt(oldest) >= before - 300, 'exactly')
})
