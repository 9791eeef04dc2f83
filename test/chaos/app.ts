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
export const KINDS = ['/interval', '/shared', '/source', '/topics', '/first', '/reply', '/post'] as const

/** Exceeds what the kernel buffers for a client that does not read, bytes. */
const BIG = 12_000_000
const MAX_STREAMS = 150

/** Holds requests until a test releases them. */
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

/** An app with every kind of route and one client, the witness. What the tests do to other clients must not affect the witness. */
export class ChaosApp {
  readonly app: FastifyInstance
  readonly hub: HubState
  /** Holds requests whose header `x-hold` names a point to wait at. */
  readonly gate = new Gate()
  readonly sockets = new Set<Socket>()
  port = 0
  /** Called when a stream has opened, in its `onConnect`. */
  onOpen: (stream: SSEStream) => void = () => {}
  /** Number of onDisconnect calls per stream id. */
  readonly #ends = new Map<string, number>()
  /** Number of sources that have neither ended nor been stopped. */
  #sources = 0
  /** Unhandled rejections, warnings of Node, and errors in the log of the app. */
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
   * @param server options of Fastify
   * @param witness connects a client to a path and returns its response, in the protocol of the app
   * @param big number of bytes that exceeds what is buffered for a client that does not read
   */
  static async start (t: Test, server: object, witness: (port: number, path: string) => Promise<NodeJS.ReadableStream>, big = BIG): Promise<ChaosApp> {
    const troubles: unknown[] = []
    // Fastify logs the 503 of requests that wait for a first item while the app closes
    const write = (line: string) => { if (!line.includes('"SSE_ERR_CLOSING"')) troubles.push(line) }
    const app: FastifyInstance = Fastify({ logger: { level: 'error', stream: { write } }, ...server })
    t.teardown(() => app.close())
    await app.register(sse, {
      heartbeat: 30,
      // exceeds the high water mark of Node, because broadcasts are added
      maxBufferedBytes: 200_000,
      overflow: 'disconnect',
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
    response.on('data', (text: string) => parser.feed(text)).on('error', (error) => { troubles.push(error) }).on('end', () => { troubles.push('the response of the witness ended') })
    await until('the stream of the witness', () => chaos.hub.streams.size === 1)
    await until('the subscription of the witness', () => chaos.hub.topics.has('feed'))
    chaos.#baseline = chaos.#state()
    chaos.#timer = setInterval(() => chaos.publish(), 5)
    t.teardown(() => clearInterval(chaos.#timer))
    return chaos
  }

  /** Publishes an event to the topic `feed`; every tenth one is a broadcast. */
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

  /** Fills the log with more than the kernel buffers for a client. Returns the id before these events. */
  async fillLog (): Promise<string> {
    const id = await this.app.sse.publish('log', 'first')
    for (let i = 0; i < 600; i++) await this.app.sse.publish('log', `${i} ${this.#big.slice(0, 20_000)}`)
    return id
  }

  /** Number of streams besides that of the witness. */
  get otherStreams (): number {
    return this.hub.streams.size - 1
  }

  get opened (): number {
    return this.app.sse.stats().opened - 1
  }

  /** Number of open streams whose clients are slow. */
  get slowStreams (): number {
    return [...this.hub.streams.values()].filter(({ needsDrain }) => needsDrain).length
  }

  /** Asserts that nothing remains of all other clients, and that the witness has every event. */
  async check (t: Test, fault: string): Promise<void> {
    this.onOpen = () => {}
    const expected = JSON.stringify(this.#baseline)
    await until(fault, () => JSON.stringify(this.#state()) === expected, 8_000).catch(() => {})
    t.strictSame(this.#state(), this.#baseline, `nothing remains: ${fault}`)
    await this.#witnessHasAll()
    const wrong = this.#witnessed.findIndex((n, i) => n !== i)
    t.equal(wrong, -1, `the witness has all events in order: ${fault}`)
  }

  /** Asserts that nothing remains, that as many streams as before can open, and that the app closes at once. */
  async end (t: Test): Promise<void> {
    await this.check(t, 'at the end')
    const places = Array.from({ length: MAX_STREAMS - 1 }, () => injectSSE(this.app, { url: '/interval' }))
    for (const stream of await Promise.all(places)) stream.close()
    await this.check(t, 'all places are free again')
    await this.close(t)
  }

  /** Asserts that the app closes at once, whatever happens to its clients meanwhile, that the response of the witness ends, and that nothing remains. */
  async close (t: Test, meanwhile: () => unknown = () => {}): Promise<void> {
    clearInterval(this.#timer)
    await this.#witnessHasAll()
    const start = performance.now()
    const over = this.app.close()
    await meanwhile()
    await over
    const took = performance.now() - start
    // waiting for a client that does not read would take 5 s
    t.ok(took < 4_000, `the app closes in ${Math.round(took)} ms`)
    await until('the end of the witness', () => this.#troubles.length > 0 && this.sockets.size === 0)
    await until('the held sources to end', () => this.#sources === 0)
    t.strictSame(this.#state(), { streams: 0, topics: [], clients: [], timerLists: 0, sockets: 0, sources: 0, waiting: 0, active: 0, missingCalls: 0, repeatedCalls: 0, troubles: ['the response of the witness ended'] })
    const { closed, opened } = this.app.sse.stats()
    t.ok(closed.drain > 0)
    t.equal(Object.values(closed).reduce((sum, n) => sum + n), opened, `${opened} streams opened, and closed: ${JSON.stringify(closed)}`)
  }

  async #witnessHasAll (): Promise<void> {
    const upTo = this.#published
    await until(`the witness to have ${upTo} events`, () => this.#witnessed.length >= upTo)
  }

  #state () {
    const { streams, topics, clients, timers } = this.hub
    const { active, opened, closed } = this.app.sse.stats()
    const over = Object.values(closed).reduce((sum, n) => sum + n)
    return {
      streams: streams.size,
      topics: Array.from(topics, ([topic, cursors]) => [topic, cursors.size]),
      clients: Array.from(clients, ([id, streams]) => [id, streams.size]),
      timerLists: timers.size,
      sockets: this.sockets.size,
      sources: this.#sources,
      waiting: this.gate.waiting,
      active: active === opened - over ? active : NaN,
      missingCalls: over - this.#ends.size,
      repeatedCalls: [...this.#ends.values()].filter((times) => times !== 1).length,
      troubles: [...this.#troubles]
    }
  }

  #addRoutes (): void {
    const { app } = this
    const hold = async (request: FastifyRequest, where: string) => {
      if (request.headers['x-hold'] === where) await this.gate.pass()
    }
    const countEnd = ({ id }: SSEStream) => { this.#ends.set(id, (this.#ends.get(id) ?? 0) + 1) }
    app.addHook('preHandler', (request) => hold(request, 'preHandler'))
    app.addHook('onSend', (request) => hold(request, 'onSend'))
    const common = {
      onConnect: async (request: FastifyRequest, stream: SSEStream) => {
        this.onOpen(stream)
        await hold(request, 'onConnect')
      },
      onDisconnect: (_request: FastifyRequest, stream: SSEStream) => countEnd(stream)
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
    app.get('/reply', async (_request, reply) => {
      const stream = reply.sse()
      stream.signal.addEventListener('abort', () => { if (app.sse.streams.has(stream.id)) countEnd(stream) })
      stream.subscribe('feed')
      this.onOpen(stream)
    })

    app.sseRoute('/flood', { ...common, source: (_request, stream) => items(this, stream, () => this.#big.slice(0, 10_000), turn) })
    app.sseRoute('/replay', { ...common, topics: ['log'] })
    const sendBig = (stream: SSEStream) => {
      this.onOpen(stream)
      stream.send(this.#big).catch((error) => { this.#troubles.push(error) })
    }
    // broadcasts must not exceed the limit of these streams
    const unbounded = { ...common, maxBufferedBytes: 1e9 }
    app.sseRoute('/big', { ...unbounded, onConnect: (_request, stream) => sendBig(stream) })
    app.sseRoute('/lifetime', { ...unbounded, maxLifetime: 300, onConnect: (_request, stream) => sendBig(stream) })
    app.sseRoute('/ends', { ...unbounded, onConnect: (_request, stream) => { sendBig(stream); stream.close() } })
    app.sseRoute('/drops', { ...common, topics: ['feed'], overflow: 'drop' })
    app.sseRoute('/items', { ...common, source: () => ['one', 'two'] })
    app.get('/json', async () => ({ plain: true }))
  }
}
