// Tested by test/pubsub/hub.test.ts
import { type SSEStats, STATS, type StatsByRoute } from '../stats.js'
import type { StreamRegistry } from '../stream/registry.js'
import type { SSE } from '../app-types.js'
import type { SSEStream } from '../types.js'
import type { SSEPublication, SSEPublishOptions, Target } from '../topics/types.js'
import type { Hub } from './hub.js'
import type { SSERun } from '../runs/store.js'

/** The methods of `app.sse` for runs. */
export type RunMethods = Pick<SSE, 'start' | 'stop' | 'run'>

interface Internals {
  hub: Hub
  registry: StreamRegistry
}

const internals = new WeakMap<SSE, Internals>()

/** The object `app.sse`. It has only the public methods of the hub, which publishes events, and of the registry, which knows the open streams. */
export class Facade implements SSE {
  readonly streams: ReadonlyMap<string, SSEStream>
  readonly [STATS]: StatsByRoute
  readonly #hub: Hub
  readonly #runs: RunMethods

  constructor (hub: Hub, registry: StreamRegistry, stats: StatsByRoute, runs: RunMethods) {
    this.#hub = hub
    this.#runs = runs
    this.streams = registry.streams
    this[STATS] = stats
    internals.set(this, { hub, registry })
  }

  get lastEventId (): string {
    return this.#hub.newest
  }

  publish (topics: unknown, payload: unknown, options?: SSEPublishOptions): Promise<string> {
    return this.#hub.publish(topics, payload, options)
  }

  broadcast (payload: SSEPublication): Promise<string> {
    return this.#hub.broadcast(payload)
  }

  sendTo (clientId: string, payload: SSEPublication): Promise<string> {
    return this.#hub.sendTo(clientId, payload)
  }

  close (clientId: string): Promise<void> {
    return this.#hub.control('close', clientId)
  }

  unsubscribe (clientId: string, topic: Target): Promise<void> {
    return this.#hub.control('unsubscribe', clientId, topic)
  }

  start (...args: Parameters<SSE['start']>): Promise<SSERun> {
    return this.#runs.start(...args)
  }

  stop (key: string): Promise<boolean> {
    return this.#runs.stop(key)
  }

  run (key: string): Promise<SSERun | null> {
    return this.#runs.run(key)
  }

  stats (): SSEStats {
    return this[STATS].total()
  }
}

/** Returns the hub and the registry of an `app.sse`, for tests of the state that they keep. Undefined for an object that is no `Facade`. */
export function internalsOf (sse: SSE): Internals | undefined {
  return internals.get(sse)
}
