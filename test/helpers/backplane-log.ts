import { setImmediate as turn } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Backplane, Control, Gap, PublishedEvent, Reader } from '../../lib/backplane.js'
import { compareEventIds } from '../../lib/event/id.js'
import { until } from './until.js'

/** An event or a gap, in the order in which a reader got them. */
export type Item = PublishedEvent | (Gap & { after: string })

/** The events and gaps that a reader got until its position was the newest. */
export interface Read {
  items: Item[]
  events: PublishedEvent[]
  gaps: Array<Gap & { after: string }>
  /** The number of events received by then. Later ones are live. */
  live: number
}

/** Returns the reader for a stream. Without a client id it gets only events of its topics and broadcasts. */
export function reader (topics: readonly string[], clientId = 'no client'): Reader {
  return { topics: new Set(topics), clientId, from: null }
}

/** An open backplane and the entries received from it. */
export class Log {
  readonly received: PublishedEvent[] = []
  /** The ids of the received events, and the received control messages, in their order. */
  readonly order: Array<string | Control> = []
  /** The value of `newest` at each received entry. */
  readonly positions: string[] = []
  /** The position right after `open()`. */
  start = ''
  readonly backplane: Backplane

  constructor (backplane: Backplane) {
    this.backplane = backplane
  }

  static async open (t: Test, backplane: Backplane): Promise<Log> {
    const log = new Log(backplane)
    t.teardown(() => backplane.close())
    await backplane.open({
      onEvent (event) {
        log.received.push(event)
        log.order.push(event.id)
        log.positions.push(backplane.newest)
      },
      onControl (control) {
        log.order.push(control)
        log.positions.push(backplane.newest)
      },
      onGap: ({ lastMissedId }) => t.fail(`events were lost up to ${lastMissedId}`)
    })
    log.start = backplane.newest
    return log
  }

  async publish (data = 'x', topic = 'news'): Promise<string> {
    return this.backplane.publish({ to: 'topic', names: [topic], except: null, limits: null, frame: `data: ${data}\n\n` })
  }

  /** Publishes events one after the other. Resolves to their ids once all are received. */
  async publishMany (count: number): Promise<string[]> {
    const ids: string[] = []
    for (let i = 0; i < count; i++) ids.push(await this.publish(String(i)))
    await this.until(ids.at(-1))
    return ids
  }

  /** Waits until an event is received. */
  async until (id: string | undefined): Promise<void> {
    await until(`the event ${id}`, () => this.received.at(-1)?.id === id)
  }

  /** Returns the received events that a reader gets and that are newer than `after`. */
  eventsFor ({ topics, clientId }: Reader, after: string): PublishedEvent[] {
    return this.received.filter(({ id, to, names: [name = '', ...others] }) => {
      if (compareEventIds(id, after) <= 0) return false
      if (to === 'topic') return [name, ...others].some((topic) => topics.has(topic))
      return to === 'all' || name === clientId
    })
  }

  /** Reads pages after a position until it is the newest. */
  async readOn (after: string, limit: number, of = reader(['news'])): Promise<Read> {
    const read: Read = { items: [], events: [], gaps: [], live: 0 }
    let position = after
    for (let pages = 0; position !== this.backplane.newest; pages++) {
      if (pages > 10_000) throw new Error(`Reading on from ${after} does not come to an end, at ${position} of ${this.backplane.newest}`)
      const { gap, events, position: next } = await this.backplane.read(position, of, limit)
      if (events.length > limit) throw new Error(`${events.length} events in a page of ${limit}`)
      if (gap === null && events.length === 0 && next === position) throw new Error(`nothing is read after ${position}`)
      if (compareEventIds(next, this.backplane.newest) > 0) throw new Error(`${next} is read before it is received`)
      for (const id of [gap?.lastMissedId ?? '0-0', ...events.map(({ id }) => id)]) if (compareEventIds(id, next) > 0) throw new Error(`${id} is after the position ${next}`)
      if (gap !== null) {
        read.gaps.push({ after: position, ...gap })
        read.items.push({ after: position, ...gap })
      }
      read.events.push(...events)
      read.items.push(...events)
      position = next
      await turn()
    }
    read.live = this.received.length
    return read
  }
}
