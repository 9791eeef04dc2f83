import { Arena } from '../arena.js'
import { contenders, plan, quick } from '../contenders.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const EVENTS = quick ? 50_000 : 200_000

/** Measures one stream at full speed from an async generator: server CPU per event. */
export async function run () {
  const all = contenders('/source', [['/source', 'source'], ['/run', 'resumable source']])
  const arena = await Arena.open(all)
  const results = await interleave(all, plan(5, 40), (contender) => arena.run(contender, async ({ server, load, port }) => {
    await server.ask('mark')
    await load.ask('visit', { port, path: `${contender.path}?count=${EVENTS}`, count: 1, events: EVENTS })
    return { cpu: await server.ask('cpu') / EVENTS }
  }))
  arena.close()
  print(`One stream, ${EVENTS} events from an async generator`, { cpu: 'µs per event' }, results)
}
