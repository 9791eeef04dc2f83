import { Schedules } from './schedule.js'
import type { EventStream, Host } from './stream.js'
import type { CloseReason, SSE, SSEStats } from './types.js'

/** The streams that are open in this process, and what was counted of them. */
export class Hub implements SSE, Host {
  readonly streams = new Map<string, EventStream>()
  readonly schedules = new Schedules()
  readonly counters: SSEStats = {
    active: 0,
    opened: 0,
    rejected: 0,
    sent: 0,
    dropped: 0,
    gaps: 0,
    bytes: 0,
    closed: { client: 0, server: 0, drain: 0, overflow: 0, idle: 0, lifetime: 0, error: 0 }
  }

  /** Streams that are not open yet: they wait for the first item of their source, or for onSend hooks. */
  readonly #waiting = new Set<EventStream>()
  readonly #spread: number
  #draining = false

  /** @param spread within how many ms clients are told to come back when they are drained */
  constructor (spread: number) {
    this.#spread = spread
  }

  stats (): SSEStats {
    return { ...this.counters, active: this.streams.size, closed: { ...this.counters.closed } }
  }

  /** Keeps a stream that is not open yet, so that `drain` knows of it. */
  hold (stream: EventStream): void {
    this.#waiting.add(stream)
    if (this.#draining && !stream.started) stream.closeWith('drain')
  }

  release (stream: EventStream): void {
    this.#waiting.delete(stream)
  }

  opened (stream: EventStream): void {
    this.counters.opened++
    this.#waiting.delete(stream)
    this.streams.set(stream.id, stream)
    // it passed its hooks while the others were ended
    if (this.#draining) setImmediate(() => stream.drain(this.#delay()))
  }

  closed (stream: EventStream, reason: CloseReason): void {
    this.counters.closed[reason]++
    this.streams.delete(stream.id)
  }

  /**
   * Ends all streams, each with the advice to come back after a random time.
   * Resolves when every client has its end or is cut.
   */
  async drain (): Promise<void> {
    this.#draining = true
    const over = Array.from(this.streams.values(), (stream) => stream.drain(this.#delay()))
    for (const stream of this.#waiting) {
      // one that waits for hooks is ended as soon as it is open
      if (stream.started) over.push(stream.over())
      else stream.closeWith('drain')
    }
    await Promise.all(over)
  }

  #delay (): number {
    return Math.floor(Math.random() * (this.#spread + 1))
  }
}
