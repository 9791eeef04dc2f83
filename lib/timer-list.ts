import { now, reached } from './clock.js'

/** A task that a timer list runs at a certain time. It is in one list at most. */
export interface Task {
  /** Time at which the list runs the task, on the clock of `now()`, ms. Set by the list. */
  due: number
  prev: Task | null
  next: Task | null
  /** Called by the list once, when the task is due. A task that repeats has to schedule itself again. */
  run (): void
}

/** Longest delay that a Node timer can have, ms (about 24.8 days). */
export const TIMEOUT_MAX = 2 ** 31 - 1

/** Time that is subtracted from a delay before the delay is rounded up, ms. Otherwise an error in a sum of times could make the delay 1 ms longer. */
const ROUNDING = 0.01

/**
 * A linked list of tasks with the same delay, which share one Node timer. The timer does not keep the process alive.
 *
 * The task that is scheduled last is nearly always due last, because all have the same delay. So it takes only a few
 * assignments to add, move or remove a task.
 */
export class TimerList {
  #first: Task | null = null
  #last: Task | null = null
  #timer: NodeJS.Timeout | undefined
  /** The function `setTimeout` that set the current timer: Node's own, or that of a test's fake timers. */
  #setBy = setTimeout
  readonly #emptied: () => void

  /** Creates an empty list. @param emptied called each time the list becomes empty */
  constructor (emptied: () => void) {
    this.#emptied = emptied
  }

  /** Adds a task that is due at `due`, or moves it if it is in the list. Hot path: every write to a stream moves its heartbeat. */
  schedule (due: number, task: Task): void {
    if (task === this.#last) {
      // moved to a later time, the last task stays the last
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
    // a new timer, because the current one may be too late for a new first task, or was removed with the fake timers of a test
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

  /** Sets the Node timer to the time of the first task. If the list is empty, clears the timer. */
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

  // Called by the Node timer. Runs the tasks that are due. Reads the first one anew each time, because a task may remove others.
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

/** The timer lists of one plugin, one per delay. A list is created when its delay is first used, and deleted when it is empty. */
export class TimerLists {
  readonly #byDelay = new Map<number, TimerList>()

  /** Number of lists, which is the number of different delays in use. */
  get size (): number {
    return this.#byDelay.size
  }

  /** Returns the list for tasks with a delay of `delay` ms. Creates it if there is none. */
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

/** Calls `callback` once after `ms` milliseconds, unless `cancel()` is called before. */
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
 * Returns the time of an interval's next tick: `due` plus the smallest multiple of `interval` that gives a time after `now`. A late
 * tick does not shift later ones, and missed ticks are skipped. @param due the time at which the current tick was due
 */
export function nextDueTime (due: number, interval: number, now: number): number {
  const missed = Math.max(0, Math.floor((now - due) / interval))
  return due + (missed + 1) * interval
}
