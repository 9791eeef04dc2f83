import { setTimeout as sleep } from 'node:timers/promises'
import { Child } from '../child.js'
import { MANY, plan, rawAndOurs } from '../contenders.js'
import { HEARTBEAT } from '../event.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

/** Number of streams opened before the first measurement, so that one-time costs are not counted. */
const WARM_UP = 500
/** Time with heartbeats only, in heartbeat intervals. */
const BEATS = 3
const TICKS = 5

/** Measures streams with a heartbeat: server CPU to open them, to keep them, and to send an event to all; in a new process each time. */
export async function run () {
  const all = rawAndOurs('/heartbeat')
  const results = await interleave(all, { ...plan(3, 60), warmUp: false }, async ({ candidate, path, build }) => {
    const server = new Child('server.js', [candidate, build])
    const load = new Child('load.js')
    const port = await server.ask('port')
    await load.ask('open', { port, path, count: WARM_UP })
    const cpuOf = async (work) => {
      await server.ask('mark')
      await work()
      return server.ask('cpu')
    }

    const accept = await cpuOf(() => load.ask('open', { port, path, count: MANY - WARM_UP }))
    await sleep(HEARTBEAT)
    const before = await load.ask('comments')
    const idle = await cpuOf(() => sleep(BEATS * HEARTBEAT))
    const heartbeats = await load.ask('comments') - before
    if (heartbeats < 0.9 * BEATS * MANY) throw new Error(`${heartbeats} heartbeats to ${MANY} streams in ${BEATS} intervals`)
    const broadcast = await cpuOf(async () => {
      const each = await server.ask('publish', { path, ticks: TICKS, perTick: 1 })
      await load.ask('received', { each })
    })
    server.stop()
    load.stop()
    return { accept: accept / (MANY - WARM_UP), idle: idle / (BEATS * HEARTBEAT), broadcast: broadcast / (TICKS * MANY) }
  })
  print(
    `${MANY} streams with a heartbeat of ${HEARTBEAT} ms`,
    { accept: 'µs per stream opened', idle: 'ms per s, idle', broadcast: 'µs per delivery of a broadcast' }, results
  )
}
