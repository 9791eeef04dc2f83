import { compareEventIds } from '../../lib/event/id.js'
import type { Subscriber } from '../integration/subscriber.js'
import type { Sent } from './publishers.js'

/** What a reader got. */
export interface Checked {
  faults: string[]
  gaps: number
  /** How many gaps took it back to an id lower than the one it held, since the log did not know that. */
  back: number
  /** How many events it was not sent, which gaps told of. */
  missed: number
}

/** Whether nothing that was published is missing, doubled, out of order or other than it was, unless a gap told so. */
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
      // what the log holds after it comes then, perhaps again
      if (compareEventIds(id, before) < 0) back++
    } else {
      if (compareEventIds(before, id) >= 0) faults.push(`${id} came after ${before}, and no gap between`)
      if (published.get(id)?.data !== data) faults.push(`${id} is not one that its topics had: ${data.slice(0, 40)}`)
      got.add(id)
    }
    before = id
  }
  const missing = [...published.keys()].filter((id) => compareEventIds(since, id) < 0 && !got.has(id))
  // a Redis that lost its data may have lost what no process had read by then: the gap is before whatever came next
  const holes = received.flatMap(({ event, id, held }, i) => event === 'gap' ? [{ from: held ?? '', to: later(id, received[i + 1]?.id ?? id) }] : [])
  for (const id of missing) {
    if (!holes.some(({ from, to }) => compareEventIds(from, id) < 0 && compareEventIds(id, to) <= 0)) faults.push(`${id} is missing, and no gap tells of it`)
  }
  return { faults, gaps: gaps.length, back, missed: missing.length }
}

function later (a: string, b: string): string {
  return compareEventIds(a, b) < 0 ? b : a
}
