// Tested by test/runs/resumable.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'
import { SSE_ERR_CLOSING, SSE_ERR_OPTION, SSE_ERR_RUN_BUSY, SSE_ERR_RUN_TOO_LARGE, describeValue } from '../errors.js'
import { encode } from '../event/encode.js'
import { nextTurn, sliceIsOver } from '../stream/time-slice.js'
import { isNonEmptyString } from '../topic.js'
import type { RunLimits, RunLog, RunStore, RunWriter, SSERun } from './store.js'

/** Applies if a run of the key is going on: `join` it, `refuse` the request, or `restart` it. */
export type OnBusy = 'join' | 'refuse' | 'restart'

/** The limits of a run, and what happens if one of its key is going on. */
export interface RunSettings extends RunLimits {
  onBusy: OnBusy
}

/** The second argument of the source of a run. */
export interface SSERunContext {
  /** The key of the run. */
  readonly key: string
  /** Aborts on `app.sse.stop`, `maxDuration`, `abandonAfter`, and when the app closes. Never because a reader has left. */
  readonly signal: AbortSignal
}

/** Reads a source of the application item by item. */
export interface ItemReader {
  next (): Promise<IteratorResult<unknown, undefined>>
  stop (): void
  readonly finished: Promise<void>
}

/** The code of the application that a run calls. */
export interface RunSource {
  /** Returns the source. May throw. */
  open (context: SSERunContext): ItemReader
  /** Returns an item as an encoded event without an `id:` line; `''` for an item without text. May throw. */
  encode (item: unknown): string
  /** The encoded event after the last item; `''` for none. */
  readonly end: string
  /** Called with the error that ends the run. Resolves to the encoded event after it, `''` for none; undefined: the event `error`. Never rejects. */
  onError (error: Error): Promise<string | undefined>
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
  /** The runs whose sources this process runs. Each function stops one. */
  readonly #stops = new Map<AbortController, Promise<void>>()
  #closing = false

  /** @param timeout the longest time that `close` waits for sources, ms */
  constructor (store: RunStore, log: FastifyBaseLogger, timeout: number) {
    this.#store = store
    this.#log = log
    this.#timeout = timeout
  }

  /** Starts a run of a key, or returns the one that is going on. @throws SSE_ERR_OPTION, SSE_ERR_RUN_BUSY, SSE_ERR_CLOSING, SSE_ERR_BACKPLANE */
  async begin (key: unknown, { onBusy, ...limits }: RunSettings): Promise<Begun> {
    const name = validKey(key)
    if (this.#closing) throw new SSE_ERR_CLOSING()
    const controller = new AbortController()
    const { log, writer } = await this.#store.start(name, limits, () => controller.abort(), onBusy === 'restart')
    if (writer === null && onBusy === 'refuse') throw new SSE_ERR_RUN_BUSY(describeValue(name))
    return { log, produce: writer && ((source) => { this.#track(controller, this.#produce(writer, source, limits, controller)) }) }
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
    await Promise.race([Promise.all(this.#stops.values()), real.wait(this.#timeout, undefined, { signal: timer.signal, ref: false }).catch(() => {})])
    timer.abort()
  }

  async close (): Promise<void> {
    await this.#store.close()
  }

  #track (controller: AbortController, run: Promise<void>): void {
    if (this.#closing) controller.abort()
    this.#stops.set(controller, run.finally(() => this.#stops.delete(controller)))
  }

  /** Runs a source to its end, and appends its events to the run. Never rejects. */
  async #produce (writer: RunWriter, source: RunSource, limits: RunLimits, controller: AbortController): Promise<void> {
    const { signal } = controller
    const timers = [setTimeout(() => controller.abort(), limits.maxDuration)]
    if (limits.abandonAfter > 0) this.#watchReaders(writer, limits.abandonAfter, controller, timers)
    let items: ItemReader | null = null
    const stop = () => items?.stop()
    signal.addEventListener('abort', stop)
    try {
      items = source.open({ key: writer.info.key, signal })
      if (signal.aborted) stop()
      await this.#readAll(items, writer, source, limits.maxBytes)
      await writer.end(signal.aborted ? 'stopped' : 'done', source.end)
    } catch (error) {
      stop()
      await this.#fail(error, writer, source, signal)
    } finally {
      for (const timer of timers) clearTimeout(timer)
      signal.removeEventListener('abort', stop)
      await items?.finished
    }
  }

  async #readAll (items: ItemReader, writer: RunWriter, source: RunSource, maxBytes: number): Promise<void> {
    let bytes = 0
    for (let item = await items.next(); !item.done; item = await items.next()) {
      const event = source.encode(item.value)
      if (event === '') continue
      bytes += Buffer.byteLength(event)
      if (bytes > maxBytes) throw new SSE_ERR_RUN_TOO_LARGE(maxBytes)
      const full = writer.append(event)
      if (full !== undefined) await full
      if (sliceIsOver()) await nextTurn()
    }
  }

  /** Ends a run whose source has failed, or whose events cannot be stored. A source that fails because it was stopped has not failed. */
  async #fail (thrown: unknown, writer: RunWriter, source: RunSource, { aborted }: AbortSignal): Promise<void> {
    const error = toError(thrown)
    try {
      if (aborted) {
        this.#log.debug({ err: error }, 'failed after its run was stopped')
        await writer.end('stopped', source.end)
      } else {
        await writer.end('failed', await source.onError(error) ?? encode({ event: 'error', data: { message: error.message } }))
      }
    } catch (err) {
      this.#log.error({ err }, 'the end of a run is not stored')
    }
  }

  /** Stops a run that no stream has read for `abandonAfter` ms. */
  #watchReaders (writer: RunWriter, abandonAfter: number, controller: AbortController, timers: NodeJS.Timeout[]): void {
    const check = async () => {
      const idle = await Promise.resolve(writer.idleFor()).catch(() => 0)
      if (controller.signal.aborted || writer.info.state !== 'running') return
      if (idle >= abandonAfter) controller.abort()
      else timers[1] = setTimeout(check, abandonAfter - idle)
    }
    timers[1] = setTimeout(check, abandonAfter)
  }
}

/** @throws SSE_ERR_OPTION */
function validKey (key: unknown): string {
  if (!isNonEmptyString(key)) throw new SSE_ERR_OPTION('key', 'a string that is not empty, which names a run', describeValue(key))
  return key
}
