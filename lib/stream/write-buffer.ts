import { getDefaultHighWaterMark } from 'node:stream'
import { Batch } from './batch.js'
import { now, real } from '../clock.js'
import type { RouteStats } from '../stats.js'
import type { StreamEnd } from '../diagnostics.js'
import { type Flushable, queueFlush, FlushTimer } from './flush-queue.js'
import type { Sink } from './sink.js'
import type { TimerLists } from '../timer-list.js'
import { nextTurn, sliceIsOver } from './time-slice.js'
import type { CloseReason } from '../types.js'

/** Whose events an buffer holds. What is done to it is done a tick later: callbacks of the application's have no place within a fan-out. */
export interface Sender {
  /** Text goes out now, ms on the clock of `now()`; not called unless lag is measured. */
  wrote (time: number): void
  /** The client is more than `maxBufferedBytes` behind, and `overflow` is `'disconnect'`. May be called within a fan-out. */
  overflowed (): void
  /** The response was ended by other code, with so many bytes still to be written. May be called within a fan-out. */
  responseEnded (lost: number): void
  /** What a hook put between the stream and the response threw at a write. */
  broken (error: unknown): void
  /** The client has caught up, after events were left out: the event that tells it so. */
  gap (): string
}

/** When text goes out, ms after the first (0: at the end of the tick); how far a client may fall behind, bytes, and what then. */
export interface BackpressureSettings {
  flushInterval: number
  maxBufferedBytes: number
  overflow: 'disconnect' | 'drop'
}

/** Bytes past which text does not wait for the end of the tick. */
const FLUSH_BYTES = 16_384

/** Bytes that Node takes before it says that enough is waiting. */
const NODE_TAKES = getDefaultHighWaterMark(false)

const TRUE = Promise.resolve(true)

/**
 * What is sent to one client, at its pace: the text of a tick goes out together; a client that takes no more
 * is waited for, and what is written meanwhile is held up to a limit. Until it has an sink, it waits as well.
 */
export class WriteBuffer implements Flushable {
  /** The client is behind, so that what is not made yet had better wait. */
  needsDrain = true
  queued = false
  closed = false
  nextQueued: Flushable | null = null
  readonly counters: RouteStats
  /** Events and bytes that were written, and since when, in whole ms, because these take less memory than a fraction. */
  #events = 0
  #bytes = 0
  #openedAt = 0
  readonly #sender: Sender
  readonly #options: BackpressureSettings
  /** Null where text goes out at the end of its tick. */
  readonly #timer: FlushTimer | null
  #sink: Sink | null = null
  #pending = Batch.empty
  /** Whether events were left out since the client fell behind. */
  #dropping = false
  /** One promise for all who wait, so that senders that do not wait cost nothing. */
  #drained: Promise<boolean> | null = null
  #settle: ((open: boolean) => void) | null = null

  constructor (sender: Sender, options: BackpressureSettings, counters: RouteStats, schedules: TimerLists) {
    this.#sender = sender
    this.#options = options
    this.#timer = options.flushInterval > 0 ? new FlushTimer(this, schedules, options.flushInterval) : null
    this.counters = counters
  }

  /** Where the text goes from now on, `first` before what was written already. */
  attach (sink: Sink, first: string): void {
    this.#sink = sink
    this.#openedAt = Math.round(now())
    this.#pending = Batch.empty.append(first + this.#pending.text)
    this.#onDrain()
  }

  /**
   * Takes one encoded event. Hot path.
   * @returns false where it was left out
   */
  write (text: string): boolean {
    if (this.needsDrain && !this.#hasRoom()) return false
    if (this.#timer === null) queueFlush(this)
    else this.#timer.start()
    this.#pending = this.#pending.append(text)
    if (this.#pending.bytes > FLUSH_BYTES) this.flush(now())
    return true
  }

  /** Counts an event that was taken. Hot path. */
  countEvent (): void {
    this.counters.sent++
    this.#events++
  }

  /** Gives what is pending to the client, unless it is behind. Hot path. */
  flush (time: number): void {
    if (this.needsDrain || this.closed || this.#pending === Batch.empty) return
    if (this.counters.lag !== null) this.#sender.wrote(time)
    if (this.flushNow()) return
    this.needsDrain = true
    // The pause lets the other streams have their turn when a client takes all that a fast source gives.
    this.#sink?.onceDrained(() => real.setImmediate(() => this.#onDrain()))
  }

  /** Gives all that is pending to the sink, however far behind the client is; false if that is behind now. */
  flushNow (last = ''): boolean {
    const batch = this.#pending.append(last)
    if (batch === Batch.empty || this.#sink === null) return true
    this.#pending = Batch.empty
    if (this.#sink.ended) {
      this.#sender.responseEnded(batch.bytes)
      return true
    }
    this.counters.bytes += batch.bytes
    this.#bytes += batch.bytes
    try {
      return this.#sink.write(batch)
    } catch (error) {
      process.nextTick(() => this.#sender.broken(error))
      return true
    }
  }

  /**
   * Gives text that is no event to the sink, unless events are left out: what comes after them is for their gap to say.
   * @returns false where it was left out
   */
  writeControl (text: string): boolean {
    if (this.#dropping || this.closed) return false
    this.flush(now())
    this.flushNow(text)
    return true
  }

  /** True once the client takes more, false if the buffer is closed before. Now and then it waits for the event loop's other work. */
  ready (): Promise<boolean> {
    // where that is past the limit already, whoever waits has to know before the next event, and not at the end of the tick
    if (this.#options.maxBufferedBytes < NODE_TAKES && this.#timer === null) this.flush(now())
    if (!this.needsDrain) return sliceIsOver() ? this.#readyNextTurn() : TRUE
    this.#drained ??= new Promise((resolve) => { this.#settle = resolve })
    return this.#drained
  }

  /** What the stream was, once its last bytes are written. */
  end (closeReason: CloseReason): StreamEnd {
    return { closeReason, events: this.#events, bytes: this.#bytes, ms: Math.round(now()) - this.#openedAt }
  }

  /** Nothing goes out by itself any more, and nobody waits. */
  close (): void {
    this.closed = true
    this.#timer?.stop()
    this.#settle?.(false)
  }

  async #readyNextTurn (): Promise<boolean> {
    await nextTurn()
    return !this.closed && this.ready()
  }

  #hasRoom (): boolean {
    const { maxBufferedBytes, overflow } = this.#options
    const buffered = this.#pending.bytes + (this.#sink?.buffered ?? 0)
    if (!this.#dropping && buffered <= maxBufferedBytes) return true
    if (overflow === 'drop') this.counters.dropped++
    else if (!this.#dropping) this.#sender.overflowed()
    this.#dropping = true
    return false
  }

  /** The client has taken all: it gets what is pending, and word of what was left out. */
  #onDrain (): void {
    if (this.closed) return
    this.needsDrain = false
    this.flush(now())
    if (this.needsDrain) return
    if (this.#dropping) {
      this.#dropping = false
      this.write(this.#sender.gap())
    }
    this.#settle?.(true)
    this.#drained = this.#settle = null
  }
}
