import type { Schedule, Schedules, Task } from './schedule.js'

/** A stream that may be quiet for too long. */
export interface Quietable {
  /** Nothing was written for `heartbeat` ms. */
  beat (): void
  /** No event was written for `idleTimeout` ms. */
  idled (): void
}

/** A stream's place in the schedule of a delay, which begins anew whenever the quiet is broken. */
abstract class Quiet implements Task {
  due = 0
  before: Task | null = null
  after: Task | null = null
  protected readonly stream: Quietable
  readonly #delay: number
  readonly #schedule: Schedule

  constructor (schedules: Schedules, delay: number, stream: Quietable) {
    this.stream = stream
    this.#delay = delay
    this.#schedule = schedules.every(delay)
    this.broken(performance.now())
  }

  /** Something was written at `now`. Hot path. */
  broken (now: number): void {
    this.#schedule.at(now + this.#delay, this)
  }

  stop (): void {
    this.#schedule.remove(this)
  }

  abstract run (): void
}

export class Heartbeat extends Quiet {
  run (): void {
    this.stream.beat()
  }
}

export class IdleTimeout extends Quiet {
  run (): void {
    this.stream.idled()
  }
}
