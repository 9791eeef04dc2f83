import { Arena } from '../arena.js'
import { contenders, plan, quick } from '../contenders.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const CLIENTS = 1_000

/** An event to all clients: server CPU per delivery. */
export async function run (load) {
  await fanOut(load, { ticks: quick ? 10 : 20, perTick: 1, ways: [['/topic', 'publish'], ['/shared', 'shared interval'], ['/feed', 'stream.send']] })
  await fanOut(load, { ticks: quick ? 4 : 10, perTick: 10, ways: [['/topic', 'publish'], ['/feed', 'stream.send']] })
}

async function fanOut (load, { ticks, perTick, ways }) {
  const all = contenders('/feed', ways)
  const arena = await Arena.open(load, all, CLIENTS)
  const results = await interleave(all, plan(9, 30), (contender) => arena.run(contender, async (server) => {
    await server.ask('mark')
    const each = await server.ask('publish', { path: contender.path, ticks, perTick })
    await load.ask('received', { name: contender.name, each })
    return { cpu: await server.ask('cpu') / (ticks * perTick * CLIENTS) }
  }))
  await arena.close()
  print(`Fan-out to ${CLIENTS} clients, ${perTick === 1 ? 'one event at a time' : `${perTick} events per tick`}`, { cpu: 'µs per delivery' }, results)
}
