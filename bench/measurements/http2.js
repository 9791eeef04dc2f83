import { Arena } from '../arena.js'
import { candidatesOnHttp2 } from '../contenders.js'
import { fanOut, title } from '../fan-out.js'
import { print } from '../table.js'

const CLIENTS = 500

/** Measures an event to all of 500 streams on ten HTTP/2 sessions: server CPU per delivery. */
export async function run () {
  const all = candidatesOnHttp2().map((contender) => ({ ...contender, clients: CLIENTS }))
  const arena = await Arena.open(all)
  for (const work of [{ perTick: 1, deliveries: 20_000, time: 30 }, { perTick: 10, deliveries: 60_000, time: 30 }]) {
    print(`HTTP/2, ${title(CLIENTS, work.perTick)}`, { cpu: 'µs per delivery' }, await fanOut(arena, all, work))
  }
  arena.close()
}
