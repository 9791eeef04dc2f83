import { setTimeout as sleep } from 'node:timers/promises'
import { Arena } from '../arena.js'
import { contenders, plan, quick } from '../contenders.js'
import { INTERVAL } from '../event.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const CLIENTS = 1_000
const DURATION = quick ? 500 : 1_000

/** An interval per client: server CPU per delivery. */
export async function run (load) {
  const all = contenders('/interval', [['/interval', 'own payload'], ['/interval-shared', 'shared payload']])
  const arena = await Arena.open(load, all, CLIENTS)
  const results = await interleave(all, plan(7, 40), ({ name, ...contender }) => arena.run({ name, ...contender }, async (server) => {
    const before = await server.ask('ticking', true)
    await server.ask('mark')
    await sleep(DURATION)
    const cpu = await server.ask('cpu')
    const sent = await server.ask('ticking', false)
    await load.ask('received', { name, all: sent })
    return { cpu: cpu / (sent - before) }
  }))
  await arena.close()
  print(`Interval route, ${CLIENTS} clients every ${INTERVAL} ms`, { cpu: 'µs per delivery' }, results)
}
