import type { HistorySettings, Page, Publication, PublishedEvent, Reader, StartPositions, TopicHistory } from '../backplane.js'
import { now } from '../clock.js'
import { compareEventIds, latestId } from '../event/id.js'
import { mergeRings } from './merge.js'
import { joinTexts } from './replay-texts.js'
import { type Kept, Ring, Rings } from './ring.js'

/**
 * Builds a published event from its parts. Adds the `id:` line once for all streams. Hot path.
 *
 * The `frame` (event without `id:` line) of the result is a slice of its `text`, so that memory holds the bytes once. With two strings
 * an event of 350 bytes took 1,149 bytes of heap, with a slice 571.
 */
export function publishedEvent (id: string, { to, names, except, limits, frame }: Publication): Kept {
  const text = `id: ${id}\n${frame}`
  return { id, to, names, except, limits, frame: text.slice(text.length - frame.length), text, time: now(), order: 0, bytes: 0, maxAge: 0, rings: 0, prev: null, next: null }
}

/**
 * Memory that an event takes besides its text, bytes: its objects, and a ring with an entry in a Map if it is the only event of a topic.
 * Measured: 412 in a topic with many events, 576 as the only event of a topic.
 */
const OVERHEAD = 600

/** Number of empty rings that are kept for their `droppedThrough`, so that the loss of each topic stays exact. */
const EMPTY_RINGS = 10_000

/** Number of pages that are kept for other readers. */
const SHARED_PAGES = 8

/** A page that was read, and the arguments of the read. */
interface LastRead {
  readonly page: Page
  readonly after: string
  readonly topics: ReadonlySet<string>
  readonly limit: number
}

/** The kept events of the log of published events, in memory: for each topic, each client id and the broadcasts the newest ones within their limits. */
export class History {
  readonly #settings: HistorySettings
  readonly #topics: Rings
  readonly #clients: Rings
  readonly #broadcasts: Ring
  /** The rings without events, in the order in which they became empty. */
  readonly #empty = new Set<Ring>()
  #oldest: Kept | null = null
  #last: Kept | null = null
  #bytes = 0
  #count = 0
  #newest: string
  /** The last reads. Forgotten at each change of the log. */
  #lastReads: LastRead[] = []

  /** Creates an empty history. @param start an id that is older than all events that will be appended */
  constructor (settings: HistorySettings, start: string) {
    this.#settings = settings
    this.#newest = start
    this.#topics = new Rings(start)
    this.#clients = new Rings(start)
    this.#broadcasts = new Ring(settings, start)
  }

  /** Id of the newest entry of the log, even if it was dropped since. Before the first one: `start` of the constructor. */
  get newest (): string {
    return this.#newest
  }

  /** Id of the oldest kept event; null if there is none. */
  get oldestId (): string | null {
    this.#dropExpired(now())
    return this.#oldest?.id ?? null
  }

