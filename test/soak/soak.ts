// `npm run soak -- 30`: for so many seconds, 600 if none are given, two servers on one Redis have clients that come and go
// while Redis is restarted. Ends with 1, and says what, if something grows, is left behind, or an event is missing untold.
import { setTimeout as wait } from 'node:timers/promises'
import { randomFrom, seed } from '../integration/random.js'
import { Child } from './child.js'
import type { Account, Done, Question } from './clients.js'
import { differences, growthOf, MEMORY, trendOf } from './growth.js'
import type { Sample } from './measure.js'
import { Redis } from './redis.js'
import { heading, line, reasons, total } from './report.js'
import type { Order } from './server.js'

const seconds = Number(process.argv[2] ?? process.env.SOAK_SECONDS ?? 600)
if (!(seconds >= 10)) throw new Error(`npm run soak -- <seconds>, at least 10, and not ${process.argv[2]}`)
const WARM_UP = seconds / 6
/** Seconds between measurements, so few that the last quarter has enough of them. */
const EVERY = Math.max(1, seconds / 60)
const RESTART_EVERY = Math.max(4, seconds / 50)
/** Maximum of open streams per app. */
const PLACES = 14
/** Time after which nothing of the last client may be left, ms. Shorter than the close timeout. */
const REST = 3_000
const LIBRARIES = ['node-redis', 'ioredis']
const RESTARTS = [['SIGTERM', 'with'], ['SIGKILL', 'with'], ['SIGTERM', 'without'], ['SIGKILL', 'without']] as const

interface Point {
  seconds: number
  samples: Sample[]
}

const ends: Array<() => unknown> = []
let restarts = 0

/** Ends Redis by SIGTERM and SIGKILL in turn, and starts it with and without its data. */
async function restartAgain (redis: Redis, until: number): Promise<void> {
  const random = randomFrom(seed - 2)
  while (performance.now() + RESTART_EVERY * 1_000 < until) {
    await wait(RESTART_EVERY * 500 + random(RESTART_EVERY * 500))
    const [signal, data] = RESTARTS[restarts++ % RESTARTS.length] ?? RESTARTS[0]
    await redis.end(signal)
    // sometimes long enough for publishing to fail
    await wait(random(2_000))
    if (data === 'without') await redis.empty()
    await redis.start()
  }
}

/** Faults, in words. */
async function soak (): Promise<string[]> {
  const redis = await Redis.start()
  ends.unshift(() => redis.remove())
  const servers = LIBRARIES.map((library) => new Child<Order>('server.ts', [library, redis.url, String(PLACES)], ['--expose-gc']))
  for (const server of servers) ends.unshift(() => server.kill())
  const ports = await Promise.all(servers.map((server) => server.says<number[]>()))
  const measure = () => Promise.all(servers.map((server) => server.ask<Sample>('measure')))
  await measure()
  const before = await measure()

  const clients = new Child<Question>('clients.ts', [seed, ...ports.flat()].map(String))
  ends.unshift(() => clients.kill())
  const began = performance.now()
  const restarting = restartAgain(redis, began + seconds * 1_000)
  restarting.catch(() => {})
  console.log(heading())
  const points: Point[] = []
  let [earlier, then] = [before, began]
  for (let next = EVERY; next <= seconds; next += EVERY) {
    await wait(began + next * 1_000 - performance.now())
    const samples = await measure()
    const now = performance.now()
    const cpu = samples.map((sample, i) => (sample.cpu - (earlier[i]?.cpu ?? 0)) / (now - then) * 100)
    console.log(line((now - began) / 1_000, await clients.ask<Done>('done'), restarts, samples, cpu))
    if (next > WARM_UP) points.push({ seconds: next, samples })
    ;[earlier, then] = [samples, now]
  }
  await restarting
  const account = await clients.ask<Account>('account')
  const faults = [...account.faults, ...await leftOf(before, measure), ...grown(points)]
  console.log(`\n${JSON.stringify(account.visits)}`)
  summarize(points, account, await measure())
  return [...faults, ...await closed(servers)]
}

/** Returns the values after the last client that differ from those before the first. */
async function leftOf (before: readonly Sample[], measure: () => Promise<Sample[]>): Promise<string[]> {
  const end = performance.now() + REST
  for (;;) {
    const left = (await measure()).flatMap(({ counts, requests }, i) => [...differences(before[i]?.counts ?? {}, counts), ...requests].map((said) => `${LIBRARIES[i]}: ${said}`))
    if (left.length === 0 || performance.now() > end) return left
    await wait(100)
  }
}

function grown (points: readonly Point[]): string[] {
  return LIBRARIES.flatMap((library, i) => {
    const series = points.map(({ seconds, samples }) => ({ time: seconds, amounts: { ...samples[i]?.memory, ...samples[i]?.counts } }))
    return growthOf(series).map((said) => `${library}: ${said}`)
  })
}

/** Checks that the processes exit when their apps are closed. */
async function closed (servers: Array<Child<Order>>): Promise<string[]> {
  for (const server of servers) server.tell('close')
  await wait(500)
  const end = performance.now() + REST
  while (servers.some(({ over }) => over === null) && performance.now() < end) await wait(50)
  return servers.flatMap(({ over }, i) => over === 'server.ts ended with 0' ? [] : [`${LIBRARIES[i]}: ${over ?? 'the process goes on after its apps are closed'}`])
}

function summarize (points: readonly Point[], account: Account, samples: readonly Sample[]): void {
  console.log(`${total(samples, 'opened')} streams opened, closed by: ${reasons(samples)}; ${total(samples, 'rejected')} requests refused by a limit`)
  console.log(`${account.published} events published and ${account.rejected} rejected, through ${restarts} restarts of Redis; ${total(samples, 'sent')} sent, ${total(samples, 'dropped')} dropped, ${total(samples, 'replayed')} replayed, ${total(samples, 'gaps')} gaps`)
  console.log(`readers who come and go: ${account.received} events, of which ${account.gaps} gaps, which tell of ${account.missed} events, and ${account.back} of which took a reader back; ${account.faults.length} faults`)
  for (const name of Object.keys(MEMORY)) {
    const trends = LIBRARIES.map((_, i) => trendOf(points.map(({ seconds, samples }) => ({ x: seconds, y: (samples[i]?.memory[name] ?? 0) / 1e6 }))))
    console.log(`${name}, MB: ${trends.map(({ first, last, rise }) => `${first.toFixed(2)} in the first quarter, ${last.toFixed(2)} in the last (a rise of ${rise.toFixed(2)} by least squares)`).join('; ')}`)
  }
}

console.log(`seed ${seed}, ${seconds} s; the servers with ${LIBRARIES.join(' and ')}`)
try {
  const faults = await soak()
  for (const fault of faults) console.log(fault)
  console.log(faults.length === 0 ? 'soak passed' : `soak failed: ${faults.length} faults`)
  process.exitCode = faults.length === 0 ? 0 : 1
} catch (error) {
  console.log(`soak failed: ${String(error)}`)
  process.exitCode = 1
} finally {
  for (const end of ends) await end()
}
