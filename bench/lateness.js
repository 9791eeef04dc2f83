import { INTERVAL } from './event.js'

/** How late the ticks of all streams of a process are, each against a schedule that begins with its own first tick. */
export class Lateness {
  #late = []
  #missed = 0

  /** @returns what is to be called at each tick of one stream, the first one too */
  stream () {
    let due
    return () => {
      const now = performance.now()
      due = due === undefined ? now : due + INTERVAL
      // what is a whole interval late is not this tick, but one after it
      const missed = Math.max(0, Math.floor((now - due) / INTERVAL))
      due += missed * INTERVAL
      this.#missed += missed
      this.#late.push(now - due)
    }
  }

  /** Of the ticks since the last call: ms at the percentiles, and how many in a hundred there were not. */
  take () {
    const sorted = Float64Array.from(this.#late).sort()
    const at = (part) => sorted[Math.ceil(part * sorted.length) - 1]
    const missed = 100 * this.#missed / (this.#missed + sorted.length)
    this.#late = []
    this.#missed = 0
    return { p50: at(0.5), p99: at(0.99), max: at(1), missed }
  }
}
