import { LONGEST, type Schedule, type Schedules, type Task } from './schedule.js'

/** A stream that may be quiet for too long, or open for too long. */
export interface Timed {
  /** Nothing was written for `heartbeat` ms. */
  beat (): void
  /** No event was written for `idleTimeout` ms, or it was open for about `maxLifetime` ms. */
  closeWith (reason: 'idle' | 'lifetime'): void
}

/** A stream's place in the schedule of a delay, which begins anew whenever the quiet is broken. */
abstract class Quiet implements Task {
  due = 0
  before: Task | null = null
  after: Task | null = null
  protected readonly stream: Timed
  readonly #delay: number
  readonly #schedule: Schedule

  constructor (schedules: Schedules, delay: number, stream: Timed) {
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

class Heartbeat extends Quiet {
  run (): void {
    this.stream.beat()
  }
}

class IdleTimeout extends Quiet {
  run (): void {
    this.stream.closeWith('idle')
  }
}

/** The times of one open stream. */
export class Timers {
  readonly #heartbeat: Heartbeat | null
  readonly #idle: IdleTimeout | null
  readonly #lifetime: NodeJS.Timeout | undefined

  /** @param times ms, 0: none */
  constructor (schedules: Schedules, times: { heartbeat: number, idleTimeout: number, maxLifetime: number }, stream: Timed) {
    const { heartbeat, idleTimeout, maxLifetime } = times
    this.#heartbeat = heartbeat > 0 ? new Heartbeat(schedules, heartbeat, stream) : null
    this.#idle = idleTimeout > 0 ? new IdleTimeout(schedules, idleTimeout, stream) : null
    if (maxLifetime > 0) {
      const spread = 0.9 + 0.2 * Math.random()
      this.#lifetime = setTimeout(() => stream.closeWith('lifetime'), Math.min(maxLifetime * spread, LONGEST)).unref()
    }
  }

  /** Bytes went out at `now` that make a heartbeat needless. Hot path. */
  wrote (now: number): void {
    this.#heartbeat?.broken(now)
  }

  /** An event was written. Hot path. */
  sent (): void {
    this.#idle?.broken(performance.now())
  }

  stop (): void {
    this.#heartbeat?.stop()
    this.#idle?.stop()
    clearTimeout(this.#lifetime)
  }
}
