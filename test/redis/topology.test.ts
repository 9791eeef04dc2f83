import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { createCluster, createSentinel } from 'redis'
import pino from 'pino'
import { type Test, test } from 'tap'
import { redisBackplane, type RedisBackplaneOptions, redisPublisher } from '../../lib/redis/index.js'
import { slotOf } from '../../lib/redis/slot.js'
import { freePort } from '../helpers/free-port.js'
import { RedisCluster, SLOT } from '../helpers/redis-cluster.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'
import { take, takeData } from '../helpers/subscriber.js'
import { ERROR, follow, outage, startApp } from './app.js'

type Clients = Record<string, (urls: string[]) => RedisBackplaneOptions>

const CLIENTS: Clients = {
  'node-redis': (urls) => ({ client: createCluster({ rootNodes: urls.map((url) => ({ url })) }) }),
  ioredis: (urls) => ({ client: new Cluster(urls, { lazyConnect: true }) })
}

/** Further clients, whose connections go to `localhost`, or have a prefix. */
const MAPPED: Clients = {
  'node-redis with a function that maps addresses': (urls) => ({
    client: createCluster({ rootNodes: urls.map((url) => ({ url })), nodeAddressMap: (address) => ({ host: 'localhost', port: Number(address.split(':')[1]) }) })
  }),
  'node-redis with mapped addresses': (urls) => ({
    client: createCluster({ rootNodes: urls.map((url) => ({ url })), nodeAddressMap: Object.fromEntries(urls.map((url) => [url.slice(8), { host: 'localhost', port: Number(new URL(url).port) }])) })
  }),
  'ioredis with mapped addresses and a prefix': (urls) => ({
    client: new Cluster(urls, { lazyConnect: true, keyPrefix: 'mine:', natMap: Object.fromEntries(urls.map((url) => [url.slice(8), { host: 'localhost', port: Number(new URL(url).port) }])) })
  })
}

test('the slot of a key is that of its hash tag', (t) => {
  // the value of the specification of Redis Cluster
  t.equal(slotOf('123456789'), 0x31c3)
  t.equal(slotOf('{sse}:log'), SLOT)
  t.equal(slotOf('a{sse}b{c}'), SLOT)
  t.end()
})

for (const command of SERVERS) {
  test(`${command}: events of a cluster`, async (t) => {
    const cluster = await RedisCluster.start(t, command)
    for (const [what, client] of Object.entries(CLIENTS)) {
      await t.test(`follow the slot to another node, by ${what}`, (t) => movesSlot(t, cluster, client))
      await t.test(`continue after no node had the slot, by ${what}`, (t) => losesSlot(t, cluster, client))
    }
    for (const [what, client] of Object.entries(MAPPED)) {
      await t.test(`are published and received by ${what}`, async (t) => {
        const { app } = await startApp(t, client(cluster.urls))
        const stream = await follow(app, 'news')
        await app.sse.publish('news', '1')
        t.strictSame(await takeData(stream, 1), ['1'])
      })
    }
  })

  test(`${command}: events are published and received through the Sentinel client of node-redis`, async (t) => {
    const master = await RedisServer.start(t, command)
    const sentinel = await RedisServer.startSentinel(t, command, master)
    const { app } = await startApp(t, { client: createSentinel({ name: 'main', sentinelRootNodes: [{ host: '127.0.0.1', port: sentinel.port }] }) })
    const stream = await follow(app, 'news')
    await app.sse.publish('news', '1')
    t.strictSame(await takeData(stream, 1), ['1'])
    t.ok(Number(await master.call('XLEN', '{sse}:log')) > 0)
  })
}

