import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'

const realSetTimeout = setTimeout
const realDateNow = Date.now
const realPerformanceNow = performance.now
const realNow = performance.now.bind(performance)

/**
 * The timers and the clock of Node, saved when this file is loaded, before a test can replace them with fakes. Used to wait for the
 * network or the event loop, and to end a wait for code of the application. Fake time must not stop these waits.
 */
export const real = { setTimeout: realSetTimeout, clearTimeout, setImmediate, turn, wait, now: realNow }

/** Time by which a Node timer may fire early, ms, because Node's timers count whole milliseconds. */
const GRANULARITY = 1

/** The function that identifies the current clock: Node's `setTimeout`, or a function faked by a test. `read` reads this clock; `offset`, ms, is added to its time. */
let source: unknown = realSetTimeout
let read = realNow
let offset = 0
/** The last time that `now()` returned under fake timers, ms, so that time never runs backwards. */
let last = 0

/**
 * Returns a time that never decreases, ms. It is the time of `performance.now()`. Under fake timers of a test it is the time of the fake
 * `performance.now()`. If a test does not fake that, it is the time of the fake `Date`, because most fakes replace only `Date`. Hot path.
 */
export function now (): number {
  return setTimeout === realSetTimeout && source === realSetTimeout ? realNow() + offset : followFake()
}

/** Returns whether a test has replaced `setTimeout` with a fake, so that time passes only in steps. */
export function isFake (): boolean {
  return setTimeout !== realSetTimeout
}

/**
 * Called when a timer has fired that was set for `time`. If the clock of `now()` is behind, moves it forward to `time`, because a test
 * may fake `setTimeout` without a clock, or with a clock that stands still.
 *
 * @returns the time up to which tasks are due, on the clock of `now()`, ms
 */
export function reached (time: number): number {
  const at = now()
  // no tolerance of 1 ms under fake timers, because a test may check the exact time of a tick
  if (time <= at || (!isFake() && time <= at + GRANULARITY)) return at + GRANULARITY
  offset += time - at
  return time
}

function followFake (): number {
  const current = currentSource()
  if (current !== source) change(current)
  const at = read() + offset
  // if the clock was set back, time continues from the last time that was returned
  if (at < last) offset += last - at
  else last = at
  return last
}

/** Called when a test has installed or removed fake timers. Makes `now()` read another clock, and sets `offset` so that time does not jump. */
function change (current: unknown): void {
  if (read === realNow) last = realNow() + offset
  source = current
  read = realNow
  if (current === performance.now) read = () => performance.now()
  else if (current === Date.now) read = () => Date.now()
  // rounded to an integer, so that a fake clock of whole ms gives times of whole ms
  offset = Math.ceil(last - read())
}

function currentSource (): unknown {
  if (!isFake()) return realSetTimeout
  if (performance.now !== realPerformanceNow) return performance.now
  return Date.now === realDateNow ? setTimeout : Date.now
}
