import { Batch } from './batch.js'
import { now } from '../clock.js'
import type { Schedule, Schedules, Task } from '../timer-list.js'

/** What can wait for the end of the tick before it writes. */
export interface Flushable {
  /** Whether it waits. */
  waiting: boolean
  /** The one that waits after it. */
  next: Flushable | null
  /** @param time ms, on the clock of `now()`, read once for all */
  flush (time: number): void
}

let first: Flushable | null = null
let last: Flushable | null = null
let began = 0

/** Has `stream` flushed at the end of this tick, so that what is written within it goes out together. Hot path. */
export function flushLater (stream: Flushable): void {
  if (stream.waiting) return
  stream.waiting = true
  if (last === null) {
    first = stream
    began = now()
    process.nextTick(flushAll)
  } else {
    last.next = stream
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
    const { next } = stream
    stream.waiting = false
    stream.next = null
    stream.flush(time)
    stream = next
  }
  // the next tick has other events
  Batch.empty.forget()
}

/** Flushes a stream so many ms after it was first written to: what is written meanwhile goes out in one write. */
export class FlushTimer implements Task {
  due = 0
  before: Task | null = null
  after: Task | null = null
  readonly #stream: Flushable
  readonly #schedules: Schedules
  readonly #interval: number
  /** Null while nothing waits. */
  #schedule: Schedule | null = null

  constructor (stream: Flushable, schedules: Schedules, interval: number) {
    this.#stream = stream
    this.#schedules = schedules
    this.#interval = interval
  }

  /** Something was written. Hot path. */
  start (): void {
    if (this.#schedule !== null) return
    this.#schedule = this.#schedules.every(this.#interval)
    this.#schedule.at(now() + this.#interval, this)
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
