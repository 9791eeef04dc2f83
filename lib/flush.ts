import { Batch } from './batch.js'

/** What can wait for the end of the tick before it writes. */
export interface Flushable {
  /** Whether it waits. */
  waiting: boolean
  /** The one that waits after it. */
  next: Flushable | null
  /** @param now ms, on the clock of `performance.now()`, read once for all */
  flush (now: number): void
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
    began = performance.now()
    process.nextTick(flushAll)
  } else {
    last.next = stream
  }
  last = stream
}

/** When the first of those that wait was written to, ms on the clock of `performance.now()`: time enough for all of a tick. */
export function timeOfTick (): number {
  return began
}

function flushAll (): void {
  let stream = first
  first = last = null
  const now = performance.now()
  while (stream !== null) {
    const { next } = stream
    stream.waiting = false
    stream.next = null
    stream.flush(now)
    stream = next
  }
  // the next tick has other events
  Batch.empty.forget()
}
