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

/**
 * The stream that owns a write buffer. The buffer may call these methods inside a loop that writes one published event to many streams.
 * So each method calls code of the application only in a later tick, when that code cannot disturb the loop.
 */
export interface WriteBufferOwner {
  /**
   * Called when the client is too far behind. The stream then aborts its response.
   * @param reason `'overflow'`: more than `maxBufferedBytes` wait, and the event can be neither dropped nor replayed; `'stalled'`: the client has taken no byte for `stallTimeout`
   */
  onBehind (reason: 'overflow' | 'stalled'): void
  /** Called when the buffer finds that other code has ended the response, or that the response was destroyed. @param lost number of bytes that were not written */
  onResponseEnded (lost: number): void
  /** Called after a write to the response threw, as code that wraps the response may do (a transform, middleware). Called in the next tick, so that no stream is closed inside a loop over streams. */
  onError (error: unknown): void
  /** Called when events were dropped, and the client has now taken all written bytes. The stream then writes a `gap` event, which says that events are missing. */
  onDrained (): void
}

/** The options of a stream for its write buffer, which keeps events until the client takes them. */
export interface BackpressureSettings {
  /** Time from the first event that is buffered until all buffered events are written, ms; 0: until the end of the tick. */
  flushInterval: number
  /** Number of bytes that may be buffered while the client is behind. */
  maxBufferedBytes: number
  overflow: 'replay' | 'disconnect' | 'drop'
  /** Time for which a client may take no byte while bytes wait for it, ms; 0: any time. */
  stallTimeout: number
}

/** A published event, with the time at which this process received it, on the clock of `now()`, ms. */
export interface Received {
  readonly time: number
}

/** Size of the buffered text, bytes, above which it is written at once, not at the end of the tick. With an event of up to 1 KB it is below the size that Node writes without a buffer. */
export const FLUSH_BYTES = 15_360

/** Number of bytes that a Node stream buffers before its `write()` returns false. */
const HIGH_WATER_MARK = getDefaultHighWaterMark(false)

const TRUE = Promise.resolve(true)

/**
 * Buffers the encoded events of one stream, so that all events of a tick are written at once. Also keeps events until the response opens
 * (`attach` then sets their destination, the sink). While the client is behind, keeps events up to `maxBufferedBytes`.
 */
export class WriteBuffer implements Flushable {
  /** Whether the client is behind, or the response is not open yet. Code that writes many events then waits for `ready()`. */
  needsDrain = true
  queued = false
  closed = false
  nextQueued: Flushable | null = null
  readonly stats: RouteStats
  #events = 0
  #bytes = 0
  /** Time at which the response opened, on the clock of `now()`. In whole ms, because an integer takes less memory than a fraction. */
  #openedAt = 0
  /** The oldest published event in the buffer, to measure its lag (time until it is written). Null for none, or if lag is not measured. */
  #oldestPublished: Received | null = null
  readonly #owner: WriteBufferOwner
  readonly #settings: BackpressureSettings
  readonly #scheduler: FlushScheduler
  #sink: Sink | null = null
  #pending: Batch
  /** Whether an event was dropped because the client is too far behind. All later events are dropped until it has caught up. */
  #dropping = false
  /** The promise that all callers of `ready()` get while the client is behind. Null if there is no caller. */
  #drained: Promise<boolean> | null = null
  #settle: ((open: boolean) => void) | null = null

  constructor (owner: WriteBufferOwner, settings: BackpressureSettings, stats: RouteStats, queue: FlushQueue, timers: TimerLists) {
    this.#owner = owner
    this.#settings = settings
    this.#scheduler = settings.flushInterval > 0 ? new FlushTimer(queue, timers, settings.flushInterval) : queue
    this.#pending = queue.emptyBatch
    this.stats = stats
  }

  /** Sets the destination when the response opens. Writes `first`, the text before the first event, and then all buffered text. */
  attach (sink: Sink, first: string): void {
    this.#sink = sink
    this.#openedAt = Math.round(now())
    this.#pending = this.#scheduler.emptyBatch.append(first + this.#pending.text)
    this.#onDrain()
  }

