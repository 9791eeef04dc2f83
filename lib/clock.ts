import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'

const realSetTimeout = setTimeout
const realDateNow = Date.now
const realPerformanceNow = performance.now
const realNow = performance.now.bind(performance)

/**
 * The process's own timers and clock, kept from before a test fakes them: for what waits for the network or for the event
 * loop, and for what ends although the application does not.
 */
export const real = { setTimeout: realSetTimeout, clearTimeout, setImmediate, turn, wait, now: realNow }

/** Timers have whole milliseconds, and Node's fire up to one too early. */
const GRANULARITY = 1

/** The function by which a clock is recognised, how it is read, and what is added to it. */
let source: unknown = realSetTimeout
let read = realNow
let offset = 0
/** The time when a fake clock was read last. */
let last = 0

/**
 * The time, ms: monotonic, and that of `performance.now()` unless timers are faked. Under fake timers it is that
 * of the fake `performance.now()`, or else of `Date`, because most fakes replace only that. Hot path.
 */
export function now (): number {
  return setTimeout === realSetTimeout && source === realSetTimeout ? realNow() + offset : followFake()
}

/** True while a test fakes the timers, so that time passes in its steps. */
export function isFake (): boolean {
  return setTimeout !== realSetTimeout
}

/**
 * A timer that was set for a time has fired: this proves that the time has come, also where a fake `setTimeout` has no
 * fake clock beside it, or a clock that stands still.
 *
 * @returns up to when tasks are due
 */
export function reached (time: number): number {
  const at = now()
  // under fake timers the time goes on to the very ms, because a test counts the ms to the next tick
  if (time <= at || (!isFake() && time <= at + GRANULARITY)) return at + GRANULARITY
  offset += time - at
  return time
}

function followFake (): number {
  const current = currentSource()
  if (current !== source) change(current)
  const at = read() + offset
  // a clock that is set back goes on from where it was
  if (at < last) offset += last - at
  else last = at
  return last
}

/** Continues the time without a jump when a test installs or removes fake timers. */
function change (current: unknown): void {
  if (read === realNow) last = realNow() + offset
  source = current
  read = realNow
  if (current === performance.now) read = () => performance.now()
  else if (current === Date.now) read = () => Date.now()
  // whole, so that sums of whole ms stay whole
  offset = Math.ceil(last - read())
}

function currentSource (): unknown {
  if (!isFake()) return realSetTimeout
  if (performance.now !== realPerformanceNow) return performance.now
  return Date.now === realDateNow ? setTimeout : Date.now
}
