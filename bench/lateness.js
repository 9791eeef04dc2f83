import { INTERVAL } from './event.js'

/** Measures how late the ticks of all streams of a process are, each against a schedule that starts with its own first tick. */
export class Lateness {
  #late = []
  #missed = 0

  /** @returns a function to call at each tick of one stream, the first one included */
  stream () {
    let due
    return () => {
      const now = performance.now()
      due = due === undefined ? now : due + INTERVAL
      // a tick that is a whole interval late counts as the next one
      const missed = Math.max(0, Math.floor((now - due) / INTERVAL))
      due += missed * INTERVAL
      this.#missed += missed
      this.#late.push(now - due)
    }
  }

  /** Returns the lateness of the ticks since the last call, ms by percentile, and the percentage of missed ticks. */
  take () {
    const sorted = Float64Array.from(this.#late).sort()
    const at = (part) => sorted[Math.ceil(part * sorted.length) - 1]
    const missed = 100 * this.#missed / (this.#missed + sorted.length)
    this.#late = []
    this.#missed = 0
    return { p50: at(0.5), p99: at(0.99), max: at(1), missed }
  }
}
