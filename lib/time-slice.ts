/** How long loops that never wait may keep the event loop from its other work, ms. */
const SLICE = 10

// One slice for all loops of the process, because they share its one event loop.
let began: number | null = null
let turn: { over: Promise<void>, resolve: () => void } | null = null

/** Whether the event loop has not turned for `SLICE` ms. Hot path: asked for each item of a source. */
export function sliceIsOver (): boolean {
  const now = performance.now()
  if (began !== null) return now - began > SLICE
  began = now
  setImmediate(beginSlice)
  return false
}

/** Resolves after the event loop has done its other work. All who wait go on in turns, an item each. */
export function nextTurn (): Promise<void> {
  if (turn === null) {
    let resolve = () => {}
    const over = new Promise<void>((settle) => { resolve = settle })
    turn = { over, resolve }
    if (began === null) setImmediate(beginSlice)
  }
  return turn.over
}

function beginSlice (): void {
  began = null
  turn?.resolve()
  turn = null
}
