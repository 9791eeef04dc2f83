import { Arena } from '../arena.js'
import { contenders, MANY, rawAndOurs } from '../contenders.js'
import { fanOut, title } from '../fan-out.js'
import { nchan } from '../nginx.js'
import { print } from '../table.js'

const FEW = MANY / 8
const OURS = [['/topic', 'publish']]

/** Measures a fan-out to many clients, and the cost of a delivery relative to a fan-out to few. */
export async function run () {
  const many = [...contenders('/feed', OURS).filter(({ candidate }) => candidate !== 'fastify-sse-v2'), ...nchan()]
    .map((contender) => ({ ...contender, clients: MANY }))
  const few = rawAndOurs('/feed', OURS).map((contender) => ({ ...contender, clients: FEW }))
  const all = many.flatMap((contender) => [contender, ...few.filter(({ name }) => name === contender.name)])
  const arena = await Arena.open(all)
  for (const work of [{ perTick: 1, deliveries: 5 * MANY, time: 45 }, { perTick: 10, deliveries: 20 * MANY, time: 60 }]) {
    const results = await fanOut(arena, all, work)
    print(title(MANY, work.perTick), { cpu: 'µs per delivery' }, new Map(many.map((contender) => [contender, results.get(contender)])))
    print(`The same beside ${FEW} clients`, { few: `µs per delivery, ${FEW} clients`, many: `${MANY} clients`, times: 'these ÷ those' }, new Map(few.map((contender) => [
      contender,
      compare(results.get(contender), results.get(many.find(({ name }) => name === contender.name)))
    ])), { alone: true })
  }
  arena.close()
}

/** Ratios within the same rounds. */
function compare (few, many) {
  return few.map(({ cpu }, round) => ({ few: cpu, many: many[round].cpu, times: many[round].cpu / cpu }))
}
