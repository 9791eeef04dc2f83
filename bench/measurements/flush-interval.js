import { Arena } from '../arena.js'
import { rawAndOurs } from '../contenders.js'
import { FLUSH_INTERVALS } from '../event.js'
import { fanOut } from '../fan-out.js'
import { print } from '../table.js'

const CLIENTS = 1_000

/** Measures an event every 10 ms to 1,000 clients, with different values of the option `flushInterval`: server CPU per delivery. */
export async function run () {
  const ways = [['/topic', 'flushInterval: 0'], ...FLUSH_INTERVALS.map((ms) => [`/flush-${ms}`, `flushInterval: ${ms}`])]
  const all = rawAndOurs('/feed', ways).map((contender) => ({ ...contender, clients: CLIENTS }))
  const arena = await Arena.open(all)
  const results = await fanOut(arena, all, { perTick: 1, deliveries: 100 * CLIENTS, time: 60 })
  arena.close()
  print(`100 events per s to ${CLIENTS} clients`, { cpu: 'µs per delivery' }, results)
}
