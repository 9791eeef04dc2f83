import { compareEventIds } from '../../lib/event/id.js'
import type { Subscriber } from '../integration/subscriber.js'
import type { Sent } from './publishers.js'

/** Events that a reader received. */
export interface Checked {
  faults: string[]
  gaps: number
  /** Number of gaps that set its id back, because the log did not know its id. */
  back: number
  /** Number of missed events that gaps announced. */
  missed: number
}

/** Checks that no published event is missing, doubled, out of order or changed, except those that a gap announces. */
export function check ({ received }: Pick<Subscriber, 'received'>, published: ReadonlyMap<string, Sent>): Checked {
  const faults: string[] = []
  const got = new Set<string>()
  const gaps = received.filter(({ event }) => event === 'gap')
  const since = received[0]?.held ?? ''
  let [before, back] = [since, 0]
  for (const { id, event, data, held } of received) {
    if (event === 'gap') {
      const { lastEventId } = JSON.parse(data)
      if (lastEventId !== held) faults.push(`the gap ${id} is said to begin at ${lastEventId}, not at ${held}`)
      // the events in the log after it follow, some of them a second time
      if (compareEventIds(id, before) < 0) back++
    } else {
      if (compareEventIds(before, id) >= 0) faults.push(`${id} came after ${before}, and no gap between`)
      if (published.get(id)?.data !== data) faults.push(`${id} is not one that its topics had: ${data.slice(0, 40)}`)
      got.add(id)
    }
    before = id
  }
  const missing = [...published.keys()].filter((id) => compareEventIds(since, id) < 0 && !got.has(id))
  // a Redis that lost its data may have lost events that no process had read; the gap is before the next event
  const holes = received.flatMap(({ event, id, held }, i) => event === 'gap' ? [{ from: held ?? '', to: later(id, received[i + 1]?.id ?? id) }] : [])
  for (const id of missing) {
    if (!holes.some(({ from, to }) => compareEventIds(from, id) < 0 && compareEventIds(id, to) <= 0)) faults.push(`${id} is missing, and no gap tells of it`)
  }
  return { faults, gaps: gaps.length, back, missed: missing.length }
}

function later (a: string, b: string): string {
  return compareEventIds(a, b) < 0 ? b : a
}
