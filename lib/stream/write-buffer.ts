// Tested by test/pubsub/slow-subscribers.test.ts
import { getDefaultHighWaterMark } from 'node:stream'
import type { Batch } from './batch.js'
import { now, real } from '../clock.js'
import type { CloseReason, RouteStats } from '../stats.js'
import type { StreamEnd } from '../diagnostics.js'
import { type Flushable, FlushTimer, type FlushQueue, type FlushScheduler } from './flush-queue.js'
import type { Sink } from './sink.js'
import type { TimerLists } from '../timer-list.js'
import { nextTurn, sliceIsOver } from './time-slice.js'

/** The owner of a write buffer. Each callback may come within a fan-out loop: code of the application is called in a later tick. */
export interface WriteBufferOwner {
  /** The client is more than `maxBufferedBytes` behind, and `overflow` is `'disconnect'`. */
  onOverflow (): void
  /** Other code has ended the response. @param lost bytes that were still to be written */
  onResponseEnded (lost: number): void
  /** A write threw, because of a transform or middleware between the stream and the response. */
  onError (error: unknown): void
  /** The client has caught up after events were dropped. The owner writes the `gap` event. */
  onDrained (): void
}

/** The settings of a write buffer. */
export interface BackpressureSettings {
  /** Time from the first write to the flush, ms; 0: at the end of the tick. */
  flushInterval: number
  /** Bytes that may wait for a client. */
  maxBufferedBytes: number
  overflow: 'disconnect' | 'drop'
}

/** Size from which a batch is flushed before the end of the tick, bytes. */
const FLUSH_BYTES = 16_384

/** Bytes that a Node stream buffers before it reports backpressure. */
const HIGH_WATER_MARK = getDefaultHighWaterMark(false)

const TRUE = Promise.resolve(true)

/**
 * The text that waits for one client. All text of a tick leaves in one write. While the client is behind, text waits
 * up to `maxBufferedBytes`. Text also waits until the sink is attached.
 */
export class WriteBuffer implements Flushable {
  /** Whether the client is behind, or the sink not attached: producers wait for `ready()`. */
  needsDrain = true
  queued = false
  closed = false
  nextQueued: Flushable | null = null
  readonly stats: RouteStats
  #events = 0
  #bytes = 0
  /** When the sink was attached, in whole ms, because an integer takes less memory than a fraction. */
  #openedAt = 0
  /** The time of the oldest published event that waits, on the clock of `now()`. Null if none does, or no lag is measured. */
  #oldestPublishedAt: number | null = null
  readonly #owner: WriteBufferOwner
  readonly #settings: BackpressureSettings
  readonly #scheduler: FlushScheduler
  #sink: Sink | null = null
  #pending: Batch
  /** Whether events were dropped since the client fell behind. */
  #dropping = false
  /** One promise for all callers of `ready()`, made only if there is one. */
  #drained: Promise<boolean> | null = null
  #settle: ((open: boolean) => void) | null = null

  constructor (owner: WriteBufferOwner, settings: BackpressureSettings, stats: RouteStats, queue: FlushQueue, timers: TimerLists) {
    this.#owner = owner
    this.#settings = settings
    this.#scheduler = settings.flushInterval > 0 ? new FlushTimer(queue, timers, settings.flushInterval) : queue
    this.#pending = queue.emptyBatch
    this.stats = stats
  }

  /** Sets the destination, and writes `first` before all text that waits. */
  attach (sink: Sink, first: string): void {
    this.#sink = sink
    this.#openedAt = Math.round(now())
    this.#pending = this.#scheduler.emptyBatch.append(first + this.#pending.text)
    this.#onDrain()
  }

