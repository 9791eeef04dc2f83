import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { Cluster, Redis } from 'ioredis'
import { Cluster as Cluster5, Redis as Redis5 } from 'ioredis-5'
import { createCluster, createSentinel } from 'redis'
import { createCluster as createCluster5 } from 'redis-5'
import { type Test, test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import type { InjectedEvent } from '../../lib/testing.js'
import { redisPublisher, type RedisBackplaneOptions } from '../../lib/redis/index.js'
import { open } from '../helpers/app.js'
import { RedisCluster } from '../helpers/redis-cluster.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'
import { eventsOf, take } from '../helpers/subscriber.js'
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

for (const command of SERVERS) {
  for (const what of ['node-redis', 'ioredis']) {
    test(`${command}: streams get a gap after a failover to a replica that lacks acknowledged events, by ${what}`, { timeout: 120_000 }, async (t) => {
      const cluster = await RedisCluster.start(t, command, 1)
      const { owner, others } = await cluster.owner()
      const { app } = await startApp(t, CLUSTERS[what]?.(owner.server.url) ?? { url: '' })
      const stream = await follow(app, 'news')
      const kept = await app.sse.publish('news', 'kept')
      await until('the replicas to have it', async () => await owner.server.call('WAIT', '1', '1000') === 1)
      // a wrong password, so that the replica cannot connect again
      for (const { server } of others) await server.call('CONFIG', 'SET', 'masterauth', 'wrong')
      await owner.server.call('CLIENT', 'KILL', 'TYPE', 'replica')
      await until('no replica to follow', async () => String(await owner.server.call('INFO', 'replication')).includes('connected_slaves:0'))
      const lost = await app.sse.publish('news', 'lost')
      t.strictSame((await take(stream, 2)).map(({ data }) => data), ['kept', 'lost'])
      await owner.server.kill()
      const after = await publishAtLast(app, 'news', 'after')
      const events: InjectedEvent[] = []
      while (!events.some(({ event }) => event === 'gap')) events.push(...await take(stream, 1))
      t.ok(events.filter(({ event }) => event === 'gap').every(({ id = '' }) => compareEventIds(id, lost) > 0))
      const [replayed, ...more] = await take(await follow(app, 'news', kept), 2)
      t.ok([replayed, ...more].some((event) => event?.id === after || event?.event === 'gap'))
      t.notOk([replayed, ...more].some((event) => event?.id === lost))
    })
  }
}

const COUNT = 3_000
/** The topics of the clients, and of the events in turn. */
const NAMES = ['a', 'b', 'c']

/** A process that runs test/redis/cluster-process.ts, until the end of the test. */
interface ClusterProcess {
  readonly child: ChildProcess
  readonly port: number
}

async function startProcess (t: Test, client: string, url: string): Promise<ClusterProcess> {
  const { PATH, HOME } = process.env
  const child = fork(fileURLToPath(new URL('cluster-process.ts', import.meta.url)), [client, url], {
    execArgv: ['--import=./test/typescript.mjs'],
    // collects no coverage, because that takes time
    env: { PATH, HOME, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  })
  t.teardown(() => { child.kill('SIGKILL') })
  const [port] = await once(child, 'message')
  return { child, port }
}

for (const command of SERVERS) {
  test(`${command}: the owner is killed while three processes deliver ${COUNT} events to 60 clients: each client gets each event once and in order, or a gap`, { timeout: 180_000 }, async (t) => {
    const begun = performance.now()
    const cluster = await RedisCluster.start(t, command, 1)
    const processes = await Promise.all(['node-redis', 'ioredis', 'node-redis'].map((client, i) => startProcess(t, client, cluster.urls[i] ?? '')))
    const clients = await Promise.all(processes.flatMap(({ port }) => Array.from({ length: 20 }, (_, i) => open(t, port, `/on/${NAMES[i % 3]}`))))
    const { owner } = await cluster.owner()
    const acknowledged = new Map<string, string[]>(NAMES.map((topic) => [topic, []]))
    let [count, rejected] = [0, 0]
    const [{ child: publisher }] = processes as [ClusterProcess]
    publisher.on('message', ({ topic, id }: { topic: string, id: string | null }) => {
      if (++count === COUNT / 3) owner.server.kill()
      if (id === null) rejected++
      else acknowledged.get(topic)?.push(id)
    })
    publisher.send({ topics: NAMES, count: COUNT })
    for (const client of clients) await client.until('data: end\n', 1, 60_000)

    const [missing, gaps] = [new Set<string>(), new Set<string>()]
    for (const [i, { text }] of clients.entries()) {
      const events = eventsOf(text)
      const ids = events.map(({ id = '' }) => id)
      if (!ids.every((id, at) => at === 0 || compareEventIds(ids[at - 1] ?? '', id) < 0)) t.fail('each event once and in order')
      const got = new Set(ids)
      const reported = events.filter(({ event }) => event === 'gap').map(({ id = '' }) => id)
      const lost = acknowledged.get(NAMES[i % 20 % 3] ?? '')?.filter((id) => !got.has(id)) ?? []
      if (lost.some((id) => !reported.some((gap) => compareEventIds(gap, id) >= 0))) t.fail('a gap follows each acknowledged event that is missing')
      for (const id of lost) missing.add(id)
      for (const id of reported) gaps.add(id)
    }
    t.equal(count, COUNT)
    const seconds = (performance.now() - begun) / 1_000
    t.comment(`${COUNT - rejected} acknowledged, ${rejected} rejected, ${missing.size} missing, ${gaps.size} gaps, ${seconds.toFixed(1)} s`)
    t.ok(seconds < 90)
  })
}
