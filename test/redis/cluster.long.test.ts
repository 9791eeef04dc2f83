import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import { createCluster, createSentinel } from 'redis'
import { createCluster as createCluster5 } from 'redis-5'
import { type Test, test } from 'tap'
import { redisPublisher, type RedisBackplaneOptions } from '../../lib/redis/index.js'
import { RedisCluster } from '../helpers/redis-cluster.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'
import { take } from '../helpers/subscriber.js'
import { follow, publishAtLast, startApp, until } from './app.js'

// one node, so that the others have to be found
const CLUSTERS: Record<string, (url: string) => RedisBackplaneOptions> = {
  'node-redis': (url) => ({ client: createCluster({ rootNodes: [{ url }] }) }),
  'node-redis 5': (url) => ({ client: createCluster5({ rootNodes: [{ url }] }) }),
  ioredis: (url) => ({ client: new Cluster([url], { lazyConnect: true }) }),
  'ioredis 5': (url) => ({ client: new Cluster5([url], { lazyConnect: true }) })
}

const SENTINELS: Record<string, (port: number) => RedisBackplaneOptions> = {
  'node-redis': (port) => ({ client: createSentinel({ name: 'main', sentinelRootNodes: [{ host: '127.0.0.1', port }] }) }),
  ioredis: (port) => ({ client: new Redis({ name: 'main', sentinels: [{ host: '127.0.0.1', port }], lazyConnect: true }) }),
  'ioredis 5': (port) => ({ client: new Redis5({ name: 'main', sentinels: [{ host: '127.0.0.1', port }], lazyConnect: true }) })
}

/** Publishes and receives events before and after `kill()` kills the master. */
async function survives (t: Test, redis: () => RedisBackplaneOptions, kill: () => Promise<void>): Promise<void> {
  const apps = await Promise.all([startApp(t, redis()), startApp(t, redis())])
  const publisher = redisPublisher(redis())
  t.teardown(() => publisher.end())
  const [{ app }] = apps
  const streams = await Promise.all(apps.map(({ app }) => follow(app, 'news')))
  const ids = [await app.sse.publish('news', '1'), await publisher.publish('news', '2')]
  for (const stream of streams) t.strictSame((await take(stream, 2)).map(({ data }) => data), ['1', '2'])
  await kill()
  const begun = performance.now()
  ids.push(await publishAtLast(app, 'news', '3'))
  t.comment(`publishes again after ${Math.round(performance.now() - begun)} ms`)
  let fourth = ''
  await until('the publisher to publish', async () => {
    fourth = await publisher.publish('news', '4').catch(() => '')
    return fourth !== ''
  })
  ids.push(fourth)
  for (const stream of streams) {
    const seen: Array<string | undefined> = []
    // events whose publishing was reported as failed may be stored
    while (seen.at(-1) !== fourth) for (const { id } of await take(stream, 1)) seen.push(id)
    t.ok(ids.slice(2).every((id) => seen.includes(id)), 'each event that was acknowledged after the failover')
    t.equal(new Set(seen).size, seen.length, 'none twice')
  }
  const replayed = await take(await follow(app, 'news', ids[0]), 3)
  t.equal(replayed[0]?.id, ids[1])
}

for (const command of SERVERS) {
  for (const [what, client] of Object.entries(CLUSTERS)) {
    test(`${command}: events of a cluster of six nodes continue after the owner was killed, by ${what}`, { timeout: 120_000 }, async (t) => {
      const cluster = await RedisCluster.start(t, command, 1)
      const { owner } = await cluster.owner()
      await survives(t, () => client(owner.server.url), () => owner.server.kill())
    })
  }
  for (const [what, client] of Object.entries(SENTINELS)) {
    test(`${command}: events continue after the master of a Sentinel was killed, by ${what}`, { timeout: 120_000 }, async (t) => {
      const master = await RedisServer.start(t, command)
      const replica = await RedisServer.start(t, command, ['--replicaof', `127.0.0.1 ${master.port}`, '--repl-diskless-sync-delay', '0'])
      await until('the replica to be ready', async () => String(await replica.call('INFO', 'replication')).includes('master_link_status:up'))
      const sentinel = await RedisServer.startSentinel(t, command, master)
      await until('Sentinel to know the replica', async () => String(await sentinel.call('INFO', 'sentinel')).includes('slaves=1'))
      await survives(t, () => client(sentinel.port), () => master.kill())
    })
  }
}
