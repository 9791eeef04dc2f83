// Tested by test/integration/writes.test.ts
import { now } from '../clock.js'
import type { TimerList, TimerLists, Task } from '../timer-list.js'
import { Batch } from './batch.js'

/** A write buffer in a flush queue. */
export interface Flushable {
  /** Whether it is in the queue. */
  queued: boolean
  /** The next one in the queue. */
  nextQueued: Flushable | null
  /** @param time `now()`, read once for the whole queue */
  flush (time: number): void
}

/** The time at which a buffer is flushed. */
export interface FlushScheduler {
  /** The empty batch to which the events of a tick are appended. */
  readonly emptyBatch: Batch
  /** Schedules a flush, unless one is scheduled. Hot path. */
  add (buffer: Flushable): void
  /** Cancels the scheduled flush of a closed buffer. */
  cancel (): void
}

/**
 * Flushes write buffers at the end of the event loop tick, so that all writes of the tick leave in one `write()`. One
 * queue serves all streams of a plugin: one `process.nextTick` and one reading of the clock per tick.
 */
export class FlushQueue implements FlushScheduler {
  readonly emptyBatch = new Batch('', 0)
  /** `now()` at the first write of this tick. Exact enough for all writes of the tick, and saves one clock read per write. */
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

  /** Does nothing, because a closed buffer ignores its flush. */
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
    // the next tick has other events
    this.emptyBatch.reset()
  }
}

/** Flushes one buffer `interval` ms after its first write, so that all writes in between leave in one `write()`. */
export class FlushTimer implements FlushScheduler, Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  readonly #queue: FlushQueue
  readonly #timers: TimerLists
  readonly #interval: number
  #buffer: Flushable | null = null
  /** Null while no flush is scheduled. */
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
