import { Arena } from '../arena.js'
import { chunks, contenders, plan, quick } from '../contenders.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const CLIENTS = 1_000
const TICKS = quick ? 20 : 40

/** Measures a fan-out whose writes are discarded: server CPU of a delivery without the kernel. */
export async function run () {
  const all = [...contenders('/feed', [['/topic', 'publish'], ['/feed', 'stream.send']]), chunks].map((contender) => ({ ...contender, clients: CLIENTS }))
  const arena = await Arena.open(all)
  for (const contender of all) await arena.run(contender, ({ server }) => server.ask('mute'))
  const work = async (server, path, perTick) => {
    await server.ask('mark')
    await server.ask('publish', { path, ticks: TICKS / perTick, perTick })
    return await server.ask('cpu') / TICKS / CLIENTS
  }
  const results = await interleave(all, plan(15, 40), (contender) => arena.run(contender, async ({ server }) => {
    const before = await server.ask('writes')
    const one = await work(server, contender.path, 1)
    const writes = await server.ask('writes') - before
    if (writes < TICKS * CLIENTS) throw new Error(`${contender.name}: ${writes} writes for ${TICKS * CLIENTS} deliveries`)
    return { one, ten: await work(server, contender.path, 10) }
  }))
  arena.close()
  print(`Fan-out to ${CLIENTS} clients without the kernel`, { one: 'µs per delivery, one at a time', ten: 'ten per tick' }, results)
}
