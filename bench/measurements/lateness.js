import { setTimeout as sleep } from 'node:timers/promises'
import { Child } from '../child.js'
import { plan, quick, rawAndOurs } from '../contenders.js'
import { INTERVAL } from '../event.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const CLIENTS = 1_000
/** Time to warm up, and measured time, ms. */
const WARM_UP = 1_000
const DURATION = quick ? 2_000 : 10_000

/** Measures how late the ticks of an interval per client are, in a new process each time, because a stopped process would be late. */
export async function run () {
  const all = rawAndOurs('/lateness')
  const results = await interleave(all, { ...plan(3, 60), warmUp: false }, async ({ candidate, path, build }) => {
    const server = new Child('server.js', [candidate, build])
    const load = new Child('load.js')
    const port = await server.ask('port')
    await server.ask('ticking', true)
    await load.ask('open', { port, path, count: CLIENTS })
    await sleep(WARM_UP)
    await server.ask('lateness')
    await sleep(DURATION)
    const lateness = await server.ask('lateness')
    await load.ask('received', { all: await server.ask('ticking', false) })
    server.stop()
    load.stop()
    return lateness
  })
  print(
    `Lateness, an interval of ${INTERVAL} ms for each of ${CLIENTS} clients`,
    { p50: 'p50, ms', p99: 'p99, ms', max: 'longest, ms', missed: 'ticks missed, %' }, results, { alone: true }
  )
}
