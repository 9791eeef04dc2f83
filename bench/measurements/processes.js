import { Child } from '../child.js'
import { plan, quick, rawAndOurs } from '../contenders.js'
import { missing, startRedis } from '../redis.js'
import { interleave } from '../rounds.js'
import { print } from '../table.js'

const PROCESSES = 3
const CLIENTS = 300
/** Number of events that one process publishes, and the ms between them. */
const PACED = { count: quick ? 20 : 60, pace: 50 }
/** Number of events that it then publishes as fast as they are taken. */
const BURST = { count: quick ? 500 : 2_000 }

/** Measures several processes on one Redis: the delay of an event to every client, and the throughput. */
export async function run () {
  if (missing !== null) return
  process.env.REDIS_URL = await startRedis()
  const all = rawAndOurs('/feed')
  const running = new Map()
  for (const contender of all) running.set(contender, await start(contender))
  const results = await interleave(all, plan(7, 60), async (contender) => {
    const { servers, listener, sent } = running.get(contender)
    const processes = [...servers, listener]
    for (const child of processes) child.resume()
    await servers[0].ask('send', PACED)
    const { p50, p99 } = await listener.ask('received', sent.count += PACED.count)
    const begun = performance.now()
    await servers[0].ask('send', BURST)
    await listener.ask('received', sent.count += BURST.count)
    const rate = BURST.count / (performance.now() - begun) * 1_000
    for (const child of processes) child.pause()
    return { p50, p99, rate }
  })
  for (const { servers, listener } of running.values()) for (const child of [...servers, listener]) child.stop()
  print(`Redis and ${PROCESSES} processes with ${CLIENTS} clients each`, { p50: 'publish to receive, p50, ms', p99: 'p99, ms', rate: 'events per s, to all' }, results)
}

async function start ({ candidate, build }) {
  const servers = Array.from({ length: PROCESSES }, () => new Child('server.js', [`${candidate}-redis`, build]))
  const listener = new Child('listener.js')
  for (const server of servers) await listener.ask('open', { port: await server.ask('port'), count: CLIENTS })
  for (const child of [...servers, listener]) child.pause()
  return { servers, listener, sent: { count: 0 } }
}
