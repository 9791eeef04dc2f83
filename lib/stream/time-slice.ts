// Tested by test/issues/endless-source.test.ts
import { real } from '../clock.js'

/** Time for which loops over sources (iterables of the application) may block the event loop if a next item is always ready, ms. Then other work gets a turn. */
const SLICE = 10

/** `sliceIsOver` reads the clock at least once in so many calls. It does not read it in each call, because that takes up to a tenth of the time of a write. */
const MOST_CALLS = 16

// When the current slice (`SLICE` ms of work in one turn of the event loop) began; null: not yet. All loops of the process share the slice.
let began: number | null = null
let over = false
let lastRead = 0
let calls = 1
let callsLeft = 1
let turn: Promise<void> | null = null
let resume: (() => void) | null = null

/** Returns whether this turn of the event loop has taken about `SLICE` ms. The caller then awaits `nextTurn()`. Hot path: called for each item of a source. */
export function sliceIsOver (): boolean {
  if (over || --callsLeft > 0) return over
  const now = real.now()
  if (began === null) {
    began = now
    real.setImmediate(beginSlice)
  } else {
    calls = now - lastRead > 1 ? 1 : Math.min(MOST_CALLS, 2 * calls)
  }
  callsLeft = calls
  lastRead = now
  over = now - began > SLICE
  return over
}

/** Returns a promise that resolves in the next turn of the event loop. Called after `sliceIsOver` returned true. All callers share it, so that all continue. */
export function nextTurn (): Promise<void> {
  turn ??= new Promise((resolve) => { resume = resolve })
  return turn
}

function beginSlice (): void {
  began = null
  over = false
  turn = null
  resume?.()
}