  /**
   * Buffers encoded text. Hot path.
   * @param events number of events in the text that count as sent
   * @param published the published event, to measure its lag (time until it is written); null for other events. An object, because a number with a fraction would be allocated for each call
   * @returns false if the event was dropped, because the client is more than `maxBufferedBytes` behind
   */
  write (text: string, events: number, published: Received | null = null): boolean {
    if (this.needsDrain && !this.#hasRoom(published !== null)) return false
    if (published !== null && this.stats.lag !== null) this.#oldestPublished ??= published
    this.#add(this.#pending.append(text), events)
    return true
  }

  /** Buffers a batch of replayed events, without a copy if nothing else is buffered. Called only while the client is not behind. Hot path. @param events number of events in the batch */
  writeBatch (batch: Batch, events: number): void {
    this.#add(this.#pending.bytes === 0 ? batch : this.#pending.append(batch.text), events)
  }

  /** Writes the buffered text to the response, unless the client is behind. Hot path. @param time the current time, as `now()` returns it */
  flush (time: number): void {
    if (this.needsDrain || this.closed || this.#pending.bytes === 0) return
    if (this.#oldestPublished !== null) this.#measureLag(time, this.#oldestPublished)
    if (this.flushNow()) return
    this.needsDrain = true
    this.#watchStall(this.#settings.stallTimeout)
    // setImmediate, so that other streams get a turn even if this client takes at once all that a fast source sends
    this.#sink?.onceDrained(() => real.setImmediate(() => this.#onDrain()))
  }

  /** Writes the buffered text and then `last`, even if the client is behind. @returns false if the client is behind after the write */
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
   * Writes `text` (a heartbeat or an `id:` line, no event) at once, even if the client is behind. Drops `text` if the stream is closed. Also
   * drops it while events are being dropped, because the `gap` event that follows will give the client the current id.
   * @returns false if the text was dropped
   */
  writeControl (text: string): boolean {
    if (this.#dropping || this.closed) return false
    this.flush(now())
    this.flushNow(text)
    return true
  }

  /**
   * Returns a promise that resolves to true once the client takes more bytes, or to false if the stream closes before. May write the
   * buffered text. Waits for the next turn of the event loop about every 10 ms, so that a fast caller does not block other work.
   */
  ready (): Promise<boolean> {
    // With a limit below Node's own, the caller has to know before its next event that the client is behind. The end of the tick is too late.
    if (this.#settings.maxBufferedBytes < HIGH_WATER_MARK && this.#settings.flushInterval === 0) this.flush(now())
    if (!this.needsDrain) return sliceIsOver() ? this.#readyNextTurn() : TRUE
    this.#drained ??= new Promise((resolve) => { this.#settle = resolve })
    return this.#drained
  }

  /** Returns why the stream closed, the numbers of its events and bytes, and how long it was open. Called after the last write. */
  end (closeReason: CloseReason): StreamEnd {
    return { closeReason, events: this.#events, bytes: this.#bytes, ms: Math.round(now()) - this.#openedAt }
  }

  /** Called when the stream closes. Cancels the scheduled write of buffered text, and resolves promises of `ready()` to false. */
  close (): void {
    this.closed = true
    this.#scheduler.cancel()
    this.#settle?.(false)
  }

  async #readyNextTurn (): Promise<boolean> {
    await nextTurn()
    return !this.closed && this.ready()
  }

  #add (pending: Batch, events: number): void {
    this.#scheduler.add(this)
    this.#pending = pending
    this.stats.sent += events
    this.#events += events
    if (pending.bytes > FLUSH_BYTES) this.flush(now())
  }

  /** @param published whether the event is in the log, so that it can be read from there later */
  #hasRoom (published: boolean): boolean {
    const { maxBufferedBytes, overflow } = this.#settings
    const buffered = this.#pending.bytes + (this.#sink?.buffered ?? 0)
    if (!this.#dropping && buffered <= maxBufferedBytes) return true
    if (published && overflow === 'replay') return false
    if (overflow === 'drop') this.stats.dropped++
    else if (!this.#dropping) this.#owner.onBehind('overflow')
    this.#dropping = true
    return false
  }

  /** Starts the timer of `stallTimeout`; 0 stops it. */
  #watchStall (ms: number): void {
    // a function for each call, because one in a field would take 0.1 KB per stream
    this.#sink?.watchStall(ms, () => { if (this.needsDrain && !this.closed) this.#owner.onBehind('stalled') })
  }

  #measureLag (time: number, published: Received): void {
    this.#oldestPublished = null
    this.stats.lag?.(time - published.time)
  }

  /** Called when the response opens, and when the client has taken all written bytes. Writes the buffered text. */
  #onDrain (): void {
    if (this.closed) return
    this.needsDrain = false
    this.#watchStall(0)
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
