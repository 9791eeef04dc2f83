import { now, reached } from './clock.js'

/** Something that is due at a time; it may stand in one schedule at once. */
export interface Task {
  /** When it is due, on the clock of `now()`, ms. Set by the schedule. */
  due: number
  prev: Task | null
  next: Task | null
  /** Called once when it is due; whoever wants to be called again schedules again. */
  run (): void
}

/** The longest that a timer of Node's can wait, ms. */
export const TIMEOUT_MAX = 2 ** 31 - 1

/** Sums of times, the fake `Date` of a test among them, are off by less, ms: they must not make a delay 1 ms longer. */
const ROUNDING = 0.01

/**
 * Tasks with the same delay, in one list and on one timer, however many there are.
 *
 * Since all wait for the same time, what is scheduled last is nearly always due last: adding,
 * moving and removing a task is a few assignments. The timer never keeps the process alive.
 */
export class TimerList {
  #first: Task | null = null
  #last: Task | null = null
  #timer: NodeJS.Timeout | undefined
  /** What the timer was set by. */
  #setBy = setTimeout
  readonly #emptied: () => void

  /** @param emptied called when no task is left */
  constructor (emptied: () => void) {
    this.#emptied = emptied
  }

  /** Puts a task in its place, or moves it there. Hot path: every write moves its stream's heartbeat. */
  schedule (due: number, task: Task): void {
    if (task === this.#last) {
      // moving the last to a later time leaves it where it is
      if (due >= task.due) {
        task.due = due
        return
      }
    }
    this.#unlink(task)
    task.due = due
    let before = this.#last
    while (before !== null && before.due > due) before = before.prev
    task.prev = before
    task.next = before === null ? this.#first : before.next
    if (task.next === null) this.#last = task
    else task.next.prev = task
    if (before === null) this.#first = task
    else before.next = task
    // the timer that is set may be too late for the new first one, or be gone with the fake timers of a test
    if (before === null || this.#setBy !== setTimeout) this.#arm()
  }

  remove (task: Task): void {
    this.#unlink(task)
    if (this.#first === null) this.#empty()
  }

  #empty (): void {
    clearTimeout(this.#timer)
    this.#emptied()
  }

  #unlink (task: Task): void {
    const { prev, next } = task
    if (prev === null && this.#first !== task) return
    if (prev === null) this.#first = next
    else prev.next = next
    if (next === null) this.#last = prev
    else next.prev = prev
    task.prev = task.next = null
  }

  /** Sets the timer for the first task. */
  #arm (): void {
    if (this.#first === null) {
      this.#empty()
      return
    }
    clearTimeout(this.#timer)
    const { due } = this.#first
    this.#setBy = setTimeout
    this.#timer = setTimeout(this.#run, Math.max(1, Math.ceil(due - now() - ROUNDING)), due).unref()
  }

  // One task after the other is taken off, since each may remove others.
  #run = (due: number): void => {
    const until = reached(due)
    try {
      for (let task = this.#first; task !== null && task.due <= until; task = this.#first) {
        this.#unlink(task)
        task.run()
      }
    } finally {
      this.#arm()
    }
  }
}

/** The schedules of one plugin, by delay: made when first asked for, gone when empty. */
export class TimerLists {
  readonly #byDelay = new Map<number, TimerList>()

  /** How many delays are waited for. */
  get size (): number {
    return this.#byDelay.size
  }

  /** The schedule of all tasks that wait for `delay` ms. */
  get (delay: number): TimerList {
    let schedule = this.#byDelay.get(delay)
    if (schedule === undefined) {
      const made = new TimerList(() => {
        if (this.#byDelay.get(delay) === made) this.#byDelay.delete(delay)
      })
      this.#byDelay.set(delay, schedule = made)
    }
    return schedule
  }
}

/** Calls back once, after a delay, unless it is cancelled. */
export class Delay implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  readonly #schedule: TimerList
  readonly #callback: () => void

  constructor (schedules: TimerLists, ms: number, callback: () => void) {
    this.#callback = callback
    this.#schedule = schedules.get(ms)
    this.#schedule.schedule(now() + ms, this)
  }

  run (): void {
    this.#callback()
  }

  cancel (): void {
    this.#schedule.remove(this)
  }
}

/**
 * The next tick of an anchored rhythm: the first multiple of `interval` after `due` that is not past,
 * so that a late tick does not shift the ones after it, and ticks that were missed are left out.
 */
export function nextDueTime (due: number, interval: number, now: number): number {
  const missed = Math.max(0, Math.floor((now - due) / interval))
  return due + (missed + 1) * interval
}
