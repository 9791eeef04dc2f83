import { Arena } from '../arena.js'
import { chunks, contenders } from '../contenders.js'
import { fanOut, title } from '../fan-out.js'
import { nchan } from '../nginx.js'
import { print } from '../table.js'

const WAYS = [['/topic', 'publish'], ['/shared', 'shared interval'], ['/feed', 'stream.send']]

/** Measures an event to all clients: server CPU per delivery. */
export async function run () {
  await fanOutTo(100, [{ perTick: 1, deliveries: 5_000, time: 25 }, { perTick: 10, deliveries: 20_000, time: 15 }])
  await fanOutTo(1_000, [{ perTick: 1, deliveries: 20_000, time: 30 }, { perTick: 10, deliveries: 60_000, time: 30 }])
}

async function fanOutTo (clients, works) {
  const all = [...contenders('/feed', WAYS), chunks, ...nchan()].map((contender) => ({ ...contender, clients }))
  const arena = await Arena.open(all)
  for (const work of works) {
    // a shared interval sends one event per tick, and separate chunks cost more than res.write
    const able = work.perTick === 1 ? all : all.filter((contender) => contender.path !== '/shared' && contender.path !== chunks.path)
    print(title(clients, work.perTick), { cpu: 'µs per delivery' }, await fanOut(arena, able, work))
  }
  arena.close()
}
