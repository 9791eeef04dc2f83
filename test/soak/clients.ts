// Started by soak.ts: all clients, in their own process, so that the servers are measured alone.
import { Agent } from 'node:http'
import { Hopper } from '../integration/hopper.js'
import { type Random, randomFrom } from '../integration/random.js'
import { PATHS } from '../integration/topic-routes.js'
import { until } from '../helpers/until.js'
import { check } from './check.js'
import { Publishers } from './publishers.js'
import { visit, visitHttp2, visits, visitKept, visitSlowly } from './visitors.js'

const HOPPERS = 20
const PUBLISHERS = 4
const VISITORS = 14

/** Counts of the clients so far. */
export interface Done {
  published: number
  rejected: number
  visits: typeof visits
}

/** Report at the end: faults, and the events of the readers that check them. */
export interface Account extends Done {
  faults: string[]
  received: number
  gaps: number
  /** Number of gaps that set a reader back, because the log did not know its id. */
  back: number
  /** Number of events that gaps announced. */
  missed: number
}

/** Requests to the clients: their counts, or disconnect and report. */
export type Question = 'done' | 'account'

const [seed = 0, ...given] = process.argv.slice(2).map(Number)
const ports = [given.filter((_, i) => i % 2 === 0), given.filter((_, i) => i % 2 === 1)] as [number[], number[]]
let stopped = false

/** Returns a random port. */
function anyOf (of: number[], random: Random): number {
  return of[random(of.length)] ?? 0
}

async function again (n: number, act: (random: Random) => Promise<void>): Promise<void> {
  const random = randomFrom(seed * 1_000 + n)
  for (;;) {
    if (stopped) return
    await act(random)
  }
}

const [http1, http2] = ports
const agent = new Agent({ keepAlive: true, maxSockets: 8 })
const random = randomFrom(seed - 1)
const publishers = new Publishers(() => anyOf(http1, random), agent, random)
const paths = [...PATHS, '/dropping'].map((path) => `/log${path}`)
const hoppers = Array.from({ length: HOPPERS }, (_, i) => {
  const random = randomFrom(seed + i)
  return new Hopper(() => anyOf(http1, random), paths[i % paths.length] ?? '', random)
})
const newest = () => publishers.accepted.at(-1)?.id ?? '1-1'
const lastEventId = (random: Random) => random(4) === 0 ? '1-1' : publishers.accepted[random(publishers.accepted.length)]?.id ?? newest()

await Promise.all(hoppers.map((hopper) => hopper.start()))
const reading = Promise.all(hoppers.map((hopper) => hopper.run()))
const publishing = Array.from({ length: PUBLISHERS }, () => publishers.run())
const visiting = [
  ...Array.from({ length: VISITORS }, (_, i) => again(i, (random) => visit(anyOf(http1, random), lastEventId(random), random))),
  again(100, (random) => visitSlowly(anyOf(http1, random), random)),
  again(101, (random) => visitSlowly(anyOf(http1, random), random)),
  again(102, (random) => visitHttp2(anyOf(http2, random), random)),
  again(103, (random) => visitHttp2(anyOf(http2, random), random)),
  again(104, (random) => visitKept(anyOf(http1, random), agent, random))
]

function done (): Done {
  return { published: publishers.accepted.length, rejected: publishers.rejected.size, visits }
}

/** Ends all clients. The readers stay until they have the last event. */
async function account (): Promise<Account> {
  stopped = true
  publishers.stop()
  await Promise.all([...publishing, ...visiting])
  let last: string | null = null
  await until('the last event is published', async () => { last = await publishers.publish(null); return last !== null })
  for (const hopper of hoppers) hopper.finish(last ?? '')
  const faults = [...publishers.faults]
  let over = false
  reading.then(() => { over = true })
  await until('all readers have the last event', () => over, 15_000).catch(() => {
    for (const [i, { lastEventId }] of hoppers.entries()) if (lastEventId !== last) faults.push(`reader ${i} is at ${lastEventId} and does not get to ${last}`)
  })
  for (const hopper of hoppers) hopper.leave()
  agent.destroy()

  // a rejected event may be stored nevertheless, and is then an ordinary event
  const published = new Map(publishers.accepted.map((event) => [event.id, event]))
  for (const { received } of hoppers) {
    for (const { id, data } of received) {
      const topic = publishers.rejected.get(data)
      if (topic !== undefined) published.set(id, { id, data, topic })
    }
  }
  const sum = { received: 0, gaps: 0, back: 0, missed: 0 }
  for (const [i, hopper] of hoppers.entries()) {
    const own = new Map([...published].filter(([, { topic }]) => topic === null || hopper.topics.includes(topic)))
    const { faults: found, gaps, back, missed } = check(hopper, own)
    faults.push(...found.slice(0, 5).map((fault) => `reader ${i} of ${paths[i % paths.length]}: ${fault}`))
    sum.received += hopper.received.length
    sum.gaps += gaps
    sum.back += back
    sum.missed += missed
  }
  return { ...done(), ...sum, faults }
}

process.on('message', async (question: Question) => {
  process.send?.(question === 'done' ? done() : await account())
  if (question === 'account') process.disconnect()
})
process.on('disconnect', () => process.exit())