  /**
   * Buffers one encoded event. Hot path.
   * @param publishedAt the time of a published event, for the measure of lag, on the clock of `now()`
   * @returns false if it was dropped
   */
  write (text: string, publishedAt: number | null = null): boolean {
    if (this.needsDrain && !this.#hasRoom()) return false
    if (publishedAt !== null && this.stats.lag !== null) this.#oldestPublishedAt ??= publishedAt
    this.#scheduler.add(this)
    this.#pending = this.#pending.append(text)
    if (this.#pending.bytes > FLUSH_BYTES) this.flush(now())
    return true
  }

  /** Counts an event that was buffered. Hot path. */
  countEvent (): void {
    this.stats.sent++
    this.#events++
  }

  /** Writes the pending text, unless the client is behind. Hot path. @param time `now()` */
  flush (time: number): void {
    if (this.needsDrain || this.closed || this.#pending.bytes === 0) return
    if (this.#oldestPublishedAt !== null) this.#measureLag(time, this.#oldestPublishedAt)
    if (this.flushNow()) return
    this.needsDrain = true
    // setImmediate gives other streams a turn when one client takes everything that a fast source sends
    this.#sink?.onceDrained(() => real.setImmediate(() => this.#onDrain()))
  }

  /** Writes the pending text and `last`, even if the client is behind. @returns false if the client is behind now */
  flushNow (last = ''): boolean {
    const batch = this.#pending.append(last)
    if (batch.bytes === 0 || this.#sink === null) return true
    this.#pending = this.#scheduler.emptyBatch
    if (this.#sink.ended) {
      this.#owner.onResponseEnded(batch.bytes)
      return true
    }
    this.stats.bytes += batch.bytes
    this.#bytes += batch.bytes
    try {
      return this.#sink.write(batch)
    } catch (error) {
      process.nextTick(() => this.#owner.onError(error))
      return true
    }
  }

  /**
   * Writes control lines (heartbeat, `id:`) immediately. Does nothing while events are being dropped, because the `gap`
   * event will carry the current id.
   * @returns false if the text was dropped
   */
  writeControl (text: string): boolean {
    if (this.#dropping || this.closed) return false
    this.flush(now())
    this.flushNow(text)
    return true
  }

  /**
   * Resolves to true once the client takes more, to false if the buffer closes before. May flush. Now and then waits for
   * a turn of the event loop, so that a fast producer does not block other work.
   */
  ready (): Promise<boolean> {
    // With a limit below Node's the caller has to know before the next event that the client is behind, not at the end of the tick.
    if (this.#settings.maxBufferedBytes < HIGH_WATER_MARK && this.#settings.flushInterval === 0) this.flush(now())
    if (!this.needsDrain) return sliceIsOver() ? this.#readyNextTurn() : TRUE
    this.#drained ??= new Promise((resolve) => { this.#settle = resolve })
    return this.#drained
  }

  /** The figures of the stream, once its last bytes are written. */
  end (closeReason: CloseReason): StreamEnd {
    return { closeReason, events: this.#events, bytes: this.#bytes, ms: Math.round(now()) - this.#openedAt }
  }

  /** Stops all flushes and resolves `ready()` to false. */
  close (): void {
    this.closed = true
    this.#scheduler.cancel()
    this.#settle?.(false)
  }

  async #readyNextTurn (): Promise<boolean> {
    await nextTurn()
    return !this.closed && this.ready()
  }

  #hasRoom (): boolean {
    const { maxBufferedBytes, overflow } = this.#settings
    const buffered = this.#pending.bytes + (this.#sink?.buffered ?? 0)
    if (!this.#dropping && buffered <= maxBufferedBytes) return true
    if (overflow === 'drop') this.stats.dropped++
    else if (!this.#dropping) this.#owner.onOverflow()
    this.#dropping = true
    return false
  }

  #measureLag (time: number, publishedAt: number): void {
    this.#oldestPublishedAt = null
    this.stats.lag?.(time - publishedAt)
  }

  /** The client has taken everything. */
  #onDrain (): void {
    if (this.closed) return
    this.needsDrain = false
    this.flush(now())
    if (this.needsDrain) return
    if (this.#dropping) {
      this.#dropping = false
      this.#owner.onDrained()
    }
    this.#settle?.(true)
    this.#drained = this.#settle = null
  }
}
