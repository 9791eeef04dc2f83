import { real } from '../clock.js'

/** How long loops that never wait may keep the event loop from its other work, ms. */
const SLICE = 10

/** The clock is read once in so many calls at most, because reading it takes up to a tenth of the time of an event. */
const MOST_CALLS = 16

// One slice for all loops of the process, because they share its one event loop.
let began: number | null = null
let over = false
let lastRead = 0
let calls = 1
let callsLeft = 1
let turn: Promise<void> | null = null
let resume: (() => void) | null = null

/** Whether the event loop has not turned for about `SLICE` ms. Hot path: asked for each item of a source. */
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

/** Resolves after the event loop has done its other work; asked for where the slice is over. All who wait then go on by turns, an item each. */
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
