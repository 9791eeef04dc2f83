import { Arena } from '../arena.js'
import { plan, quick, rawAndOurs } from '../contenders.js'
import { MISSED } from '../event.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const VISITS = quick ? 100 : 500

/** Measures clients that reconnect to a route with five topics, of which they have missed 1,000 events: server CPU per replayed event. */
export async function run () {
  const all = rawAndOurs('/replay')
  const arena = await Arena.open(all)
  const first = new Map()
  for (const contender of all) first.set(contender, await arena.run(contender, ({ server }) => server.ask('fill', MISSED)))
  const results = await interleave(all, plan(9, 40), (contender) => arena.run(contender, async ({ server, load, port }) => {
    await server.ask('mark')
    await load.ask('visit', { port, path: `${contender.path}?lastEventId=${first.get(contender)}`, count: VISITS, events: MISSED, ends: false })
    return { cpu: await server.ask('cpu') / (VISITS * MISSED) }
  }))
  arena.close()
  print(`Reconnect to five topics and read ${MISSED} missed events`, { cpu: 'µs per event' }, results)
}
