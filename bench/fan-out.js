import { plan } from './contenders.js'
import { interleave } from './rounds.js'

/**
 * Measures some events to all clients of each contender: server CPU per delivery.
 *
 * @param {import('./arena.js').Arena} arena of the contenders
 * @param {number} options.perTick events in one turn of the event loop
 * @param {number} options.deliveries how many a contender makes in its turn
 * @param {number} options.time for all rounds, s
 */
export function fanOut (arena, contenders, { perTick, deliveries, time }) {
  return interleave(contenders, plan(9, time), (contender) => arena.run(contender, async ({ server, load }) => {
    const { path, clients } = contender
    const ticks = deliveries / clients / perTick
    await server.ask('mark')
    const each = await server.ask('publish', { path, ticks, perTick })
    await load.ask('received', { each })
    return { cpu: await server.ask('cpu') / deliveries }
  }))
}

/** Of a table. */
export function title (clients, perTick) {
  return `Fan-out to ${clients} clients, ${perTick === 1 ? 'one event at a time' : `${perTick} events per tick`}`
}
