import { setTimeout as wait } from 'node:timers/promises'
import { createParser } from 'eventsource-parser'
import { createClient } from 'redis'
import { type Test, test } from 'tap'
import { until } from '../helpers/until.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'
import { Hopper, TOPICS } from './hopper.js'
import { type Random, randomFrom, seed } from './random.js'
import { ServerProcess } from './server-process.js'
import { type Published, Subscriber } from './subscriber.js'
import { PATHS } from './topic-routes.js'

const PROCESSES = 3
const CLIENTS = 60
const EVENTS = 3_000
const PUBLISHERS = 12

interface OnTopic extends Published {
  topic: string
}

async function start (t: Test): Promise<{ redis: RedisServer, servers: ServerProcess[] }> {
  const redis = await RedisServer.start(t, SERVERS[0])
  const servers = await Promise.all(Array.from({ length: PROCESSES }, () => ServerProcess.start(t, redis.url)))
  return { redis, servers }
}

/** Publishes events on all topics through any process, and repeats each until a process confirms it. */
class Publishers {
  /** By their ids. */
  readonly accepted = new Map<string, OnTopic>()
  /** Number of publishes that failed without Redis, and without a process. */
  readonly refused = { redis: 0, process: 0 }
  readonly #where: () => ServerProcess
  readonly #random: Random

  constructor (where: () => ServerProcess, random: Random) {
    this.#where = where
    this.#random = random
  }