/** Moves the slot of the log to another node while two programs publish. */
async function movesSlot (t: Test, cluster: RedisCluster, client: (urls: string[]) => RedisBackplaneOptions): Promise<void> {
  const { app, lines } = await startApp(t, client(cluster.urls))
  const publisher = redisPublisher(client(cluster.urls))
  t.teardown(() => publisher.end())
  const stream = await follow(app, 'news')
  const first = await app.sse.publish('news', '1')
  await publisher.publish('news', '2')
  t.strictSame(await takeData(stream, 2), ['1', '2'])

  const { owner, others: [next] } = await cluster.owner()
  if (next === undefined) throw new Error('one node')
  const published: string[] = []
  const state = { isMoving: true }
  const publishing = (async () => {
    for (let i = 3; state.isMoving || i < 20; i++) {
      published.push(String(i))
      await (i % 2 ? app.sse : publisher).publish('news', String(i))
    }
  })()
  await cluster.moveSlot(owner, next, 20)
  state.isMoving = false
  await publishing
  t.equal((await cluster.owner()).owner, next)
  t.strictSame(await takeData(stream, published.length), published, 'each once, in order')
  // many at once, of which all are refused
  await Promise.all([cluster.moveSlot(next, owner), ...Array.from({ length: 100 }, (_, i) => app.sse.publish('news', `more ${i}`))])
  const more = Array.from({ length: 100 }, (_, i) => `more ${i}`)
  t.strictSame(await takeData(stream, 100), more, 'in the order of the calls')
  const replayed = await take(await follow((await startApp(t, client(cluster.urls))).app, 'news', first), published.length + 101)
  t.strictSame(replayed.map(({ data }) => data), ['2', ...published, ...more])
  t.equal(app.sse.stats().gaps, 0)
  t.strictSame(lines.filter(({ level }) => level >= ERROR), [])
}

/** Takes the slot of the log from its owner, and gives it back. */
async function losesSlot (t: Test, cluster: RedisCluster, client: (urls: string[]) => RedisBackplaneOptions): Promise<void> {
  const patient = await startApp(t, client(cluster.urls))
  const leaving = await startApp(t, client(cluster.urls))
  const hasty = await startApp(t, { ...client(cluster.urls), timeout: 3_000 })
  const stream = await follow(patient.app, 'news')
  const { owner } = await cluster.owner()
  for (const { server } of cluster.nodes) await server.call('CLUSTER', 'DELSLOTS', String(SLOT))
  const waiting = patient.app.sse.publish('news', 'waited')
  const refused = t.rejects(leaving.app.sse.publish('news', 'never'), { code: 'SSE_ERR_CLOSING' })
  await t.rejects(hasty.app.sse.publish('news', 'too late'), { code: 'SSE_ERR_BACKPLANE', message: /no answer within 3000 ms/, cause: { message: /CLUSTERDOWN|no node has the slot/ } })
  await outage(hasty)
  await leaving.app.close()
  await refused
  for (const { server } of [owner, ...cluster.nodes.filter((node) => node !== owner)]) await server.call('CLUSTER', 'SETSLOT', String(SLOT), 'NODE', owner.id)
  await waiting
  t.strictSame(await takeData(stream, 1), ['waited'])
}

test('a cluster that cannot be reached, or that does not answer', async (t) => {
  const port = await freePort()
  const sockets: Socket[] = []
  const mute = createServer((socket) => { sockets.push(socket.on('error', () => {})) }).listen(0, '127.0.0.1')
  await once(mute, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    mute.close()
  })
  for (const [what, client] of Object.entries(CLIENTS)) {
    await t.rejects(startApp(t, { ...client([`redis://127.0.0.1:${port}`]), timeout: 300 }), { code: 'SSE_ERR_BACKPLANE', message: /no answer within 300 ms/, cause: Error }, what)
    const backplane = redisBackplane(client([`redis://127.0.0.1:${(mute.address() as AddressInfo).port}`]))({ size: 10, maxAge: 0, maxBytes: 1e6 }, pino({ level: 'silent' }))
    const opened = backplane.open({ onEvent () {}, onControl () {}, onGap () {} }).catch(({ code }) => code)
    await wait(10)
    await backplane.close()
    t.equal(await opened, 'SSE_ERR_CLOSING', `${what}, while it searches`)
  }
  const { client } = CLIENTS['node-redis']?.([`redis://127.0.0.1:${(mute.address() as AddressInfo).port}`]) ?? {}
  if (client === undefined) throw new Error('no client')
  await t.rejects(startApp(t, { client, timeout: 3_500 }), { code: 'SSE_ERR_BACKPLANE', cause: { message: 'the owner was not found within 3000 ms' } })
})
