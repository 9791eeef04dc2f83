import { setTimeout as sleep } from 'node:timers/promises'
import { Child } from '../child.js'
import { quick, rawAndOurs } from '../contenders.js'
import { missing, startRedis } from '../redis.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

/** Number of streams opened before the first measurement, so that one-time costs are not counted. */
const WARM_UP = 200
/** Time without events, ms: longer than the default heartbeat of 15 s. */
const IDLE = quick ? 2_000 : 16_000
/** Number of events to all streams. */
const EVENTS = 5
/** Number of streams of one process or of two, and of events to all of them. */
const SPREAD = { streams: 1_000, events: quick ? 200 : 1_000 }

/** Measures one process with as many streams as it may have, on HTTP/1.1 and on HTTP/2, and two processes on Redis beside one. */
export async function run () {
  await oneProcess(quick ? 2_000 : 18_000, 'HTTP/1.1 streams, a connection each', { server: 'ours', load: 'load.js' })
  await oneProcess(quick ? 5_000 : 100_000, 'HTTP/2 streams, 500 to a session', { server: 'ours-http2', load: 'load-http2.js', perSession: 500 })
  if (missing === null) await twoProcesses()
}

async function oneProcess (count, title, { server: module, load: script, perSession }) {
  const contenders = rawAndOurs('/topic').filter(({ candidate }) => candidate === 'ours')
  const results = await interleave(contenders, { rounds: 1, time: 0, warmUp: false }, async ({ path, build }) => {
    const server = new Child('server.js', [module, build], ['--expose-gc', '--max-old-space-size=8192'])
    const load = new Child(script, [], ['--max-old-space-size=8192'])
    const port = await server.ask('port')
    await load.ask('open', { port, path, count: WARM_UP, perSession })
    const before = await server.ask('memory')
    const open = await cpuOf(server, () => load.ask('open', { port, path, count: count - WARM_UP, perSession }))
    const after = await server.ask('memory')
    const idle = await cpuOf(server, () => sleep(IDLE))
    await server.ask('watchDelay')
    const begun = performance.now()
    const broadcast = await cpuOf(server, async () => {
      for (let i = 0; i < EVENTS; i++) await load.ask('received', { each: await server.ask('publish', { path, ticks: 1, perTick: 1 }) })
    })
    const all = (performance.now() - begun) / EVENTS / 1_000
    const delay = await server.ask('longestDelay')
    server.stop()
    load.stop()
    const opened = count - WARM_UP
    return {
      open: open / opened,
      heap: (after.heapUsed - before.heapUsed) / opened / 1_024,
      rss: (after.rss - before.rss) / opened / 1_024,
      idle: idle / IDLE / 10,
      broadcast: broadcast / EVENTS / count,
      all,
      delay
    }
  })
  print(`${count} ${title}`, {
    open: 'µs per stream opened',
    heap: 'KB of heap per stream',
    rss: 'KB of RSS per stream',
    idle: '% CPU, idle',
    broadcast: 'µs per delivery of an event to all',
    all: 's until all have it',
    delay: 'longest delay of the event loop meanwhile, ms'
  }, results, { alone: true })
}

async function cpuOf (server, work) {
  await server.ask('mark')
  await work()
  return server.ask('cpu')
}

async function twoProcesses () {
  process.env.REDIS_URL = await startRedis()
  const { build } = rawAndOurs('/feed')[1]
  const contenders = [1, 2].map((processes) => ({ name: `${processes} ${processes === 1 ? 'process' : 'processes'}`, processes }))
  const results = await interleave(contenders, { rounds: 3, time: 60 }, async ({ processes }) => {
    const servers = Array.from({ length: processes }, () => new Child('server.js', ['ours-redis', build]))
    const listener = new Child('listener.js')
    for (const server of servers) await listener.ask('open', { port: await server.ask('port'), count: SPREAD.streams / processes })
    for (const server of servers) await server.ask('mark')
    const begun = performance.now()
    await servers[0].ask('send', { count: SPREAD.events })
    await listener.ask('received', SPREAD.events)
    const seconds = (performance.now() - begun) / 1_000
    let cpu = 0
    for (const server of servers) cpu += await server.ask('cpu')
    for (const child of [...servers, listener]) child.stop()
    const deliveries = SPREAD.streams * SPREAD.events
    return { rate: deliveries / seconds, cpu: cpu / deliveries }
  })
  print(`${SPREAD.streams} streams in one process on Redis, or spread over two`, { rate: 'deliveries per s', cpu: 'µs of CPU per delivery, of all processes' }, results, { alone: true })
}
