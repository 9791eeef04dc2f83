import { Arena } from '../arena.js'
import { contenders, plan, quick } from '../contenders.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const VISITS = quick ? 500 : 1_500

/** Measures connect, three events and close: server CPU per visit. */
export async function run () {
  const all = contenders('/three', [['/three', 'source'], ['/three-by-hand', 'reply.sse()']])
  const arena = await Arena.open(all)
  const results = await interleave(all, plan(9, 30), (contender) => arena.run(contender, async ({ server, load, port }) => {
    await server.ask('mark')
    await load.ask('visit', { port, path: contender.path, count: VISITS, events: 3 })
    return { cpu: await server.ask('cpu') / VISITS }
  }))
  arena.close()
  print('Connect, three events, close', { cpu: 'µs per visit' }, results)
}
