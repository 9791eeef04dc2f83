import type { Audience } from '../../lib/backplane.js'

/** An entry of the log: an event, or a control message. */
export interface Logged {
  /** Set once `publish` has resolved, before it is read. */
  id: string
  readonly data: string
  readonly to: Audience | 'control'
  readonly names: readonly string[]
  /** Client id whose streams do not get the event. */
  readonly except: string | null
  readonly big: boolean
}

/** The events that a stream is for. */
export interface Reader {
  readonly topics: ReadonlySet<string>
  readonly clientId: string
}

/** An event, or a gap. */
export interface Read {
  /** The place of the event, or of the newest missing one. */
  readonly index: number
  /** Of a gap: returns the id of the oldest event in its data. Null for an event. */
  readonly gap: (() => string | null) | null
}

/** The places after which a rewind starts. */
export interface Starts {
  readonly topics: ReadonlyMap<string, number>
  readonly others: number
}

/** The place of an id that is none of the log. The place before the first event is -1. */
export const UNKNOWN = -2

/** A minimal model of the log, with arrays. A key stands for a topic, a client id or the broadcasts, of which each keeps its newest events. */
export class Log {
  readonly entries: Logged[] = []
  readonly #start: string
  readonly #size: number
  readonly #knownOldestId: (() => string | null) | null
  readonly #retained = new Map<string, number[]>()
  readonly #dropped = new Map<string, number>()

  /**
   * @param start position before the first event
   * @param size number of events that each key keeps
   * @param knownOldestId returns the id of the oldest event that the process knows, for a log that the process has only a part of
   */
  constructor (start: string, size: number, knownOldestId: (() => string | null) | null) {
    this.#start = start
    this.#size = size
    this.#knownOldestId = knownOldestId
  }

  /** True if the log keeps all events of a sequence. */
  get holdsAll (): boolean {
    return this.#size >= 1_000
  }

  get newest (): number {
    return this.entries.length - 1
  }

  /** The place of the oldest event that a key keeps; Infinity for none. */
  get oldest (): number {
    return Math.min(...Array.from(this.#retained.values(), ([index = Infinity]) => index))
  }

  /** Returns a function to the id of the event that is now the oldest one, as far as the process knows. */
  oldestId (): () => string | null {
    if (this.#knownOldestId === null) return this.#idOf(this.oldest)
    const id = this.#knownOldestId()
    return () => id
  }

  /** Returns whether the id in the data of a gap was the id of the oldest event when the gap was sent. */
  mayBeOldest (id: string): boolean {
    const place = this.placeOf(id)
    return this.#knownOldestId === null ? place <= this.oldest : place >= 0
  }

  idAt (index: number): string {
    return this.entries[index]?.id ?? this.#start
  }

  /** The place of an id in the log; -1 before the first event, `UNKNOWN` for an unknown id. */
  placeOf (id: string): number {
    if (id === this.#start) return -1
    const index = this.entries.findLastIndex((entry) => entry.id === id)
    return index === -1 ? UNKNOWN : index
  }

  append (entry: Logged): number {
    const index = this.entries.push(entry) - 1
    for (const key of keysOf(entry)) {
      const retained = this.#retained.get(key) ?? []
      this.#retained.set(key, retained)
      if (retained.push(index) > this.#size) this.#dropped.set(key, retained.shift() ?? -1)
    }
    return index
  }

  /** The places of the newest `count` events of each topic. */
  rewind (topics: ReadonlySet<string>, count: number): Starts {
    const starts = Array.from(topics, (topic): [string, number] => {
      const retained = this.#retained.get(`topic ${topic}`) ?? []
      return [topic, retained.at(-count - 1) ?? this.#droppedOf(`topic ${topic}`)]
    })
    return { topics: new Map(starts), others: this.newest }
  }

  /** Returns whether the log keeps an event for a reader. */
  retains (index: number, reader: Reader): boolean {
    return keysFor(reader).some((key) => this.#retained.get(key)?.includes(index))
  }

  /** Returns whether the log has dropped an event of a topic or the client id of a reader, or a broadcast. */
  hasDropped (index: number, reader: Reader): boolean {
    const entry = this.entries[index]
    const keys = keysFor(reader)
    return entry === undefined || keysOf(entry).some((key) => keys.includes(key) && this.#droppedOf(key) >= index)
  }

  /** All that a reader gets after a place: what is kept, and a gap after the events that are older than the newest loss. */
  read (after: number, reader: Reader, starts: Starts | null): Read[] {
    const found = new Set<number>()
    let lost = after
    for (const key of keysFor(reader)) {
      const [kind = '', name = ''] = key.split(' ')
      const start = Math.max(after, (kind === 'topic' ? starts?.topics.get(name) : starts?.others) ?? after)
      const dropped = this.#droppedOf(key)
      if (dropped > start) lost = Math.max(lost, dropped)
      for (const index of this.#retained.get(key) ?? []) if (index > start) found.add(index)
    }
    const events = Array.from(found, (index) => ({ index, gap: null })).sort((a, b) => a.index - b.index)
    if (lost === after) return events
    const earlier = events.filter(({ index }) => index < lost)
    const oldest = this.#knownOldestId === null ? this.oldest : this.#oldestAfter(earlier.at(-1)?.index ?? after, reader)
    // an event that one topic has lost and another topic still has is covered by the gap
    return [...earlier, { index: lost, gap: this.#idOf(oldest) }, ...events.filter(({ index }) => index > lost)]
  }

  /**
   * The place of the oldest event in the data of a gap that a reader gets from Redis. It is not the oldest of the log, because Redis has
   * no list of all topics: topics and broadcasts are read together, the client id separately, and a read without a loss has no oldest event.
   */
  #oldestAfter (after: number, reader: Reader): number {
    const own = `client ${reader.clientId}`
    const reads = [keysFor(reader).filter((key) => key !== own), [own]].filter((keys) => keys.some((key) => this.#droppedOf(key) > after))
    return Math.min(...reads.flat().map((key) => this.#retained.get(key)?.[0] ?? Infinity))
  }

  #idOf (index: number): () => string | null {
    return () => index === Infinity ? null : this.idAt(index)
  }

  #droppedOf (key: string): number {
    return this.#dropped.get(key) ?? -1
  }
}

/** Returns whether a stream gets an event. */
export function concerns ({ topics, clientId }: Reader, { to, names, except }: Logged): boolean {
  if (except === clientId || to === 'control') return false
  if (to === 'all') return true
  return to === 'topic' ? names.some((name) => topics.has(name)) : names.includes(clientId)
}

function keysOf ({ to, names }: Logged): string[] {
  if (to === 'control') return []
  return to === 'all' ? ['all'] : names.map((name) => `${to} ${name}`)
}

function keysFor ({ topics, clientId }: Reader): string[] {
  return [...Array.from(topics, (topic) => `topic ${topic}`), `client ${clientId}`, 'all']
}
