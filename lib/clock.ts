import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'

const realSetTimeout = setTimeout
const realDateNow = Date.now
const realPerformanceNow = performance.now
const realNow = performance.now.bind(performance)

/**
 * The timers and the clock of Node, saved before a test can fake them. They serve waits for the network or the event loop,
 * and limits that end a wait for the application.
 */
export const real = { setTimeout: realSetTimeout, clearTimeout, setImmediate, turn, wait, now: realNow }

/** Node's timers count whole milliseconds and fire up to 1 ms early. */
const GRANULARITY = 1

/** The function that identifies the current clock, the function that reads it, and the offset that is added. */
let source: unknown = realSetTimeout
let read = realNow
let offset = 0
/** The last time that a fake clock showed. */
let last = 0

/**
 * The monotonic time, ms: `performance.now()`, unless timers are faked. Under fake timers it follows the fake
 * `performance.now()`, or else the fake `Date`, because most fakes replace only that. Hot path.
 */
export function now (): number {
  return setTimeout === realSetTimeout && source === realSetTimeout ? realNow() + offset : followFake()
}

/** True while a test fakes the timers, so that time passes in steps. */
export function isFake (): boolean {
  return setTimeout !== realSetTimeout
}

/**
 * Moves the clock to the time for which a timer was set, because the timer has fired. A fake `setTimeout` may have no fake
 * clock beside it, or a clock that stands still.
 *
 * @returns the time up to which tasks are due
 */
export function reached (time: number): number {
  const at = now()
  // without tolerance under fake timers, because a test counts the ms to the next tick
  if (time <= at || (!isFake() && time <= at + GRANULARITY)) return at + GRANULARITY
  offset += time - at
  return time
}

function followFake (): number {
  const current = currentSource()
  if (current !== source) change(current)
  const at = read() + offset
  // continues from the last time after a clock is set back
  if (at < last) offset += last - at
  else last = at
  return last
}

/** Switches to another clock without a jump, when a test installs or removes fake timers. */
function change (current: unknown): void {
  if (read === realNow) last = realNow() + offset
  source = current
  read = realNow
  if (current === performance.now) read = () => performance.now()
  else if (current === Date.now) read = () => Date.now()
  // an integer, so that sums of whole ms stay whole
  offset = Math.ceil(last - read())
}

function currentSource (): unknown {
  if (!isFake()) return realSetTimeout
  if (performance.now !== realPerformanceNow) return performance.now
  return Date.now === realDateNow ? setTimeout : Date.now
}
