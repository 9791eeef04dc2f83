// Tested by test/testing/backplane.test.ts
import { deepStrictEqual, ok } from 'node:assert/strict'
import type { Backplane, Control, Gap, HistorySettings, Page, Publication, PublishedEvent, Reader } from '../../backplane.js'
import { real } from '../../clock.js'
import { compareEventIds } from '../../event/id.js'

/** Opens a backplane with an empty log. The test that calls it closes the backplane at its end. */
export type Open = (history?: Partial<HistorySettings>) => Promise<Log>

/** Tests by name. */
export type Tests = Record<string, (open: Open) => Promise<void>>

/** An event or a gap, in the order in which a reader got them. `after` is the position before the gap. */
export type Item = PublishedEvent | (Gap & { after: string })

/** The events and gaps that a reader got until its position was the newest. */
export interface Read {
  items: Item[]
  events: PublishedEvent[]
  gaps: Array<Gap & { after: string }>
  /** The number of events received by then. Later ones are live. */
  live: number
}

/** An open backplane and the entries received from it. */
export class Log {
  readonly received: PublishedEvent[] = []
  /** The ids of the received events, and the received control messages, in their order. */
  readonly order: Array<string | Control> = []
  /** The value of `newest` at each received entry. */
  readonly positions: string[] = []
  /** The gaps that the backplane reported to the listener. */
  readonly lost: Gap[] = []
  /** The position right after `open()`. */
  start = ''
  readonly backplane: Backplane
  readonly #timeout: number

  /** @param timeout the longest wait for an entry, ms */
  constructor (backplane: Backplane, timeout: number) {
    this.backplane = backplane
    this.#timeout = timeout
  }

  async open (): Promise<this> {
    const { backplane } = this
    await backplane.open({
      onEvent: (event) => {
        this.received.push(event)
        this.order.push(event.id)
        this.positions.push(backplane.newest)
      },
      onControl: (control) => {
        this.order.push(control)
        this.positions.push(backplane.newest)
      },
      onGap: (gap) => { this.lost.push(gap) }
    })
    this.start = backplane.newest
    return this
  }

  async publish (data = 'x', topic = 'news'): Promise<string> {
    return this.backplane.publish(publication('topic', [topic], `data: ${data}\n\n`))
  }

  /** Publishes events one after the other. Resolves to their ids once all are received. */
  async publishMany (count: number): Promise<string[]> {
    const ids: string[] = []
    for (let i = 0; i < count; i++) ids.push(await this.publish(String(i)))
    await this.receives(ids.at(-1))
    return ids
  }

  /** Waits until an event is the last received one. */
  async receives (id: string | undefined): Promise<void> {
    await this.until(`event ${id} is received`, () => this.received.at(-1)?.id === id)
  }

  /** Waits until a condition is true. Rejects with `message` after the timeout. */
  async until (message: string, condition: () => boolean): Promise<void> {
    for (const end = real.now() + this.#timeout; !condition(); await real.turn()) ok(real.now() < end, `${message}: not within ${this.#timeout} ms`)
  }

  /** Returns the received events that a reader gets and that are newer than `after`. */
  eventsFor ({ topics, clientId }: Reader, after: string): PublishedEvent[] {
    return this.received.filter(({ id, to, names }) => {
      if (compareEventIds(id, after) <= 0) return false
      if (to === 'topic') return names.some((topic) => topics.has(topic))
      return to === 'all' || names.includes(clientId)
    })
  }

  /** Reads pages after a position until it is the newest. */
  async readOn (after: string, limit: number, of = reader(['news'])): Promise<Read> {
    const read: Read = { items: [], events: [], gaps: [], live: 0 }
    let position = after
    for (let pages = 0; position !== this.backplane.newest; pages++) {
      ok(pages < 10_000, `read: the pages after ${after} do not end; after 10,000 pages the position is ${position}, and newest is ${this.backplane.newest}`)
      const page = await this.backplane.read(position, of, limit)
      this.#check(page, position, limit)
      if (page.gap !== null) {
        const gap = { after: position, ...page.gap }
        read.gaps.push(gap)
        read.items.push(gap)
      }
      read.events.push(...page.events)
      read.items.push(...page.events)
      position = page.position
      await real.turn()
    }
    read.live = this.received.length
    return read
  }

  /** Asserts that a page of a read after a position contradicts neither itself nor the interface. */
  #check ({ gap, events, position }: Page, after: string, limit: number): void {
    const { newest } = this.backplane
    ok(events.length <= limit, `read: ${events.length} events in a page of ${limit}`)
    ok(gap !== null || events.length > 0 || position !== after, `read: an empty page whose position does not move from ${after}, and newest is ${newest}`)
    ok(compareEventIds(position, newest) <= 0, `read: the position ${position} is greater than newest, which is ${newest}`)
    const ids = [gap?.lastMissedId ?? '0-0', ...idsOf(events)]
    for (const id of ids) ok(compareEventIds(id, position) <= 0, `read: ${id} is in a page with the smaller position ${position}`)
  }
}

/** Returns the reader for a stream. Without a client id it gets only events of its topics and broadcasts. */
export function reader (topics: readonly string[], clientId = 'no client'): Reader {
  return { topics: new Set(topics), clientId, from: null }
}

export function publication (to: Publication['to'], names: string[], frame: string, others: Partial<Publication> = {}): Publication {
  return { to, names, except: null, limits: null, frame, ...others }
}

export function idsOf (events: readonly PublishedEvent[]): string[] {
  return events.map(({ id }) => id)
}

/** Returns the ids of events, and `gap` and its `lastMissedId` for each gap. */
export function idsAndGaps ({ items }: Read): string[] {
  return items.map((item) => 'lastMissedId' in item ? `gap ${item.lastMissedId}` : item.id)
}

/** Returns the parts of an event that a stream needs. */
export function partsOf ({ id, to, names, except, frame, text }: PublishedEvent): object {
  return { id, to, names, except, frame, text }
}

/** Returns the same parts of a publication that has got an id. */
export function expectedParts (id: string, { to, names, except, frame }: Publication): object {
  return { id, to, names, except, frame, text: `id: ${id}\n${frame}` }
}

/** Asserts that two values are deeply equal. The error has a message and the difference. */
export function same (actual: unknown, expected: unknown, message: string): void {
  try {
    deepStrictEqual(actual, expected)
  } catch (error) {
    throw Object.assign(error as Error, { message: `${message}. ${(error as Error).message}` })
  }
}
