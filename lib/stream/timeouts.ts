import { randomInt } from 'node:crypto'
import { now } from '../clock.js'
import { TIMEOUT_MAX, type TimerList, type TimerLists, type Task } from '../timer-list.js'

/** Text of a heartbeat: a comment line, so that proxies keep the connection. Without a blank line, because fetch-event-source dispatches a message at each blank line (https://github.com/Azure/fetch-event-source/issues/15). */
export const HEARTBEAT = ':\n'

/** Fraction of a timer's delay. For this time after a write has rescheduled the timer, further writes do not reschedule it, so that most writes cost nothing. */
const SLACK = 1 / 33

/** Number of steps between 0.9 and 1.1 × `maxLifetime`. Each stream gets the lifetime of a random step, so that clients do not all reconnect at once. */
const STEPS = 64

/** A stream, with the methods that its heartbeat and its timeouts call. */
export interface TimedStream {
  /** Called by the heartbeat timer when nothing was written for `heartbeat` ms. The stream then writes a heartbeat. */
  sendHeartbeat (): void
  /** Called by a timer when no event was written for `idleTimeout` ms, the stream was open for about `maxLifetime` ms, or it has expired. Closes the stream. */
  closeWith (reason: 'idle' | 'lifetime' | 'expired'): void
}

/**
 * A timer that every write restarts, so that it fires when nothing was written for `delay` ms. To keep writes cheap, the timer is
 * rescheduled at most once per `delay × SLACK` ms. It may therefore fire up to 3 % early.
 */
abstract class InactivityTimer implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  protected readonly stream: TimedStream
  readonly #delay: number
  readonly #timerList: TimerList
  /** Time before which a write does not reschedule the timer, on the clock of `now()`, ms. */
  #settledUntil = 0

  constructor (timers: TimerLists, delay: number, stream: TimedStream) {
    this.stream = stream
    this.#delay = delay
    this.#timerList = timers.get(delay)
    this.refresh(now())
  }

  /** Restarts the timer after a write. Hot path. @param time the current time, as `now()` returns it */
  refresh (time: number): void {
    if (time < this.#settledUntil) return
    this.#settledUntil = time + this.#delay * SLACK
    // the list holds only timers with this delay, so that the timer scheduled last is also due last
    this.#timerList.schedule(time + this.#delay, this)
  }

  stop (): void {
    this.#timerList.remove(this)
  }

  abstract run (): void
}

/** The timer of one stream's heartbeat: makes the stream write a comment line when nothing was written to it for `heartbeat` ms. */
export class Heartbeat extends InactivityTimer {
  /** Starts the heartbeat of a stream. @param heartbeat in ms; 0: no heartbeat. @returns null if `heartbeat` is 0 */
  static create (timers: TimerLists, { heartbeat }: { heartbeat: number }, stream: TimedStream): Heartbeat | null {
    return heartbeat > 0 ? new Heartbeat(timers, heartbeat, stream) : null
  }

  run (): void {
    this.stream.sendHeartbeat()
  }
}

class IdleTimeout extends InactivityTimer {
  constructor (timers: TimerLists, idleTimeout: number, stream: TimedStream) {
    // longer than `idleTimeout` by the part that the timer may fire early, so that it never fires before `idleTimeout`
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
    // in steps, because each different delay needs a timer list
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

/** Closes a stream at a given time. */
class Expiry implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  readonly #stream: TimedStream
  readonly #timers: TimerLists
  readonly #at: number
  #timerList: TimerList | null = null

  /** @param at in ms since the epoch */
  constructor (timers: TimerLists, at: number, stream: TimedStream) {
    this.#timers = timers
    this.#at = at
    this.#stream = stream
    this.#schedule(Math.max(0, at - Date.now()))
  }

  stop (): void {
    this.#timerList?.remove(this)
  }

  run (): void {
    const left = this.#at - Date.now()
    if (left > 0) this.#schedule(left)
    else this.#stream.closeWith('expired')
  }

  /** Waits `left` ms, or as long as a timer can wait. */
  #schedule (left: number): void {
    const delay = Math.min(Math.ceil(left), TIMEOUT_MAX)
    this.#timerList = this.#timers.get(delay)
    this.#timerList.schedule(now() + delay, this)
  }
}

interface TimeLimits {
  idleTimeout: number
  maxLifetime: number
}

/** The timeouts that close a stream: after `idleTimeout` ms without an event, about `maxLifetime` ms after it opened, and when it expires. */
export class StreamTimeouts {
  readonly #idle: IdleTimeout | null
  readonly #lifetime: Lifetime | null
  readonly #expiry: Expiry | null

  /**
   * Starts the timeouts of a stream.
   * @param limits in ms; 0: no limit
   * @param expiresAt in ms since the epoch; null: never
   * @returns null if the stream has no timeout
   */
  static create (timers: TimerLists, limits: TimeLimits, expiresAt: number | null, stream: TimedStream): StreamTimeouts | null {
    return limits.idleTimeout > 0 || limits.maxLifetime > 0 || expiresAt !== null ? new StreamTimeouts(timers, limits, expiresAt, stream) : null
  }

  private constructor (timers: TimerLists, { idleTimeout, maxLifetime }: TimeLimits, expiresAt: number | null, stream: TimedStream) {
    this.#idle = idleTimeout > 0 ? new IdleTimeout(timers, idleTimeout, stream) : null
    this.#lifetime = maxLifetime > 0 ? new Lifetime(timers, maxLifetime, stream) : null
    this.#expiry = expiresAt === null ? null : new Expiry(timers, expiresAt, stream)
  }

  /** Called by the stream after it has written an event. Restarts the idle timeout. Hot path. */
  sent (): void {
    this.#idle?.refresh(now())
  }

  stop (): void {
    this.#idle?.stop()
    this.#lifetime?.stop()
    this.#expiry?.stop()
  }
}
