// Tested by test/issues/endless-source.test.ts
import { real } from '../clock.js'

/** Time that loops which never wait may block the event loop, ms. */
const SLICE = 10

/** Calls per reading of the clock, at most. A reading takes up to a tenth of the time of an event. */
const MOST_CALLS = 16

// One slice for all loops of the process, because they share its one event loop.
let began: number | null = null
let over = false
let lastRead = 0
let calls = 1
let callsLeft = 1
let turn: Promise<void> | null = null
let resume: (() => void) | null = null

/** Whether the event loop has been blocked for about `SLICE` ms. Hot path: called for each item of a source. */
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

/** Resolves at the next turn of the event loop. Called when the slice is over: all waiting loops then continue in turns, one item each. */
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
