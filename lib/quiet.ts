import type { Schedule, Schedules, Task } from './schedule.js'

/** Something to do when a stream has been quiet for `delay` ms: its place in the schedule of that delay. */
export class Quiet implements Task {
  due = 0
  before: Task | null = null
  after: Task | null = null
  readonly run: () => void
  readonly #delay: number
  readonly #schedule: Schedule

  constructor (schedules: Schedules, delay: number, run: () => void) {
    this.#delay = delay
    this.#schedule = schedules.every(delay)
    this.run = run
    this.broken(performance.now())
  }

  /** Something was written at `now`: the quiet begins anew. Hot path. */
  broken (now: number): void {
    this.#schedule.at(now + this.#delay, this)
  }

  stop (): void {
    this.#schedule.remove(this)
  }
}