  /** Memory that the kept events take, bytes, and the number of topics and client ids that the history knows. */
  get size (): { bytes: number, names: number } {
    return { bytes: this.#bytes, names: this.#topics.size + this.#clients.size }
  }

  /** Moves the end of the log to the id of an entry that is not kept. */
  advance (id: string): void {
    this.#forgetReads()
    this.#newest = id
  }

  /** Appends an event, and drops events that are then outside the limits. Hot path. */
  append (kept: Kept): void {
    const { id, to, names, limits, text, time } = kept
    this.#forgetReads()
    kept.order = this.#count++
    kept.bytes = OVERHEAD + Buffer.byteLength(text)
    // counted as in one more ring until it is in all of its rings, because a ring may drop it at once
    kept.rings = 1
    kept.prev = this.#last
    this.#newest = id
    if (this.#last === null) this.#oldest = kept
    else this.#last.next = kept
    this.#last = kept
    this.#bytes += kept.bytes
    if (to === 'all') this.#add(kept, this.#broadcasts, this.#settings)
    let i = 0
    for (const name of names) this.#add(kept, this.#ring(to === 'topic' ? this.#topics : this.#clients, name), limits?.[i++] ?? this.#settings)
    if (--kept.rings === 0) this.#remove(kept)
    this.#dropExpired(time)
    while (this.#bytes > this.#settings.maxBytes && this.#oldest !== null) this.#dropEverywhere(this.#oldest)
  }

  /** Reads a page, as `Backplane.read` describes it. */
  read (after: string, reader: Reader, limit: number): Page {
    const same = this.#findRead(after, reader, limit)
    if (same !== undefined) return same.page
    const { starts, lost } = this.#locate(after, reader)
    const page = lost === after ? this.#readFrom(starts, after, limit) : this.#readAfterLoss(starts, lost, limit)
    return this.#keepRead(page, after, reader, limit)
  }

  /** Reads a page if the history has all events for the reader that are newer than `after`, otherwise returns null. */
  readWhole (after: string, reader: Reader, limit: number): Page | null {
    const { starts, lost } = this.#locate(after, reader)
    return lost === after ? this.#readFrom(starts, after, limit) : null
  }

  /** Returns one of the last reads if a new one would have the same result, because many clients that reconnect at once miss the same events. */
  #findRead (after: string, reader: Reader, limit: number): LastRead | undefined {
    if (!this.#isShared(reader)) return
    // forgets the last reads if it drops an event
    this.#expireRings(reader.topics)
    const same = this.#lastReads.find((read) => read.after === after && read.limit === limit && isEqual(read.topics, reader.topics))
    if (same !== undefined) joinTexts(same.page)
    return same
  }

  #keepRead (page: Page, after: string, reader: Reader, limit: number): Page {
    if (!this.#isShared(reader)) return page
    if (this.#lastReads.length === SHARED_PAGES) this.#lastReads.shift()
    // a copy of the topics, because a stream changes its Set
    this.#lastReads.push({ page, after, topics: new Set(reader.topics), limit })
    return page
  }

  /** Returns whether other readers may get the same page. Not if the reader rewinds, or has events of its client id. */
  #isShared ({ clientId, from }: Reader): boolean {
    return from === null && !this.#clients.has(clientId)
  }

  #readFrom (starts: Array<[ring: Ring, index: number]>, after: string, limit: number): Page {
    return this.#page(null, mergeRings(starts, limit, () => false), limit, after)
  }

  /** Reads the events before a loss, or if there are none, the gap and the events after it. @param lost id of the newest event that may be missing */
  #readAfterLoss (starts: Array<[ring: Ring, index: number]>, lost: string, limit: number): Page {
    const earlier = mergeRings(starts, limit, ({ id }) => compareEventIds(id, lost) >= 0)
    const last = earlier.at(-1)
    if (last !== undefined) return { gap: null, events: earlier, position: last.id }
    // Another topic of the reader may still have the event `lost`. The gap covers it, because a read after its id would not find the loss.
    const later = starts.map(([ring, index]): [Ring, number] => [ring, Math.max(index, ring.indexAfter(lost))])
    return this.#page({ oldestId: this.oldestId, lastMissedId: lost }, mergeRings(later, limit, () => false), limit, lost)
  }

  /** Returns positions, as `Backplane.rewind` describes them. */
  rewind (topics: ReadonlySet<string>, count: number): StartPositions {
    const positions = new Map<string, string>()
    const time = now()
    for (const topic of topics) {
      const ring = this.#topics.get(topic)
      if (ring !== undefined) this.#expire(ring, time)
      positions.set(topic, ring?.positionBefore(count) ?? this.#topics.floor)
    }
    return { topics: positions, others: this.#newest }
  }

  /** Finds the first events of a reader. `lost` is the id of the newest event for it that may be missing after `after`; `after` if none is missing. */
  #locate (after: string, reader: Reader): { starts: Array<[ring: Ring, index: number]>, lost: string } {
    const starts: Array<[ring: Ring, index: number]> = []
    const time = now()
    let lost = after
    const add = (ring: Ring | undefined, from: string, floor: string) => {
      if (ring !== undefined) this.#expire(ring, time)
      const { droppedThrough = floor } = ring ?? {}
      if (compareEventIds(droppedThrough, from) > 0 && compareEventIds(droppedThrough, lost) > 0) lost = droppedThrough
      if (ring !== undefined && ring.length > 0) starts.push([ring, ring.indexAfter(from)])
    }
    for (const topic of reader.topics) add(this.#topics.get(topic), latestId(after, reader.from?.topics.get(topic)), this.#topics.floor)
    const others = latestId(after, reader.from?.others)
    add(this.#clients.get(reader.clientId), others, this.#clients.floor)
    add(this.#broadcasts, others, after)
    return { starts, lost }
  }

  /** @param start the id after which the events were read */
  #page (gap: Page['gap'], events: PublishedEvent[], limit: number, start: string): Page {
    return { gap, events, position: events.length < limit ? this.#newest : events.at(-1)?.id ?? start }
  }

  /** Returns the ring of a topic or client id. Creates it for the first event. */
  #ring (rings: Rings, name: string): Ring {
    let ring = rings.get(name)
    if (ring === undefined) {
      ring = new Ring(this.#settings, rings.floor, rings, name)
      rings.set(name, ring)
    }
    return ring
  }

  /** Adds the newest event to a ring, and drops the events that are then outside the ring's limits. */
  #add (kept: Kept, ring: Ring, limits: TopicHistory): void {
    const { time } = kept
    if (ring.length === 0) this.#empty.delete(ring)
    ring.limits = limits
    ring.push(kept)
    kept.rings++
    if (limits.maxAge > 0 && (kept.maxAge === 0 || limits.maxAge < kept.maxAge)) kept.maxAge = limits.maxAge
    for (let oldest = ring.at(0); oldest !== undefined && ring.length > limits.size; oldest = ring.at(0)) this.#dropFrom(ring, oldest)
    this.#expire(ring, time)
  }

  #forgetReads (): void {
    if (this.#lastReads.length > 0) this.#lastReads = []
  }

  #expireRings (topics: ReadonlySet<string>): void {
    const time = now()
    for (const topic of topics) {
      const ring = this.#topics.get(topic)
      if (ring !== undefined) this.#expire(ring, time)
    }
    this.#expire(this.#broadcasts, time)
    // because the `oldestId` of a gap is that of all topics
    this.#dropExpired(time)
  }

  #expire (ring: Ring, time: number): void {
    const { maxAge } = ring.limits
    if (maxAge === 0) return
    for (let oldest = ring.at(0); oldest !== undefined && oldest.time < time - maxAge; oldest = ring.at(0)) this.#dropFrom(ring, oldest)
  }

  /** Drops the oldest events of the log that have expired. Other expired events are dropped when their ring is read. */
  #dropExpired (time: number): void {
    for (let oldest = this.#oldest; oldest !== null && oldest.maxAge > 0 && oldest.time < time - oldest.maxAge; oldest = this.#oldest) {
      for (const ring of this.#ringsOf(oldest)) this.#expire(ring, time)
      // kept for a topic with a longer `maxAge`
      if (this.#oldest === oldest) return
    }
  }

  /** Drops the oldest event of the log from the rings that hold it. It is the oldest event of each of these. */
  #dropEverywhere (kept: Kept): void {
    for (const ring of this.#ringsOf(kept)) if (ring.at(0) === kept) this.#dropFrom(ring, kept)
  }

  /** Returns the rings of the topics or the client id of an event, or of the broadcasts. */
  #ringsOf ({ to, names }: Kept): Ring[] {
    if (to === 'all') return [this.#broadcasts]
    const rings = to === 'topic' ? this.#topics : this.#clients
    return names.flatMap((name) => rings.get(name) ?? [])
  }

  /** Drops the oldest event of a ring. */
  #dropFrom (ring: Ring, kept: Kept): void {
    this.#forgetReads()
    ring.shift(kept)
    if (--kept.rings === 0) this.#remove(kept)
    if (ring.length === 0 && ring.rings !== null) this.#keepEmpty(ring)
  }

  /** Removes an event that no ring holds from the list of all kept events. */
  #remove (kept: Kept): void {
    if (kept.prev === null) this.#oldest = kept.next
    else kept.prev.next = kept.next
    if (kept.next === null) this.#last = kept.prev
    else kept.next.prev = kept.prev
    // Otherwise a dropped event in the old generation of the heap would keep all later ones alive until a full garbage collection, which cost four times the time of a publish.
    kept.prev = kept.next = null
    this.#bytes -= kept.bytes
  }

  /** Keeps an empty ring for its `droppedThrough`. If too many are kept, removes the one that became empty first; its loss moves to the floor. */
  #keepEmpty (ring: Ring): void {
    this.#empty.add(ring)
    if (this.#empty.size <= EMPTY_RINGS) return
    const [first = ring] = this.#empty
    this.#empty.delete(first)
    first.rings?.remove(first)
  }
}

function isEqual (one: ReadonlySet<string>, other: ReadonlySet<string>): boolean {
  if (one.size !== other.size) return false
  for (const name of one) if (!other.has(name)) return false
  return true
}
