// Tested by test/runs/resumable.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { SSE_ERR_RUN_TOO_LARGE, toError } from '../errors.js'
import { encode } from '../event/encode.js'
import type { RunStats } from '../stats.js'
import { nextTurn, sliceIsOver } from '../stream/time-slice.js'
import type { RunLimits, RunWriter, SSERunContext } from './store.js'

/** Reads a source of the application item by item. */
export interface ItemReader {
  next (): Promise<IteratorResult<unknown, undefined>>
  stop (): void
  /** Resolves once the code of the source has finished. */
  readonly finished: Promise<void>
}

/** The code of the application that a run calls. */
export interface RunSource {
  /** Returns the source. May throw. */
  open (context: SSERunContext): ItemReader
  /** Returns an item as an encoded event without an `id:` line; `''` for an item without text. May throw. */
  encode (item: unknown): string
  /** Returns an event of `send`, encoded in the same way. May throw. */
  encodeEvent (payload: unknown): string
  /** The encoded event after the last item; `''` for none. */
  readonly end: string
  /** Called with the error that has ended the run. Resolves to the encoded event after it, `''` for none; undefined: the event `error`. Never rejects. */
  onError (error: Error): Promise<string | undefined>
}

/** Runs the source of one run to its end, and appends its events to the run. */
export class RunProducer implements SSERunContext {
  readonly key: string
  readonly signal: AbortSignal
  readonly #writer: RunWriter
  readonly #source: RunSource
  readonly #limits: RunLimits
  readonly #controller: AbortController
  readonly #log: FastifyBaseLogger
  readonly #stats: RunStats
  #items: ItemReader | null = null
  #onStopped: (() => void) | null = null
  #bytes = 0
  #ended = false
  #durationTimer: NodeJS.Timeout | undefined
  #readersTimer: NodeJS.Timeout | undefined

  constructor (writer: RunWriter, source: RunSource, limits: RunLimits, controller: AbortController, log: FastifyBaseLogger, stats: RunStats) {
    this.key = writer.info.key
    this.signal = controller.signal
    this.#writer = writer
    this.#source = source
    this.#limits = limits
    this.#controller = controller
    this.#log = log
    this.#stats = stats
  }

  /** Resolves once the run has ended and the code of the source has finished. Never rejects. */
  async run (): Promise<void> {
    const { maxDuration, abandonAfter } = this.#limits
    this.#stats.open++
    this.#durationTimer = setTimeout(() => this.#controller.abort(), maxDuration)
    if (abandonAfter > 0) this.#readersTimer = setTimeout(this.#checkReaders, abandonAfter)
    const stopped = new Promise<void>((resolve) => { this.#onStopped = resolve })
    this.signal.addEventListener('abort', this.#stop)
    try {
      this.#items = this.#source.open(this)
      if (this.signal.aborted) this.#stop()
      // does not wait for a source that ignores its signal
      await Promise.race([this.#readAll(this.#items), stopped])
      await this.#end(this.signal.aborted ? 'stopped' : 'done', this.#source.end)
    } catch (error) {
      this.#stop()
      await this.#fail(toError(error))
    } finally {
      clearTimeout(this.#durationTimer)
      clearTimeout(this.#readersTimer)
      this.signal.removeEventListener('abort', this.#stop)
      await this.#items?.finished
    }
  }

  readonly send = async (payload: unknown): Promise<boolean> => {
    const event = this.#source.encodeEvent(payload)
    if (this.#ended || this.signal.aborted) return false
    await this.#append(event)
    return true
  }

  readonly stop = (): void => {
    this.#controller.abort()
  }

  #stop = (): void => {
    this.#items?.stop()
    this.#onStopped?.()
  }

  async #readAll (items: ItemReader): Promise<void> {
    for (let item = await items.next(); !item.done; item = await items.next()) {
      const full = this.#append(this.#source.encode(item.value))
      if (full !== undefined) await full
      if (sliceIsOver()) await nextTurn()
    }
  }

  /** Appends an encoded event. Hot path. @throws SSE_ERR_RUN_TOO_LARGE */
  #append (event: string): Promise<void> | undefined {
    if (event === '' || this.#ended) return
    const { maxBytes } = this.#limits
    this.#bytes += Buffer.byteLength(event)
    if (this.#bytes > maxBytes) throw new SSE_ERR_RUN_TOO_LARGE(maxBytes)
    return this.#writer.append(event)
  }

  async #end (state: 'done' | 'failed' | 'stopped', last: string): Promise<void> {
    if (!this.#ended) {
      this.#ended = true
      this.#stats.open--
      this.#stats[state]++
    }
    await this.#writer.end(state, last)
  }

  /** Ends a run whose source has failed, or whose events cannot be stored. A source that throws because it was stopped has not failed. */
  async #fail (error: Error): Promise<void> {
    try {
      if (this.signal.aborted) {
        this.#log.debug({ err: error }, 'failed after its run was stopped')
        await this.#end('stopped', this.#source.end)
      } else {
        await this.#end('failed', await this.#source.onError(error) ?? encode({ event: 'error', data: { message: error.message } }))
      }
    } catch (err) {
      this.#log.error({ err }, 'the end of a run could not be stored')
    }
  }

  /** Stops a run that no stream has read for `abandonAfter` ms. */
  #checkReaders = async (): Promise<void> => {
    const { abandonAfter } = this.#limits
    // if the store fails, checks again later
    const idle = await Promise.resolve(this.#writer.idleFor()).catch(() => 0)
    if (this.#ended || this.signal.aborted) return
    if (idle >= abandonAfter) this.#controller.abort()
    else this.#readersTimer = setTimeout(this.#checkReaders, abandonAfter - idle)
  }
}
