import { Child } from '../child.js'
import { plan, quick, rawAndOurs } from '../contenders.js'
import { missing, startRedis } from '../redis.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const PROCESSES = 3
const CLIENTS = 1_000
const ALONE = quick ? 500 : 2_000
const PIPELINED = quick ? 5_000 : 20_000
const TO_ALL = quick ? 100 : 300

/** Measures the way through Redis: how fast one process publishes, how fast three deliver, and the cost of an event that no stream of a process wants. */
export async function run () {
  if (missing !== null) return
  process.env.REDIS_URL = await startRedis()
  const all = rawAndOurs('/feed')
  const results = await interleave(all, { ...plan(3, 120), warmUp: false }, async ({ candidate, build }) => {
    const [publisher, bystander, ...others] = Array.from({ length: PROCESSES + 1 }, () => new Child('server.js', [`${candidate}-redis`, build]))
    const deliverers = [publisher, ...others]
    const listener = new Child('listener.js')
    await listener.ask('open', { port: await bystander.ask('port'), count: CLIENTS })

    const one = await rateOf(ALONE, () => publisher.ask('send', { count: ALONE, atOnce: 1, path: '/other' }))
    await bystander.ask('mark')
    const pipelined = await rateOf(PIPELINED, () => publisher.ask('send', { count: PIPELINED, path: '/other' }))
    const unwanted = await bystander.ask('cpu') / PIPELINED
    await listener.ask('close')
    bystander.stop()

    for (const server of deliverers) await listener.ask('open', { port: await server.ask('port'), count: CLIENTS })
    const deliveries = TO_ALL * CLIENTS * PROCESSES
    for (const server of deliverers) await server.ask('mark')
    const delivered = await rateOf(deliveries, async () => {
      await publisher.ask('send', { count: TO_ALL, from: 0 })
      await listener.ask('received', TO_ALL)
    })
    let cpu = 0
    for (const server of deliverers) cpu += await server.ask('cpu')
    for (const child of [...deliverers, listener]) child.stop()
    return { one, pipelined, unwanted, delivered, cpu: cpu / deliveries }
  })
  print(`Redis, ${PROCESSES} processes with ${CLIENTS} clients each`, {
    one: 'events published per s, one at a time',
    pipelined: '100 at a time',
    unwanted: 'µs per event that no stream of a process wants',
    delivered: 'deliveries per s',
    cpu: 'µs of CPU per delivery'
  }, results)
}

/** Returns how many per second a work does that does `count`. */
async function rateOf (count, work) {
  const begun = performance.now()
  await work()
  return count / (performance.now() - begun) * 1_000
}
