import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import type { SSEPluginOptions } from '../../lib/index.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { hubOf } from '../helpers/subscriber.js'
import { Hopper, TOPICS } from './hopper.js'
import { type Random, randomFrom, seed } from './random.js'
import type { Published } from './subscriber.js'
import { addTopicRoutes, PATHS } from './topic-routes.js'

const CLIENTS = 50
const EVENTS = 5_000

/** Creates an app with every kind of subscription, and routes that publish. */
async function start (t: Test, options: SSEPluginOptions): Promise<{ app: FastifyInstance, port: number }> {
  const app = await makeApp(t, { maxBufferedBytes: 4_096, heartbeat: 100, ...options })
  addTopicRoutes(app)
  return { app, port: await listen(app) }
}

/** Publishes events on all topics from several loops at the same time. */
class Publishers {
  readonly published: Array<Published & { topic: string }> = []
  readonly #app: FastifyInstance
  readonly #port: number
  readonly #random: Random
  #n = 0

  constructor (app: FastifyInstance, port: number, random: Random) {
    this.#app = app
    this.#port = port
    this.#random = random
  }

  async run (): Promise<void> {
    const tasks = Array.from({ length: 4 }, () => this.#task(1_000))
    const requests = Array.from({ length: 2 }, () => this.#requests(200))
    await Promise.all([...tasks, ...requests, this.#bursts(10, 60)])
    this.published.sort((a, b) => compareEventIds(a.id, b.id))
  }

  async #task (events: number): Promise<void> {
    for (let i = 0; i < events; i++) {
      await this.#publish(this.#text(100))
      await wait(this.#random(6))
    }
  }

  async #requests (events: number): Promise<void> {
    for (let i = 0; i < events; i++) {
      await this.#publish(this.#text(100), async (topic, body) => {
        const url = `http://127.0.0.1:${this.#port}/topics/${topic}`
        const response = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'text/plain' } })
        return response.text()
      })
      await wait(this.#random(30))
    }
  }

  /** Publishes some events on few topics within one tick. */
  async #bursts (bursts: number, events: number): Promise<void> {
    for (let i = 0; i < bursts; i++) {
      const topics = [this.#topic(), this.#topic()]
      await Promise.all(Array.from({ length: events }, (_, i) => this.#publish(this.#text(600, 600), undefined, topics[i % 2])))
      await wait(200 + this.#random(300))
    }
  }

  async #publish (data: string, how = (topic: string, data: string) => this.#app.sse.publish(topic, data), topic = this.#topic()): Promise<void> {
    this.published.push({ topic, data, id: await how(topic, data) })
  }

  #topic (): string {
    return TOPICS[this.#random(TOPICS.length)] ?? ''
  }

  /** Creates a unique text of one to three lines, with characters of one to four bytes. */
  #text (spread: number, least = 0): string {
    const text = `${this.#n++} ${'aé€𝄞'.repeat((least + this.#random(spread)) / 5)}`
    return text + '\n…'.repeat(this.#random(3))
  }
}

/** Lets clients hop while events are published. Returns the events, and the clients once they have the last one. */
async function storm (t: Test, options: SSEPluginOptions, paths: string[]) {
  const { app, port } = await start(t, options)
  const hoppers = Array.from({ length: CLIENTS }, (_, i) => new Hopper(() => port, paths[i % paths.length] ?? '', randomFrom(seed + i)))
  t.teardown(() => { for (const hopper of hoppers) hopper.finish('') })
  const publishers = new Publishers(app, port, randomFrom(seed - 1))
  await Promise.all(hoppers.map((hopper) => hopper.start()))
  const runs = Promise.all(hoppers.map((hopper) => hopper.run()))
  await publishers.run()
  const { published } = publishers
  for (const hopper of hoppers) hopper.finish(published.at(-1)?.id ?? '')
  await runs

  t.equal(published.length, EVENTS, 'all were published')
  const hub = hubOf(app)
  await until('all streams are closed', () => app.sse.streams.size === 0)
  t.match({ topics: hub.topics.size, clients: hub.clients.size, schedules: hub.timers.size }, { topics: 0, clients: 0, schedules: 0 }, 'no stream is left')
  const stats = app.sse.stats()
  t.equal(stats.active, 0, 'all are counted as closed')
  t.ok(stats.opened > 10 * CLIENTS, `they came back: ${stats.opened} streams`)
  t.ok(stats.replayed > CLIENTS, `they had missed events: ${stats.replayed}`)
  t.equal(stats.closed.overflow, 0, 'clients that fall behind read on from the log')

  let missed = 0
  for (const [i, hopper] of hoppers.entries()) {
    const account = hopper.account(published.filter(({ topic }) => hopper.topics.includes(topic)))
    t.strictSame(account.faults.slice(0, 5), [], `client ${i}, seed ${seed}`)
    missed += account.missed
  }
  return { missed, stats }
}

test('50 clients that disconnect and reconnect get exactly the events of their topics, in order', async (t) => {
  const { missed, stats } = await storm(t, { history: { size: EVENTS } }, PATHS)
  t.match({ missed, gaps: stats.gaps, dropped: stats.dropped }, { missed: 0, gaps: 0, dropped: 0 }, `seed ${seed}`)
})

test('with a history that is too short each loss is announced by a gap', async (t) => {
  const { missed, stats } = await storm(t, { history: { size: 100 } }, [...PATHS, '/dropping'])
  t.ok(missed > 100 && stats.gaps > 10 && stats.dropped > 0, `${missed} events missed, ${stats.gaps} gaps, ${stats.dropped} events dropped, seed ${seed}`)
})
