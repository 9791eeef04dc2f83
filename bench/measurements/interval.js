import { setTimeout as sleep } from 'node:timers/promises'
import { Arena } from '../arena.js'
import { contenders, plan, quick } from '../contenders.js'
import { INTERVAL } from '../event.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const CLIENTS = 1_000
const DURATION = quick ? 500 : 1_000

/** Measures an interval per client: server CPU per delivery. */
export async function run () {
  const all = contenders('/interval', [['/interval', 'own payload'], ['/interval-shared', 'shared payload']])
    .map((contender) => ({ ...contender, clients: CLIENTS }))
  const arena = await Arena.open(all)
  const results = await interleave(all, plan(7, 40), (contender) => arena.run(contender, async ({ server, load }) => {
    await server.ask('mark')
    const before = await server.ask('ticking', true)
    await sleep(DURATION)
    const cpu = await server.ask('cpu')
    const sent = await server.ask('ticking', false)
    await load.ask('received', { all: sent })
    return { cpu: cpu / (sent - before) }
  }))
  arena.close()
  print(`Interval route, ${CLIENTS} clients every ${INTERVAL} ms`, { cpu: 'µs per delivery' }, results)
}
