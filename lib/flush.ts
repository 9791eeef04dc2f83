/** What can wait for the end of the tick before it writes. */
export interface Flushable {
  /** @param now ms, on the clock of `performance.now()`, read once for all */
  flush (now: number): void
}

let waiting: Flushable[] = []
let spare: Flushable[] = []

/** Has `stream` flushed at the end of this tick, so that what is written within it goes out together. Hot path. */
export function flushLater (stream: Flushable): void {
  if (waiting.length === 0) process.nextTick(flushAll)
  waiting.push(stream)
}

function flushAll (): void {
  const streams = waiting
  waiting = spare
  const now = performance.now()
  for (const stream of streams) stream.flush(now)
  streams.length = 0
  spare = streams
}
