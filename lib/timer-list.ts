import { now, reached } from './clock.js'

/** A task that is due at a time. It is in one list at most. */
export interface Task {
  /** When it is due, on the clock of `now()`, ms. Set by the list. */
  due: number
  prev: Task | null
  next: Task | null
  /** Called once when the task is due. A task that repeats schedules itself again. */
  run (): void
}

/** Longest delay of a Node timer, ms. */
export const TIMEOUT_MAX = 2 ** 31 - 1

/** Tolerance for rounding errors in sums of times, ms, so that none makes a delay 1 ms longer. */
const ROUNDING = 0.01

/**
 * Tasks with the same delay, in one linked list on one Node timer.
 *
 * The task that is scheduled last is nearly always due last, because all have the same delay: to add, move or remove a
 * task takes a few assignments. The timer does not keep the process alive.
 */
export class TimerList {
  #first: Task | null = null
  #last: Task | null = null
  #timer: NodeJS.Timeout | undefined
  /** The `setTimeout` that set the timer: Node's, or the fake of a test. */
  #setBy = setTimeout
  readonly #emptied: () => void

  /** @param emptied called when the list becomes empty */
  constructor (emptied: () => void) {
    this.#emptied = emptied
  }

  /** Adds a task, or moves it to a new time. Hot path: every write moves the heartbeat of its stream. */
  schedule (due: number, task: Task): void {
    if (task === this.#last) {
      // the last task stays the last at a later time
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
    // the current timer may be too late for a new first task, or gone with the fake timers of a test
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

  /** Sets the Node timer for the first task. */
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

  // takes one task at a time, because each may remove others
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

/** The timer lists of one plugin, by delay: created on first use, deleted when empty. */
export class TimerLists {
  readonly #byDelay = new Map<number, TimerList>()

  /** Number of delays that have tasks. */
  get size (): number {
    return this.#byDelay.size
  }

  /** The list of all tasks with a delay of `delay` ms. */
  get (delay: number): TimerList {
    let list = this.#byDelay.get(delay)
    if (list === undefined) {
      const created = new TimerList(() => {
        if (this.#byDelay.get(delay) === created) this.#byDelay.delete(delay)
      })
      this.#byDelay.set(delay, list = created)
    }
    return list
  }
}

/** Calls a function once after a delay, unless it is cancelled. */
export class Delay implements Task {
  due = 0
  prev: Task | null = null
  next: Task | null = null
  readonly #list: TimerList
  readonly #callback: () => void

  constructor (timers: TimerLists, ms: number, callback: () => void) {
    this.#callback = callback
    this.#list = timers.get(ms)
    this.#list.schedule(now() + ms, this)
  }

  run (): void {
    this.#callback()
  }

  cancel (): void {
    this.#list.remove(this)
  }
}

/**
 * The next tick of an anchored interval: the first multiple of `interval` after `due` that is not past. A late tick does
 * not shift later ones, and missed ticks are skipped.
 */
export function nextDueTime (due: number, interval: number, now: number): number {
  const missed = Math.max(0, Math.floor((now - due) / interval))
  return due + (missed + 1) * interval
}
