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
    const { event, order } = top.kept
    if (isPast(event)) break
    // an event for several topics of the reader is in several rings
    if (order !== before) events.push(event)
    before = order
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

function siftDown (heap: Cursor[], from: number): void {
  for (let parent = from; ;) {
    const [left, right] = [heap[2 * parent + 1], heap[2 * parent + 2]]
    const [here] = [heap[parent]]
    if (here === undefined || left === undefined) return
    const child = right !== undefined && right.kept.order < left.kept.order ? 2 * parent + 2 : 2 * parent + 1
    const lower = child === 2 * parent + 1 ? left : right
    if (lower === undefined || here.kept.order <= lower.kept.order) return
    heap[parent] = lower
    heap[child] = here
    parent = child
  }
}
