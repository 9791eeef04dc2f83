import { type Readable, Transform } from 'node:stream'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance, FastifyRequest, onSendAsyncHookHandler } from 'fastify'
import { type Test, test } from 'tap'
import { compareEventIds } from '../../lib/event-id.js'
import type { Hub } from '../../lib/hub.js'
import type { SSEPluginOptions } from '../../lib/index.js'
import { listen, makeApp, until } from '../harness.js'
import { type Published, Subscriber } from './subscriber.js'

const CLIENTS = 50
const EVENTS = 5_000
const TOPICS = Array.from({ length: 10 }, (_, i) => `topic-${i}`)

/** What was chosen at random can be chosen again; when what happens is not up to it. */
const seed = Number(process.env.SEED ?? Date.now() % 1_000_000)

/** Whole numbers from 0 up to below `limit`, the same for the same seed (mulberry32). */
type Random = (limit: number) => number

function randomFrom (seed: number): Random {
  let state = seed
  return (limit) => {
    state = (state + 0x6D2B79F5) | 0
    let bits = Math.imul(state ^ (state >>> 15), state | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return Math.floor(((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32 * limit)
  }
}

/** Takes its time, so that of a burst more has to wait than may, also where the client reads. */
const onSend: onSendAsyncHookHandler<unknown> = async (_request, _reply, payload) =>
  (payload as Readable).pipe(new Transform({ transform: (chunk, _encoding, done) => { setImmediate(done, null, chunk) } }))

/** An app that can be subscribed to in every way, and published to by requests. */
async function start (t: Test, options: SSEPluginOptions): Promise<{ app: FastifyInstance, port: number }> {
  const app = await makeApp(t, { maxBufferedBytes: 4_096, heartbeat: 100, ...options })
  const topics = (request: FastifyRequest) => request.url.replace(/^.*\?/, '').split(',')
  app.sseRoute('/declared', { topics })
  app.sseRoute('/awaited', { topics: async (request) => { await turn(); return topics(request) } })
  app.sseRoute('/narrow', { topics, onSend })
  app.sseRoute('/greeted', { onConnect: (request, stream) => stream.subscribe(...topics(request)) })
  app.get('/by-hand', (request, reply) => reply.sse().subscribe(...topics(request)))
  app.sseRoute('/dropping', { topics, onSend, overflow: 'drop' })
  app.post('/topics/:topic', async (request) => app.sse.publish((request.params as { topic: string }).topic, String(request.body)))
  return { app, port: await listen(app) }
}

/** Events on all topics, from many places at once. */
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

  /** Some events on few topics within one tick. */
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

  /** One to three lines, no two the same, with characters of one to four bytes. */
  #text (spread: number, least = 0): string {
    const text = `${this.#n++} ${'aé€𝄞'.repeat((least + this.#random(spread)) / 5)}`
    return text + '\n…'.repeat(this.#random(3))
  }
}

/** A client that drops at random, perhaps in the middle of an event, and comes back. */
class Hopper extends Subscriber {
  readonly topics: readonly string[]
  readonly #random: Random
  readonly #slow: boolean
  /** The newest event, once all are published: then it stays until it has that. */
  #newest: string | null = null

  constructor (port: number, path: string, random: Random) {
    const topics = TOPICS.filter(() => random(3) === 0)
    if (topics.length === 0) topics.push(TOPICS[random(TOPICS.length)] ?? '')
    super(port, `${path}?${topics.join()}`)
    this.topics = topics
    this.#random = random
    this.#slow = random(5) === 0
  }

  /** Comes for the first time, so that it holds an id. */
  async start (): Promise<void> {
    await this.visit((text) => {
      queueMicrotask(() => this.leave())
      return text
    })
  }

  async run (): Promise<void> {
    while (this.#newest === null || this.lastEventId !== this.#newest) {
      await (this.#newest === null ? this.#hop() : this.#stay())
    }
  }

  finish (newest: string): void {
    this.#newest = newest
    this.leave()
  }

  /** Goes, perhaps for long, and comes back until so much time or so many characters are over. */
  async #hop (): Promise<void> {
    const random = this.#random
    await wait(random(12) === 0 ? 300 + random(700) : random(150))
    let left = random(2) === 0 ? random(100_000) : Infinity
    let timer = random(8) === 0 ? setTimeout(() => this.leave(), random(5)) : undefined
    await this.visit((text, response) => {
      timer ??= setTimeout(() => this.leave(), random(700))
      const read = text.slice(0, Math.max(0, left))
      left -= text.length
      if (left <= 0) this.leave()
      else if (this.#slow) this.#rest(response)
      return read
    })
    clearTimeout(timer)
  }

  async #stay (): Promise<void> {
    await this.visit((text) => {
      queueMicrotask(() => { if (this.lastEventId === this.#newest) this.leave() })
      return text
    })
  }

  #rest (response: NonNullable<Subscriber['response']>): void {
    response.pause()
    setTimeout(() => response.resume(), this.#random(100))
  }
}

/** Lets clients hop while events are published; all that was published, and the clients when they have come to its end. */
async function storm (t: Test, options: SSEPluginOptions, paths: string[]) {
  const { app, port } = await start(t, options)
  const hoppers = Array.from({ length: CLIENTS }, (_, i) => new Hopper(port, paths[i % paths.length] ?? '', randomFrom(seed + i)))
  t.teardown(() => { for (const hopper of hoppers) hopper.finish('') })
  const publishers = new Publishers(app, port, randomFrom(seed - 1))
  await Promise.all(hoppers.map((hopper) => hopper.start()))
  const runs = Promise.all(hoppers.map((hopper) => hopper.run()))
  await publishers.run()
  const { published } = publishers
  for (const hopper of hoppers) hopper.finish(published.at(-1)?.id ?? '')
  await runs

  t.equal(published.length, EVENTS, 'all were published')
  const hub = app.sse as Hub
  await until('all streams are closed', () => app.sse.streams.size === 0)
  t.match({ topics: hub.topics.size, clients: hub.clients.size, schedules: hub.schedules.size }, { topics: 0, clients: 0, schedules: 0 }, 'no stream is left')
  const stats = app.sse.stats()
  t.equal(stats.active, 0, 'all are counted as closed')
  t.ok(stats.opened > 10 * CLIENTS, `they came back: ${stats.opened} streams`)
  t.ok(stats.replayed > CLIENTS, `they had missed events: ${stats.replayed}`)
  t.ok(stats.closed.overflow > 0, `they fell behind: ${stats.closed.overflow}`)

  let missed = 0
  for (const [i, hopper] of hoppers.entries()) {
    const account = hopper.account(published.filter(({ topic }) => hopper.topics.includes(topic)))
    t.strictSame(account.faults.slice(0, 5), [], `client ${i}, seed ${seed}`)
    missed += account.missed
  }
  return { missed, stats }
}

test('50 clients that drop and come back get exactly the events of their topics, in order', async (t) => {
  const { missed, stats } = await storm(t, { history: { size: EVENTS } }, ['/declared', '/awaited', '/greeted', '/by-hand', '/narrow'])
  t.match({ missed, gaps: stats.gaps, dropped: stats.dropped }, { missed: 0, gaps: 0, dropped: 0 }, `seed ${seed}`)
})

test('with too short a history each hole is announced by a gap', async (t) => {
  const { missed, stats } = await storm(t, { history: { size: 100 } }, ['/declared', '/awaited', '/greeted', '/by-hand', '/narrow', '/dropping'])
  t.ok(missed > 100 && stats.gaps > 10 && stats.dropped > 0, `${missed} events missed, ${stats.gaps} gaps, ${stats.dropped} events dropped, seed ${seed}`)
})
