import { AssertionError, deepStrictEqual, strictEqual } from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify, { type FastifyInstance, type FastifyRequest } from 'fastify'
import sse, { type CloseReason, type SSEStream } from '../../lib/index.js'
import { hubOf, type HubState } from '../helpers/subscriber.js'
import type { Follower } from './follower.js'
import { Log } from './log.js'
import { Model, type Overflow, type Rewind, REWINDS, type Route } from './model.js'
import { type TestedLog, ObservedBackplane } from './observed-backplane.js'

/** The settings of the app on which a sequence runs. */
export interface Setting {
  /** Number of events that are kept of each topic, each client id and the broadcasts; 0: `history: false`. */
  size: number
  heartbeat: number
  /** Memory that the process may use for kept events, bytes. */
  maxBytes?: number | undefined
}

let worlds = 0

/** The path of a route. @param topics separated by commas */
export function pathOf (overflow: Overflow, route: Route, topics = '', rewind: Rewind = 0): string {
  return route === 'topics' ? `/${overflow}/topics/${rewind}/${topics}` : `/${overflow}/${route}`
}

/** Waits until an assertion holds. */
export async function soon (assert: () => void): Promise<void> {
  for (const end = performance.now() + 10_000; ; await turn()) {
    try {
      assert()
      return
    } catch (error) {
      if (!(error instanceof AssertionError) || performance.now() > end) throw error
    }
  }
}

/** A listening app and its clients. */
export class World {
  readonly socketPath = join(tmpdir(), `sse-${process.pid}-${++worlds}`)
  readonly app: FastifyInstance
  readonly backplane: ObservedBackplane
  readonly followers: Array<Follower | undefined> = []
  /** The newest stream of each client. */
  readonly streams: Array<SSEStream | undefined> = []
  /** The close reason of each stream, as its route got it, and whether its signal was aborted. */
  readonly told = new Map<string, { reasons: Array<CloseReason | null>, aborted: number }>()
  /** The promise that `onConnect` awaits after its first event. */
  greeting = Promise.resolve()
  /** Pending calls of `send`. */
  waiting = 0

  constructor (app: FastifyInstance, backplane: ObservedBackplane) {
    this.app = app
    this.backplane = backplane
  }

  static async open ({ size, heartbeat, maxBytes = 67_108_864 }: Setting, log: TestedLog): Promise<{ world: World, model: Model }> {
    const app = Fastify({ forceCloseConnections: true })
    // timeouts that no sequence reaches, and whose timers must not be left either
    const limits = { idleTimeout: 3_600_000, maxLifetime: 3_600_000 }
    const backplane = new ObservedBackplane(log)
    const history = size === 0 ? false : { size, maxBytes }
    await app.register(sse, { ...limits, heartbeat, history, maxBufferedBytes: 65_536, drain: { spread: 0 }, backplane: backplane.factory })
    const world = new World(app, backplane)
    for (const overflow of ['replay', 'disconnect', 'drop'] as const) {
      const onConnect = (request: FastifyRequest, stream: SSEStream) => world.#welcome(request, stream)
      const onDisconnect = (_request: FastifyRequest, stream: SSEStream) => world.#farewell(stream)
      const clientId = ({ headers }: FastifyRequest) => String(headers['x-client'])
      for (const rewind of REWINDS) {
        app.sseRoute<{ Params: { topics: string } }>(pathOf(overflow, 'topics', ':topics', rewind), {
          overflow, rewind, clientId, onConnect, onDisconnect, topics: ({ params }) => params.topics.split(',')
        })
      }
      app.sseRoute(pathOf(overflow, 'plain'), { overflow, clientId, onConnect, onDisconnect })
      app.sseRoute(pathOf(overflow, 'unnamed'), { overflow, onConnect, onDisconnect })
    }
    await app.listen({ path: world.socketPath })
    return { world, model: new Model(new Log(world.hub.newest, size, log.isRemote ? () => world.hub.oldestId : null)) }
  }

  get hub (): HubState {
    return hubOf(this.app)
  }

  /** Waits until the clients have the events of the model, and the stats agree. */
  async agree (model: Model): Promise<void> {
    // a stream may have sent all events before its replay has read up to the newest entry
    if (this.backplane.isRemote) {
      await soon(() => this.#compareClients(model))
      await this.backplane.idle()
    }
    await soon(() => {
      this.#compareClients(model)
      this.#compareCounts(model)
    })
  }

  /** Waits until the clients that read have the events of the model. */
  readersAgree (model: Model): Promise<void> {
    return soon(() => this.#compareClients(model))
  }

  /** Asserts that nothing is left after the app is closed. */
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
    strictEqual(this.hub.newest, model.log.idAt(model.log.newest), 'the newest entry that the process has received')
    for (const [number, { link, open, due, catchesUp }] of model.clients.entries()) {
      const follower = this.followers[number]
      if (follower === undefined || link === 'away' || catchesUp) continue
      const { got } = follower
      const all = due.map(({ text, after }, i) => [text(got[i]?.before ?? ''), after?.() ?? got[i]?.before])
      const expected = link === 'reading' ? all : all.slice(0, got.length)
      deepStrictEqual(got.map(({ text, after }) => [text, after]), expected, `the events of client ${number}, with its last event id after each`)
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
