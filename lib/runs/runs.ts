// Tested by test/runs/resumable.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'
import { SSE_ERR_CLOSING, SSE_ERR_OPTION, SSE_ERR_RUN_BUSY, describeValue } from '../errors.js'
import type { RunStats } from '../stats.js'
import { isNonEmptyString } from '../topic.js'
import { RunProducer, type RunSource } from './producer.js'
import type { RunLimits, RunLog, RunStore, SSERun } from './store.js'

/** Applies if a run of the key is going on: `join` it, `refuse` the request, or `restart` it. */
export type OnBusy = 'join' | 'refuse' | 'restart'

/** The limits of a run, and what happens if one of its key is going on. */
export interface RunSettings extends RunLimits {
  onBusy: OnBusy
}

/** A run that was started or found. */
export interface Begun {
  readonly log: RunLog
  /** Runs the source. Has to be called once. Null if the run was going on. */
  readonly produce: ((source: RunSource) => void) | null
}

/** The runs that the routes and `app.sse.start` of one plugin start, read and stop. */
export class Runs {
  readonly #store: RunStore
  readonly #log: FastifyBaseLogger
  readonly #timeout: number
  readonly stats: RunStats
  /** The runs whose sources this process runs. Each function stops one. */
  readonly #stops = new Map<AbortController, Promise<void>>()
  #closing = false

  /** @param timeout the longest time that `close` waits for sources, ms */
  constructor (store: RunStore, log: FastifyBaseLogger, timeout: number, stats: RunStats) {
    this.#store = store
    this.#log = log
    this.#timeout = timeout
    this.stats = stats
  }

  /** Starts a run of a key, or returns the one that is going on. @throws SSE_ERR_OPTION, SSE_ERR_RUN_BUSY, SSE_ERR_CLOSING, SSE_ERR_BACKPLANE */
  async begin (key: unknown, { onBusy, ...limits }: RunSettings): Promise<Begun> {
    const name = validKey(key)
    if (this.#closing) throw new SSE_ERR_CLOSING()
    const controller = new AbortController()
    const { log, writer } = await this.#store.start(name, limits, () => controller.abort(), onBusy === 'restart')
    if (writer === null && onBusy === 'refuse') throw new SSE_ERR_RUN_BUSY(describeValue(name))
    return { log, produce: writer && ((source) => { this.#track(controller, new RunProducer(writer, source, limits, controller, this.#log, this.stats).run()) }) }
  }

  /** Returns the newest run of a key; null if there is none. @throws SSE_ERR_OPTION, SSE_ERR_BACKPLANE */
  async find (key: unknown): Promise<RunLog | null> {
    return this.#store.find(validKey(key))
  }

  /** @throws SSE_ERR_OPTION, SSE_ERR_BACKPLANE */
  async info (key: unknown): Promise<SSERun | null> {
    return (await this.find(key))?.info ?? null
  }

  /** Stops the run of a key. Resolves to whether one was going on. @throws SSE_ERR_OPTION, SSE_ERR_BACKPLANE */
  async stop (key: unknown): Promise<boolean> {
    return this.#store.stop(validKey(key))
  }

  /** Stops the sources of this process, and waits for their ends. Later calls of `begin` reject. */
  async stopAll (): Promise<void> {
    this.#closing = true
    for (const controller of this.#stops.keys()) controller.abort()
    const timer = new AbortController()
    await Promise.race([Promise.all(this.#stops.values()), real.wait(this.#timeout, undefined, { signal: timer.signal }).catch(() => {})])
    timer.abort()
  }

  async close (): Promise<void> {
    await this.#store.close()
  }

  #track (controller: AbortController, run: Promise<void>): void {
    if (this.#closing) controller.abort()
    this.#stops.set(controller, run.finally(() => this.#stops.delete(controller)))
  }
}

/** @throws SSE_ERR_OPTION */
function validKey (key: unknown): string {
  if (!isNonEmptyString(key)) throw new SSE_ERR_OPTION('key', 'a string that is not empty, which names a run', describeValue(key))
  return key
}
