// Tested by test/pubsub/history.test.ts
import type { PublishedEvent, TopicHistory } from '../backplane.js'
import { compareEventIds } from '../event/id.js'

/**
 * An event with its state in the history, all set by the history. It is in the list of all kept events, and in the ring of each topic
 * it was published to. The state is in the event, because a second object for each kept event made a publish 1.3 times as slow.
 */
export interface Kept extends PublishedEvent {
  /** Number of the event in the order of the log. Compared in place of the id, because numbers compare faster. */
  order: number
  /** Memory of the event, bytes. */
  bytes: number
  /** The shortest `maxAge` of its rings, ms; 0 for no limit. */
  maxAge: number
  /** Number of rings that hold the event. */
  rings: number
  /** The kept events before and after this one, in the order of the log. */
  prev: Kept | null
  next: Kept | null
}

/** The kept events of one topic, of one client id, or of the broadcasts. */
export class Ring {
  /** Id of the newest event that this ring no longer has. A reader that has everything up to this id has lost nothing. */
  droppedThrough: string
  limits: TopicHistory
  /** The events from `#first` on. Dropped events before it are removed together, because removing the first item of an array moves all others. */
  #items: Array<Kept | undefined> = []
  #first = 0

  /** @param rings the map that has this ring as the value of `name`; null if it is in none */
  constructor (limits: TopicHistory, droppedThrough: string, readonly rings: Rings | null = null, readonly name = '') {
    this.limits = limits
    this.droppedThrough = droppedThrough
  }

  get length (): number {
    return this.#items.length - this.#first
  }

  /** Returns the event at an index, 0 for the oldest one; undefined after the newest one. */
  at (index: number): Kept | undefined {
    return this.#items[this.#first + index]
  }

  push (kept: Kept): void {
    if (this.length > 0) {
      this.#items.push(kept)
      return
    }
    // An array literal has room for one item, `push()` makes room for 17: of 100,000 topics with one event each took 716 bytes, with `push()` 841.
    this.#items = [kept]
    this.#first = 0
  }

  /** Removes the oldest event. @param oldest `at(0)` */
  shift (oldest: Kept): void {
    this.droppedThrough = oldest.id
    this.#items[this.#first++] = undefined
    if (this.#first < 32 || this.#first * 2 < this.#items.length) return
    this.#items = this.#items.slice(this.#first)
    this.#first = 0
  }

  /** Returns the index of the first event that is newer than `id`; `length` if there is none. Binary search. */
  indexAfter (id: string): number {
    let [low, high] = [0, this.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const kept = this.at(middle)
      if (kept !== undefined && compareEventIds(kept.id, id) <= 0) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Returns the id after which the newest `count` events follow, or all events if there are fewer. */
  positionBefore (count: number): string {
    return this.at(this.length - count - 1)?.id ?? this.droppedThrough
  }
}

/** The rings of topics or of client ids, by name. */
export class Rings extends Map<string, Ring> {
  /** The `droppedThrough` of names that have no ring: the greatest of the rings that were removed. */
  floor: string

  constructor (floor: string) {
    super()
    this.floor = floor
  }

  /** Removes an empty ring. The id of its newest dropped event moves to the floor. */
  remove ({ name, droppedThrough }: Ring): void {
    this.delete(name)
    if (compareEventIds(droppedThrough, this.floor) > 0) this.floor = droppedThrough
  }
}
