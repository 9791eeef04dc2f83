import { Child } from '../child.js'
import { plan, quick, rawAndOurs } from '../contenders.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const CLIENTS = quick ? 1_000 : 5_000
/** Time within which all clients reconnect, ms. */
const TIME = 2_000
/** Number of events that each client has missed. */
const MISSED = 100

/** Measures many clients that reconnect within a short time, as after a restart of a proxy, and read the events that they have missed; in a new process each time. */
export async function run () {
  const all = rawAndOurs('/replay')
  const results = await interleave(all, { ...plan(5, 90), warmUp: false }, async ({ candidate, path, build }) => {
    const server = new Child('server.js', [candidate, build], ['--expose-gc'])
    const load = new Child('load.js')
    const port = await server.ask('port')
    const before = await server.ask('fill', MISSED)
    const start = await server.ask('memory')
    await server.ask('watchDelay')
    await server.ask('mark')
    const live = await load.ask('storm', { port, path: `${path}?lastEventId=${before}`, count: CLIENTS, time: TIME, events: MISSED })
    const cpu = await server.ask('cpu')
    const delay = await server.ask('longestDelay')
    const { heapUsed, rss } = await server.ask('memory')
    // an event to all shows that each stream is live
    await server.ask('publish', { path, ticks: 1, perTick: 1 })
    await load.ask('received', { each: MISSED + 1 })
    server.stop()
    load.stop()
    return { cpu: cpu / (CLIENTS * MISSED), live: live / 1_000, delay, heap: (heapUsed - start.heapUsed) / CLIENTS / 1_024, rss: (rss - start.rss) / CLIENTS / 1_024 }
  })
  print(
    `${CLIENTS} clients reconnect within ${TIME / 1_000} s, each has missed ${MISSED} events`,
    { cpu: 'µs per replayed event', live: 's until all are live', delay: 'longest delay of the event loop, ms', heap: 'KB of heap per stream', rss: 'KB of RSS per stream' }, results
  )
}
