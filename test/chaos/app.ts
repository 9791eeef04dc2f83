import type { Socket } from 'node:net'
import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { createParser } from 'eventsource-parser'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import type { Test } from 'tap'
import sse, { type SSEStream } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, until } from '../helpers/app.js'
import { hubOf, type HubState } from '../helpers/subscriber.js'

/** A route of each kind. `/post` takes a body. */
export const KINDS = ['/interval', '/shared', '/source', '/topics', '/first', '/hand', '/post'] as const

/** More than the kernel takes for a client that does not read, bytes. */
const BIG = 12_000_000
const MAX_STREAMS = 150

/** Those who wait for a test to let them go on. */
class Gate {
  readonly #go: (() => void)[] = []

  get waiting (): number {
    return this.#go.length
  }

  pass (): Promise<void> {
    return new Promise((resolve) => { this.#go.push(resolve) })
  }

  open (): void {
    for (const go of this.#go.splice(0)) go()
  }
}

/** An app with every kind of route, and one client that must not notice what is done to the others. */
export class ChaosApp {
  readonly app: FastifyInstance
  readonly hub: HubState
  /** Where requests wait whose header `x-hold` says at what point. */
  readonly gate = new Gate()
  readonly sockets = new Set<Socket>()
  port = 0
  /** Called when a stream has opened, in its `onConnect`. */
  met: (stream: SSEStream) => void = () => {}
  /** How often each stream was told to have ended, by its id. */
  readonly #ends = new Map<string, number>()
  /** Sources that are neither at their end nor stopped. */
  #sources = 0
  /** What nobody handled, Node warned of, or the app logged as an error. */
  readonly #troubles: unknown[]
  readonly #big: string
  #published = 0
  readonly #witnessed: number[] = []
  #baseline: unknown
  #timer: NodeJS.Timeout | undefined

  private constructor (app: FastifyInstance, troubles: unknown[], big: number) {
    this.#big = 'x'.repeat(big)
    this.app = app
    this.hub = hubOf(app)
    this.#troubles = troubles
  }

  /**
   * @param server Fastify's options
   * @param witness connects a client to a path, and gives its response; of the app's protocol
   * @param big how many bytes are more than a client takes that does not read
   */
  static async start (t: Test, server: object, witness: (port: number, path: string) => Promise<NodeJS.ReadableStream>, big = BIG): Promise<ChaosApp> {
    const troubles: unknown[] = []
    // the 503 of those that wait for a first item while the app closes is one that Fastify logs
    const write = (line: string) => { if (!line.includes('"SSE_ERR_CLOSING"')) troubles.push(line) }
    const app: FastifyInstance = Fastify({ logger: { level: 'error', stream: { write } }, ...server })
    t.teardown(() => app.close())
    await app.register(sse, {
      heartbeat: 30,
      // more than Node takes before it says that enough is waiting, since broadcasts come on top
      maxBufferedBytes: 200_000,
      maxStreams: MAX_STREAMS,
      history: { size: 5_000 },
      clientId: ({ headers }) => String(headers['x-user'] ?? 'anybody')
    })
    const chaos = new ChaosApp(app, troubles, big)
    for (const event of ['warning', 'unhandledRejection']) {
      const note = (what: unknown) => { troubles.push(what) }
      process.on(event, note)
      t.teardown(() => process.off(event, note))
    }
    chaos.#addRoutes()
    app.server.on('connection', (socket: Socket) => {
      chaos.sockets.add(socket)
      socket.on('close', () => { chaos.sockets.delete(socket) })
    })
    chaos.port = await listen(app)
    const response = await witness(chaos.port, '/witness')
    response.setEncoding('utf8')
    const parser = createParser({ onEvent: ({ data }) => { chaos.#witnessed.push(Number.parseInt(data)) } })
    response.on('data', (text: string) => parser.feed(text)).on('error', (error) => { troubles.push(error) }).on('end', () => { troubles.push('the witness was sent away') })
    await until('the witness is there', () => chaos.hub.streams.size === 1)
    await until('its source too', () => chaos.hub.topics.has('feed'))
    chaos.#baseline = chaos.#state()
    chaos.#timer = setInterval(() => chaos.publish(), 5)
    t.teardown(() => clearInterval(chaos.#timer))
    return chaos
  }

  /** Publishes an event to the topic `feed`, or now and then to all. */
  publish (fill = ''): void {
    const data = `${this.#published++} ${fill}`
    const published = this.#published % 10 === 0 && fill === '' ? this.app.sse.broadcast(data) : this.app.sse.publish('feed', data)
    published.catch((error) => { this.#troubles.push(error) })
  }

  /** Publishes so many events of so many bytes, at the pace of the witness. */
  async flood (events: number, bytes: number): Promise<void> {
    for (let i = 0; i < events; i++) {
      this.publish('x'.repeat(bytes))
      if (i % 8 === 7) await this.#witnessHasAll()
    }
  }

  /** Fills the log with more than the kernel takes for a client; the id before that. */
  async fillLog (): Promise<string> {
    const id = await this.app.sse.publish('log', 'first')
    for (let i = 0; i < 600; i++) await this.app.sse.publish('log', `${i} ${this.#big.slice(0, 20_000)}`)
    return id
  }

  /** The streams beside the witness's. */
  get others (): number {
    return this.hub.streams.size - 1
  }

  get opened (): number {
    return this.app.sse.stats().opened - 1
  }

  /** Those of the open streams whose clients are behind. */
  get congested (): number {
    return [...this.hub.streams.values()].filter(({ needsDrain }) => needsDrain).length
  }

  /** That nothing is left of all others, and that the witness has everything. */
  async check (t: Test, fault: string): Promise<void> {
    this.met = () => {}
    const expected = JSON.stringify(this.#baseline)
    await until(fault, () => JSON.stringify(this.#state()) === expected, 8_000).catch(() => {})
    t.strictSame(this.#state(), this.#baseline, `nothing is left: ${fault}`)
    await this.#witnessHasAll()
    const wrong = this.#witnessed.findIndex((n, i) => n !== i)
    t.equal(wrong, -1, `the witness has all in order: ${fault}`)
  }

  /** That nothing is left, that there is room for as many streams as before, and that the app closes at once. */
  async end (t: Test): Promise<void> {
    await this.check(t, 'at the end')
    const places = Array.from({ length: MAX_STREAMS - 1 }, () => injectSSE(this.app, { url: '/interval' }))
    for (const stream of await Promise.all(places)) stream.close()
    await this.check(t, 'all places are free again')
    await this.close(t)
  }

  /** That the app closes at once, whatever is done to its clients meanwhile, tells its end to the witness, and has nothing left then. */
  async close (t: Test, meanwhile: () => unknown = () => {}): Promise<void> {
    clearInterval(this.#timer)
    await this.#witnessHasAll()
    const start = performance.now()
    const over = this.app.close()
    await meanwhile()
    await over
    const took = performance.now() - start
    // where it waits for a client that does not read, that takes 5 s
    t.ok(took < 4_000, `the app closes in ${Math.round(took)} ms`)
    await until('the witness has its end', () => this.#troubles.length > 0 && this.sockets.size === 0)
    await until('the sources that were held have ended', () => this.#sources === 0)
    t.strictSame(this.#state(), { streams: 0, topics: [], clients: [], schedules: 0, sockets: 0, sources: 0, waiting: 0, active: 0, notTold: 0, toldTwice: 0, troubles: ['the witness was sent away'] })
    const { closed, opened } = this.app.sse.stats()
    t.ok(closed.drain > 0)
    t.equal(Object.values(closed).reduce((sum, n) => sum + n), opened, `${opened} streams opened, and closed: ${JSON.stringify(closed)}`)
  }

  async #witnessHasAll (): Promise<void> {
    const upTo = this.#published
    await until(`the witness has ${upTo} events`, () => this.#witnessed.length >= upTo)
  }

  #state () {
    const { streams, topics, clients, timers } = this.hub
    const { active, opened, closed } = this.app.sse.stats()
    const over = Object.values(closed).reduce((sum, n) => sum + n)
    return {
      streams: streams.size,
      topics: Array.from(topics, ([topic, cursors]) => [topic, cursors.size]),
      clients: Array.from(clients, ([id, streams]) => [id, streams.size]),
      schedules: timers.size,
      sockets: this.sockets.size,
      sources: this.#sources,
      waiting: this.gate.waiting,
      active: active === opened - over ? active : NaN,
      notTold: over - this.#ends.size,
      toldTwice: [...this.#ends.values()].filter((times) => times !== 1).length,
      troubles: [...this.#troubles]
    }
  }

  #addRoutes (): void {
    const { app } = this
    const hold = async (request: FastifyRequest, where: string) => {
      if (request.headers['x-hold'] === where) await this.gate.pass()
    }
    const ended = ({ id }: SSEStream) => { this.#ends.set(id, (this.#ends.get(id) ?? 0) + 1) }
    app.addHook('preHandler', (request) => hold(request, 'preHandler'))
    app.addHook('onSend', (request) => hold(request, 'onSend'))
    const common = {
      onConnect: async (request: FastifyRequest, stream: SSEStream) => {
        this.met(stream)
        await hold(request, 'onConnect')
      },
      onDisconnect: (_request: FastifyRequest, stream: SSEStream) => ended(stream)
    }
    const items = async function * (chaos: ChaosApp, { signal }: SSEStream, item: () => string, pause: () => Promise<unknown>) {
      chaos.#sources++
      try {
        while (!signal.aborted) {
          yield item()
          await pause()
        }
      } finally {
        chaos.#sources--
      }
    }
    const slowly = (stream: SSEStream) => items(this, stream, () => 'item', () => wait(3))

    app.sseRoute('/witness', { topics: ['feed'], maxBufferedBytes: 1e9, onDisconnect: common.onDisconnect })
    app.sseRoute('/interval', { ...common, interval: 3, payload: () => 'tick' })
    app.sseRoute('/shared', { ...common, interval: 3, shared: ({ headers }) => String(headers['x-user']), payload: () => 'tick' })
    app.sseRoute('/source', { ...common, source: (_request, stream) => slowly(stream) })
    app.sseRoute('/first', {
      ...common,
      openOn: 'first-event',
      source: async function * (this: FastifyInstance, request, stream) {
        await hold(request, 'source')
        yield * slowly(stream)
      }
    })
    app.sseRoute('/topics', { ...common, topics: async (request) => { await hold(request, 'topics'); return ['feed', 'others'] } })
    app.sseRoute({ ...common, method: 'POST', url: '/post', source: async function * ({ body }, stream) { yield { event: 'body', data: body }; yield * slowly(stream) } })
    app.get('/hand', async (_request, reply) => {
      const stream = reply.sse()
      stream.signal.addEventListener('abort', () => { if (app.sse.streams.has(stream.id)) ended(stream) })
      stream.subscribe('feed')
      this.met(stream)
    })

    app.sseRoute('/flood', { ...common, source: (_request, stream) => items(this, stream, () => this.#big.slice(0, 10_000), turn) })
    app.sseRoute('/replay', { ...common, topics: ['log'] })
    const sendBig = (stream: SSEStream) => {
      this.met(stream)
      stream.send(this.#big).catch((error) => { this.#troubles.push(error) })
    }
    // what is sent to all must not make them overflow
    const unbounded = { ...common, maxBufferedBytes: 1e9 }
    app.sseRoute('/big', { ...unbounded, onConnect: (_request, stream) => sendBig(stream) })
    app.sseRoute('/lifetime', { ...unbounded, maxLifetime: 300, onConnect: (_request, stream) => sendBig(stream) })
    app.sseRoute('/ends', { ...unbounded, onConnect: (_request, stream) => { sendBig(stream); stream.close() } })
    app.sseRoute('/drops', { ...common, topics: ['feed'], overflow: 'drop' })
    app.sseRoute('/items', { ...common, source: () => ['one', 'two'] })
    app.get('/json', async () => ({ plain: true }))
  }
}
