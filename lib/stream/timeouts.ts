import { randomInt } from 'node:crypto'
import { now } from '../clock.js'
import { TIMEOUT_MAX, type TimerList, type TimerLists, type Task } from '../timer-list.js'

/** The part of a delay during which a timer is not rescheduled again. */
const SLACK = 1 / 33

/** Number of different lifetimes, so that the clients do not all reconnect at once. */
const STEPS = 64

/** The stream of a heartbeat and of timeouts. */
export interface TimedStream {
  /** Called when nothing was written for `heartbeat` ms. */
  sendHeartbeat (): void
  /** Called when no event was written for `idleTimeout` ms, or the stream was open for about `maxLifetime` ms. */
  closeWith (reason: 'idle' | 'lifetime'): void
}

/**
 * An inactivity timer that every write restarts. To keep writes cheap it is rescheduled at most once per `delay × SLACK`, so
 * that it may fire up to 3 % early.
 */
abstract class InactivityTimer implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  protected readonly stream: TimedStream
  readonly #delay: number
  readonly #timerList: TimerList
  /** Until then a write does not reschedule the timer, on the clock of `now()`. */
  #settledUntil = 0

  constructor (timers: TimerLists, delay: number, stream: TimedStream) {
    this.stream = stream
    this.#delay = delay
    this.#timerList = timers.get(delay)
    this.refresh(now())
  }

  /** Restarts the timer after a write. Hot path. @param time `now()` */
  refresh (time: number): void {
    if (time < this.#settledUntil) return
    this.#settledUntil = time + this.#delay * SLACK
    // all timers of the list have this delay, so that the last one scheduled is the last one due
    this.#timerList.schedule(time + this.#delay, this)
  }

  stop (): void {
    this.#timerList.remove(this)
  }

  abstract run (): void
}

/** Writes a heartbeat to a stream when nothing was written for `heartbeat` ms. */
export class Heartbeat extends InactivityTimer {
  /** @param heartbeat ms, 0: none */
  static create (timers: TimerLists, { heartbeat }: { heartbeat: number }, stream: TimedStream): Heartbeat | null {
    return heartbeat > 0 ? new Heartbeat(timers, heartbeat, stream) : null
  }

  run (): void {
    this.stream.sendHeartbeat()
  }
}

class IdleTimeout extends InactivityTimer {
  constructor (timers: TimerLists, idleTimeout: number, stream: TimedStream) {
    // longer by the slack, so that it never fires early
    super(timers, Math.min(idleTimeout / (1 - SLACK), TIMEOUT_MAX), stream)
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
  readonly #timerList: TimerList

  constructor (timers: TimerLists, maxLifetime: number, stream: TimedStream) {
    this.#stream = stream
    // in steps, because a timer list serves one delay
    const delay = Math.min(maxLifetime * (0.9 + 0.2 * randomInt(STEPS + 1) / STEPS), TIMEOUT_MAX)
    this.#timerList = timers.get(delay)
    this.#timerList.schedule(now() + delay, this)
  }

  stop (): void {
    this.#timerList.remove(this)
  }

  run (): void {
    this.#stream.closeWith('lifetime')
  }
}

interface TimeLimits {
  idleTimeout: number
  maxLifetime: number
}

/** The timeouts that close a stream: `idleTimeout` without an event, and `maxLifetime`. */
export class StreamTimeouts {
  readonly #idle: IdleTimeout | null
  readonly #lifetime: Lifetime | null

  /** @param limits ms, 0: none */
  static create (timers: TimerLists, limits: TimeLimits, stream: TimedStream): StreamTimeouts | null {
    return limits.idleTimeout > 0 || limits.maxLifetime > 0 ? new StreamTimeouts(timers, limits, stream) : null
  }

  private constructor (timers: TimerLists, { idleTimeout, maxLifetime }: TimeLimits, stream: TimedStream) {
    this.#idle = idleTimeout > 0 ? new IdleTimeout(timers, idleTimeout, stream) : null
    this.#lifetime = maxLifetime > 0 ? new Lifetime(timers, maxLifetime, stream) : null
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