  async run (): Promise<void> {
    await Promise.all(Array.from({ length: PUBLISHERS }, (_, publisher) => this.#run(publisher)))
  }

  async #run (publisher: number): Promise<void> {
    for (let i = 0; i < EVENTS / PUBLISHERS; i++) {
      const topic = TOPICS[this.#random(TOPICS.length)] ?? ''
      // a unique text of one or two lines, with characters of one to four bytes
      const data = `${publisher} ${i} ${'aé€𝄞'.repeat(this.#random(40))}${'\n…'.repeat(this.#random(2))}`
      const id = await this.#publish(topic, data)
      this.accepted.set(id, { id, topic, data })
      await wait(this.#random(30))
    }
  }

  async #publish (topic: string, data: string): Promise<string> {
    for (let tries = 0; tries < 500; tries++) {
      const answer = await this.#where().post(`/topics/${topic}`, data).catch(() => null)
      if (answer === null) this.refused.process++
      else if (answer.status === 200) return answer.text
      else if (JSON.parse(answer.text).code === 'SSE_ERR_BACKPLANE') this.refused.redis++
      else throw new Error(answer.text)
      await wait(20 + this.#random(100))
    }
    throw new Error(`nobody took ${data}`)
  }
}

/** Reads the events in Redis, oldest first. */
async function readLog (url: string): Promise<OnTopic[]> {
  const client = await createClient({ url }).connect()
  const entries = await client.xRange('{sse}:log', '-', '+') ?? []
  client.destroy()
  return entries.map(({ id, message: { name = '', text = '' } }) => ({ id, topic: name, data: dataOf(text) }))
}

function dataOf (text: string): string {
  const found: string[] = []
  createParser({ onEvent: ({ data }) => { found.push(data) } }).feed(text)
  return found.join()
}

test('three processes on one Redis', { skip: SERVERS.length === 0 && 'there is no redis-server' }, async (t) => {
  const { redis, servers } = await start(t)

  await t.test('sendTo() and broadcast() of one process reach the streams of the others, also after a reconnect', async (t) => {
    const [a, b, c] = servers as [ServerProcess, ServerProcess, ServerProcess]
    const [ada, bob] = [new Subscriber(a.port, '/clients/ada'), new Subscriber(c.port, '/clients/bob')]
    t.teardown(() => { for (const client of [ada, bob]) client.leave() })
    const came = [ada.visit(), bob.visit()]
    await until('both are there', () => ada.lastEventId !== null && bob.lastEventId !== null)
    const sent = [await b.post('/clients/ada', 'for her'), await c.post('/all', 'for all')]
    await until('both have it', () => ada.received.length === 2 && bob.received.length === 1)

    ada.leave()
    await came[0]
    sent.push(await b.post('/clients/ada', 'missed'))
    const his = await a.post('/clients/bob', 'for him')
    sent.push(await a.post('/all', 'for all again'))
    ada.port = c.port
    came[0] = ada.visit()
    sent.push(await a.post('/clients/ada', 'back again'))
    await until('both have all', () => ada.received.length === 5 && bob.received.length === 3)
    const taken = (client: Subscriber) => client.received.map(({ id, event, data }) => ({ id, event, data }))
    const message = (id: string | undefined, data: string) => ({ id, event: 'message', data })
    const ids = sent.map(({ text }) => text)
    t.strictSame(taken(ada), ['for her', 'for all', 'missed', 'for all again', 'back again'].map((data, i) => message(ids[i], data)))
    t.strictSame(taken(bob), [message(ids[1], 'for all'), message(his.text, 'for him'), message(ids[3], 'for all again')])
    for (const client of [ada, bob]) client.leave()
    await Promise.all(came)
  })

  await t.test('60 clients that hop between three processes get exactly the events of their topics, although Redis and a process are killed', async (t) => {
    const random = randomFrom(seed - 2)
    const anyOf = () => servers[random(PROCESSES)] as ServerProcess
    let visits = 0
    const where = () => {
      visits++
      return anyOf().port
    }
    const hoppers = Array.from({ length: CLIENTS }, (_, i) => new Hopper(where, PATHS[i % PATHS.length] ?? '', randomFrom(seed + i)))
    t.teardown(() => { for (const hopper of hoppers) hopper.finish('') })
    const publishers = new Publishers(anyOf, randomFrom(seed - 1))
    const { accepted, refused } = publishers
    const published = (events: number) => until(`${events} events`, () => accepted.size >= events, 30_000)
    await Promise.all(hoppers.map((hopper) => hopper.start()))
    const runs = Promise.all(hoppers.map((hopper) => hopper.run()))
    const publishing = publishers.run()

    await published(EVENTS * 0.3)
    await redis.kill()
    await until('publishing fails', () => refused.redis > PUBLISHERS)
    await redis.start()
    await published(EVENTS * 0.6)
    const [first] = servers as [ServerProcess]
    await first.kill()
    await published(EVENTS * 0.7)
    t.ok(refused.process > 0, 'a process was missed')
    await first.start()
    await publishing

    const log = (await readLog(redis.url)).filter(({ topic }) => TOPICS.includes(topic))
    for (const hopper of hoppers) hopper.finish(log.at(-1)?.id ?? '')
    await runs

    t.equal(accepted.size, EVENTS)
    const stored = new Map(log.map((event) => [event.id, event]))
    t.strictSame([...accepted.values()].filter(({ id, topic, data }) => stored.get(id)?.data !== data || stored.get(id)?.topic !== topic), [], 'what was accepted is in the log')
    const texts = new Set([...accepted.values()].map(({ data }) => data))
    t.strictSame(log.filter(({ data }) => !texts.has(data)), [], 'and nothing but what was published')
    t.comment(`seed ${seed}: ${visits} visits; refused ${JSON.stringify(refused)}, of which ${log.length - EVENTS} were stored`)
    t.ok(visits > 5 * CLIENTS, `they came back: ${visits} visits`)
    for (const [i, hopper] of hoppers.entries()) {
      const { faults, missed } = hopper.account(log.filter(({ topic }) => hopper.topics.includes(topic)))
      const gaps = hopper.received.filter(({ event }) => event === 'gap')
      t.strictSame({ faults: faults.slice(0, 5), missed, gaps }, { faults: [], missed: 0, gaps: [] }, `client ${i}, seed ${seed}`)
    }
    for (const server of servers) {
      await until('all streams are closed', async () => (await server.stats()).active === 0)
      const { replayed, gaps } = await server.stats()
      t.ok(replayed > 0 && gaps === 0, `${replayed} events replayed, ${gaps} gaps`)
    }
  })
})
