import { randomInt } from 'node:crypto'
import { now } from '../clock.js'
import { TIMEOUT_MAX, type TimerList, type TimerLists, type Task } from '../timer-list.js'

/** The part of a delay within which a place is not moved again. */
const SLACK = 1 / 33

/** How many different lifetimes streams have, so that their clients do not all come back at once. */
const STEPS = 64

/** A stream that may be quiet for too long, or open for too long. */
export interface TimedStream {
  /** Nothing was written for `heartbeat` ms. */
  sendHeartbeat (): void
  /** No event was written for `idleTimeout` ms, or it was open for about `maxLifetime` ms. */
  closeWith (reason: 'idle' | 'lifetime'): void
}

/**
 * A stream's place in the schedule of a delay, which begins anew whenever the quiet is broken. While a stream is
 * written to again and again its place is moved now and then only: it is due up to `SLACK` before the delay is over.
 */
abstract class InactivityTimer implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  protected readonly stream: TimedStream
  readonly #delay: number
  readonly #schedule: TimerList
  /** Until then the place is good enough. */
  #settled = 0

  constructor (schedules: TimerLists, delay: number, stream: TimedStream) {
    this.stream = stream
    this.#delay = delay
    this.#schedule = schedules.get(delay)
    this.refresh(now())
  }

  /** Something was written at a time. Hot path. */
  refresh (time: number): void {
    if (time < this.#settled) return
    this.#settled = time + this.#delay * SLACK
    // always the same delay, so that what is scheduled last is due last
    this.#schedule.schedule(time + this.#delay, this)
  }

  stop (): void {
    this.#schedule.remove(this)
  }

  abstract run (): void
}

/** A stream's heartbeat. */
export class Heartbeat extends InactivityTimer {
  /** @param heartbeat ms, 0: none */
  static create (schedules: TimerLists, { heartbeat }: { heartbeat: number }, stream: TimedStream): Heartbeat | null {
    return heartbeat > 0 ? new Heartbeat(schedules, heartbeat, stream) : null
  }

  run (): void {
    this.stream.sendHeartbeat()
  }
}

class IdleTimeout extends InactivityTimer {
  constructor (schedules: TimerLists, idleTimeout: number, stream: TimedStream) {
    // late rather than early
    super(schedules, Math.min(idleTimeout / (1 - SLACK), TIMEOUT_MAX), stream)
  }

  run (): void {
    this.stream.closeWith('idle')
  }
}

class Lifetime implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  readonly #stream: TimedStream
  readonly #schedule: TimerList

  constructor (schedules: TimerLists, maxLifetime: number, stream: TimedStream) {
    this.#stream = stream
    // in steps, so that each schedule has one delay, and is in order by itself
    const delay = Math.min(maxLifetime * (0.9 + 0.2 * randomInt(STEPS + 1) / STEPS), TIMEOUT_MAX)
    this.#schedule = schedules.get(delay)
    this.#schedule.schedule(now() + delay, this)
  }

  stop (): void {
    this.#schedule.remove(this)
  }

  run (): void {
    this.#stream.closeWith('lifetime')
  }
}

interface TimeLimits {
  idleTimeout: number
  maxLifetime: number
}

/** What ends a stream by itself: it was sent no event for too long, or has been open for too long. */
export class StreamTimeouts {
  readonly #idle: IdleTimeout | null
  readonly #lifetime: Lifetime | null

  /** @param limits ms, 0: none */
  static create (schedules: TimerLists, limits: TimeLimits, stream: TimedStream): StreamTimeouts | null {
    return limits.idleTimeout > 0 || limits.maxLifetime > 0 ? new StreamTimeouts(schedules, limits, stream) : null
  }

  private constructor (schedules: TimerLists, { idleTimeout, maxLifetime }: TimeLimits, stream: TimedStream) {
    this.#idle = idleTimeout > 0 ? new IdleTimeout(schedules, idleTimeout, stream) : null
    this.#lifetime = maxLifetime > 0 ? new Lifetime(schedules, maxLifetime, stream) : null
  }

  /** An event was written. Hot path. */
  sent (): void {
    this.#idle?.refresh(now())
  }

  stop (): void {
    this.#idle?.stop()
    this.#lifetime?.stop()
  }
}
