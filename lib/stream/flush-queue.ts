import { Batch } from './batch.js'
import { now } from '../clock.js'
import type { TimerList, TimerLists, Task } from '../timer-list.js'

/** What can wait for the end of the tick before it writes. */
export interface Flushable {
  /** Whether it waits. */
  queued: boolean
  /** The one that waits after it. */
  nextQueued: Flushable | null
  /** @param time ms, on the clock of `now()`, read once for all */
  flush (time: number): void
}

let first: Flushable | null = null
let last: Flushable | null = null
let began = 0

/** Has `stream` flushed at the end of this tick, so that what is written within it goes out together. Hot path. */
export function queueFlush (stream: Flushable): void {
  if (stream.queued) return
  stream.queued = true
  if (last === null) {
    first = stream
    began = now()
    process.nextTick(flushAll)
  } else {
    last.nextQueued = stream
  }
  last = stream
}

/** When the first of those that wait was written to, ms on the clock of `now()`: time enough for all of a tick. */
export function timeOfTick (): number {
  return began
}

function flushAll (): void {
  let stream = first
  first = last = null
  const time = now()
  while (stream !== null) {
    const { nextQueued } = stream
    stream.queued = false
    stream.nextQueued = null
    stream.flush(time)
    stream = nextQueued
  }
  // the next tick has other events
  Batch.empty.reset()
}

/** Flushes a stream so many ms after it was first written to: what is written meanwhile goes out in one write. */
export class FlushTimer implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  readonly #stream: Flushable
  readonly #schedules: TimerLists
  readonly #interval: number
  /** Null while nothing waits. */
  #schedule: TimerList | null = null

  constructor (stream: Flushable, schedules: TimerLists, interval: number) {
    this.#stream = stream
    this.#schedules = schedules
    this.#interval = interval
  }

  /** Something was written. Hot path. */
  start (): void {
    if (this.#schedule !== null) return
    this.#schedule = this.#schedules.get(this.#interval)
    this.#schedule.schedule(now() + this.#interval, this)
  }

  run (): void {
    this.#schedule = null
    this.#stream.flush(now())
  }

  stop (): void {
    this.#schedule?.remove(this)
    this.#schedule = null
  }
}
