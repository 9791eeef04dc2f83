import { AssertionError, deepStrictEqual, strictEqual } from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import sse, { type CloseReason, type SSEStream } from '../../lib/index.js'
import { hubOf, type HubState } from '../helpers/subscriber.js'
import type { Follower } from './follower.js'
import { Model } from './model.js'

/** What a sequence is played on. */
export interface Setting {
  /** Of the log, events; 0: `history: false`. */
  size: number
  heartbeat: number
}

let worlds = 0

/** Waits until what is asserted holds. */
export async function soon (assert: () => void): Promise<void> {
  for (const end = performance.now() + 3_000; ; await turn()) {
    try {
      assert()
      return
    } catch (error) {
      if (!(error instanceof AssertionError) || performance.now() > end) throw error
    }
  }
}

/** An app that listens, and the clients that came to it. */
export class World {
  readonly socketPath = join(tmpdir(), `sse-${process.pid}-${++worlds}`)
  readonly app: FastifyInstance
  readonly followers: Array<Follower | undefined> = []
  /** The newest stream of each client. */
  readonly streams: Array<SSEStream | undefined> = []
  /** Why each stream was closed, as its route was told, and what its signal told. */
  readonly told = new Map<string, { reasons: Array<CloseReason | null>, aborted: number }>()
  /** What `onConnect` waits for when it has said hello. */
  greeting = Promise.resolve()
  /** Sends that wait for their client. */
  waiting = 0

  constructor (app: FastifyInstance) {
    this.app = app
  }

  static async open ({ size, heartbeat }: Setting): Promise<{ world: World, model: Model }> {
    const app = Fastify({ forceCloseConnections: true })
    // limits of time that no sequence reaches, of which nothing may be left either
    const limits = { idleTimeout: 3_600_000, maxLifetime: 3_600_000 }
    await app.register(sse, { ...limits, heartbeat, history: size === 0 ? false : { size }, maxBufferedBytes: 65_536, drain: { spread: 0 } })
    const world = new World(app)
    for (const overflow of ['disconnect', 'drop'] as const) {
      const onConnect = (request: FastifyRequest, stream: SSEStream) => world.#welcome(request, stream)
      const onDisconnect = (_request: FastifyRequest, stream: SSEStream) => world.#farewell(stream)
      const clientId = ({ headers }: FastifyRequest) => String(headers['x-client'])
      app.sseRoute<{ Params: { topics: string } }>(`/${overflow}/topics/:topics`, { overflow, clientId, onConnect, onDisconnect, topics: ({ params }) => params.topics.split(',') })
      app.sseRoute(`/${overflow}/plain`, { overflow, clientId, onConnect, onDisconnect })
      app.sseRoute(`/${overflow}/unnamed`, { overflow, onConnect, onDisconnect })
    }
    await app.listen({ path: world.socketPath })
    return { world, model: new Model(world.hub.newest, size) }
  }

  get hub (): HubState {
    return hubOf(this.app)
  }

  /** Waits until the clients have got what the model says, and all is counted so. */
  agree (model: Model): Promise<void> {
    return soon(() => {
      this.#compareClients(model)
      this.#compareCounts(model)
    })
  }

  /** Waits until those clients that read have got what the model says. */
  readersAgree (model: Model): Promise<void> {
    return soon(() => this.#compareClients(model))
  }

  /** Nothing is left once the app is closed. */
  async end (): Promise<void> {
    await this.app.close()
    const { streams, topics, clients, timers } = this.hub
    deepStrictEqual({ streams: streams.size, topics: topics.size, clients: clients.size, schedules: timers.size, sends: this.waiting },
      { streams: 0, topics: 0, clients: 0, schedules: 0, sends: 0 }, 'nothing is left')
  }

  async #welcome ({ headers }: FastifyRequest, stream: SSEStream): Promise<void> {
    this.streams[Number(headers['x-number'])] = stream
    const told = { reasons: [], aborted: 0 }
    this.told.set(stream.id, told)
    stream.signal.addEventListener('abort', () => { told.aborted++ })
    const { greeting } = this
    await stream.send('hello')
    await greeting
  }

  #farewell (stream: SSEStream): void {
    this.told.get(stream.id)?.reasons.push(stream.closeReason)
  }

  #compareClients (model: Model): void {
    for (const [number, { link, open, due }] of model.clients.entries()) {
      const follower = this.followers[number]
      if (follower === undefined || link === 'away') continue
      const got = follower.got.map(({ text }) => text)
      const all = due.map(({ text }) => text())
      deepStrictEqual(got, link === 'reading' ? all : all.slice(0, got.length), `what client ${number} got`)
      if (link === 'reading') strictEqual(follower.over, !open, `whether the response of client ${number} is over`)
    }
  }

  #compareCounts (model: Model): void {
    const { active, opened, resumed, closed } = this.app.sse.stats()
    const open = model.clients.filter((client) => client.open).length
    deepStrictEqual({ active, opened, resumed, closed }, { active: open, opened: model.opened, resumed: model.resumed, closed: model.closed }, 'what is counted')
    strictEqual(this.hub.streams.size, open, 'streams that are open')
    const told = Array.from(this.told.values())
    strictEqual(told.filter(({ reasons }) => reasons.length === 0).length, open, 'streams whose end is not told')
    strictEqual(told.filter(({ reasons }) => reasons.length > 1).length, 0, 'streams whose end is told twice')
    strictEqual(told.filter(({ reasons, aborted }) => reasons.length !== aborted).length, 0, 'streams whose signal tells otherwise')
  }
}
