// Tested by test/client/sharing.test.ts
import type { RawEvent } from './event-parser.js'

/** The number of ids that a tab remembers. At a hand-over only events that were on their way are repeated, which are few. */
const WINDOW = 500

/** An event with the last event id before it, `from`. Each event of a stream continues the chain where the one before it ended. */
export interface Link extends RawEvent {
  from: string | null
}

/** The last event ids that a tab has reached, to tell new events from repeated ones. Ids are opaque: they have no order. */
export class Chain {
  /** The last event id that was reached. Undefined before the first link, if there was no id to begin with. */
  lastEventId: string | null | undefined
  readonly #reached = new Set<string | null>()

  constructor (lastEventId: string | null | undefined) {
    if (lastEventId != null) this.reach(lastEventId)
  }

  /** Returns true if a link is the next one of this chain. A chain without an id begins with its first link. */
  continuesWith ({ from }: Link): boolean {
    if (this.lastEventId === undefined) this.reach(from)
    return from === this.lastEventId
  }

  /** Returns true if the chain has the event already. */
  has ({ lastEventId }: Link): boolean {
    return this.#reached.has(lastEventId)
  }

  reach (lastEventId: string | null): void {
    this.lastEventId = lastEventId
    this.#reached.add(lastEventId)
    const [oldest = null] = this.#reached
    if (this.#reached.size > WINDOW) this.#reached.delete(oldest)
  }
}
