// Tested by test/integration/writes.test.ts
import { now } from '../clock.js'
import type { TimerList, TimerLists, Task } from '../timer-list.js'
import { Batch } from './batch.js'

/** A write buffer (the events of one stream that are not written yet), as a flush queue sees it. */
export interface Flushable {
  /** Whether the buffer is in the queue. Set by the queue. */
  queued: boolean
  /** The next buffer in the queue, which is a linked list. Null for the last one, and if the buffer is not in the queue. */
  nextQueued: Flushable | null
  /** Called by the queue. Writes the buffered events. @param time the current time as `now()` returned it; the queue reads it once for all buffers */
  flush (time: number): void
}

/** Decides when a write buffer is flushed, which means that its buffered events are written to the response. */
export interface FlushScheduler {
  /** The empty batch (a text of no events), to which a buffer appends its events. All streams share it, so that batches with equal events are one object. */
  readonly emptyBatch: Batch
  /** Schedules a flush of `buffer`, unless one is scheduled already. Hot path. */
  add (buffer: Flushable): void
  /** Called when the buffer is closed. Cancels its scheduled flush. */
  cancel (): void
}

/**
 * Flushes write buffers at the end of the event loop tick, so that all events of a stream in this tick are sent with one `write()`.
 * One queue serves all streams of a plugin, so that a tick takes one `process.nextTick` and two readings of the clock.
 */
export class FlushQueue implements FlushScheduler {
  readonly emptyBatch = new Batch('', 0)
  /** Time of the first write of this tick, on the clock of `now()`, ms. Used for all writes of the tick, because each reading of the clock costs time. */
  time = 0
  #first: Flushable | null = null
  #last: Flushable | null = null

  add (buffer: Flushable): void {
    if (buffer.queued) return
    buffer.queued = true
    if (this.#last === null) {
      this.#first = buffer
      this.time = now()
      process.nextTick(this.#flushAll)
    } else {
      this.#last.nextQueued = buffer
    }
    this.#last = buffer
  }

  /** Called when a write buffer is closed. Does nothing, because a closed buffer ignores its scheduled flush. */
  cancel (): void {}

  readonly #flushAll = (): void => {
    let buffer = this.#first
    this.#first = this.#last = null
    const time = now()
    while (buffer !== null) {
      const { nextQueued } = buffer
      buffer.queued = false
      buffer.nextQueued = null
      buffer.flush(time)
      buffer = nextQueued
    }
    // the next tick has other events, so that the batches of this tick are not needed again
    this.emptyBatch.reset()
  }
}

/** Flushes one write buffer `interval` ms after its first buffered event, so that all events of that time are sent with one `write()`. */
export class FlushTimer implements FlushScheduler, Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  readonly #queue: FlushQueue
  readonly #timers: TimerLists
  readonly #interval: number
  #buffer: Flushable | null = null
  /** The timer list in which the flush is scheduled. Null while no flush is scheduled. */
  #timerList: TimerList | null = null

  constructor (queue: FlushQueue, timers: TimerLists, interval: number) {
    this.#queue = queue
    this.#timers = timers
    this.#interval = interval
  }

  get emptyBatch (): Batch {
    return this.#queue.emptyBatch
  }

  add (buffer: Flushable): void {
    if (this.#timerList !== null) return
    const time = now()
    this.#queue.time = time
    this.#buffer = buffer
    this.#timerList = this.#timers.get(this.#interval)
    this.#timerList.schedule(time + this.#interval, this)
  }

  run (): void {
    this.#timerList = null
    this.#buffer?.flush(now())
    this.emptyBatch.reset()
  }

  cancel (): void {
    this.#timerList?.remove(this)
    this.#timerList = null
  }
}
