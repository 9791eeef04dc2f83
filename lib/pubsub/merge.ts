// Tested by test/pubsub/history.test.ts
import type { PublishedEvent } from '../backplane.js'
import type { Kept, Ring } from './ring.js'

/** A position in a ring: the next event to read from it. */
interface Cursor {
  readonly ring: Ring
  index: number
  kept: Kept
}

/**
 * Returns up to `limit` events of several rings in the order of the log, each once. The cursors are a binary heap by the order of
 * their next events, so that the cost per event grows with the logarithm of the number of rings.
 * @param starts the rings, each with the index of its first event to read
 * @param isPast returns true for the first event that is not read
 */
export function mergeRings (starts: Iterable<readonly [ring: Ring, index: number]>, limit: number, isPast: (event: PublishedEvent) => boolean): PublishedEvent[] {
  const heap: Cursor[] = []
  for (const [ring, index] of starts) {
    const kept = ring.at(index)
    if (kept !== undefined) heap.push({ ring, index, kept })
  }
  for (let i = (heap.length >>> 1) - 1; i >= 0; i--) siftDown(heap, i)

  const events: PublishedEvent[] = []
  let before = -1
  for (let [top] = heap; top !== undefined && events.length < limit; [top] = heap) {
    const { kept } = top
    if (isPast(kept)) break
    // an event for several topics of the reader is in several rings
    if (kept.order !== before) events.push(kept)
    before = kept.order
    advance(heap, top)
  }
  return events
}

/** Moves the cursor at the top of the heap to the next event of its ring. Removes it at the end of the ring. */
function advance (heap: Cursor[], top: Cursor): void {
  const next = top.ring.at(++top.index)
  if (next !== undefined) {
    top.kept = next
  } else {
    const last = heap.pop()
    if (last === undefined || last === top) return
    heap[0] = last
  }
  siftDown(heap, 0)
}

function siftDown (heap: Cursor[], parent: number): void {
  const [here, left, right] = [heap[parent], heap[2 * parent + 1], heap[2 * parent + 2]]
  if (here === undefined || left === undefined) return
  const isRight = right !== undefined && right.kept.order < left.kept.order
  const lower = isRight ? right : left
  if (here.kept.order <= lower.kept.order) return
  const child = 2 * parent + (isRight ? 2 : 1)
  heap[parent] = lower
  heap[child] = here
  siftDown(heap, child)
}
