// Tested by test/redis/replay.test.ts
import type { Page, PublishedEvent, Reader, StartPositions } from '../backplane.js'
import { compareEventIds, latestId } from '../event/id.js'
import type { RedisLog, StreamPage, StreamStart } from './commands.js'
import type { Connection } from './connection.js'
import { type Read, ReadQueue } from './read-queue.js'

/** The number of bytes after which a page that is read from Redis ends. A page has at least one event, also if it is larger. */
const PAGE_BYTES = 262_144

/** Reads events for replays from the streams of the topics in Redis, on a separate connection, so that reads do not delay `publish`. */
export class Replay {
  readonly #redis: RedisLog
  readonly #queue: ReadQueue<StreamPage | null>
  readonly #connection: Connection
  readonly #timeout: number

  constructor (connection: Connection, redis: RedisLog, timeout: number) {
    this.#connection = connection
    this.#redis = redis
    this.#timeout = timeout
    this.#queue = new ReadQueue()
  }

  /** Reads a page, as `Backplane.read` describes it, with events that are not newer than `upto`. Returns an empty page if the stream has closed before. */
  async read (after: string, reader: Reader, limit: number, upto: string): Promise<Page> {
    const { topics, clientId, from } = reader
    const others = latestId(after, from?.others)
    // the streams of topics and broadcasts are read together, because many clients wait for the same events; the stream of the client id is different for each
    const shared: StreamStart[] = [...topics].sort().map((topic) => [this.#redis.stream('topic', topic), latestId(after, from?.topics.get(topic))])
    shared.push([this.#redis.stream('all'), others])
    const own: StreamStart[] = [[this.#redis.stream('client', clientId), others]]
    const reads = [shared, own].map((starts) => this.#queue.run(this.#readOf(after, limit, upto, starts), reader.isClosed))
    const pages = await Promise.all(reads)
    const found = pages.filter((page) => page !== null)
    return found.length < pages.length ? { gap: null, events: [], position: after } : merge(found, after, limit)
  }

  /** Returns positions, as `Backplane.rewind` describes them. */
  async rewind (topics: ReadonlySet<string>, count: number, upto: string): Promise<StartPositions> {
    const found = await this.#connection.run({ timeout: this.#timeout }, () => this.#redis.rewind(this.#connection, upto, count, [...topics]))
    return { topics: found, others: upto }
  }

  close (): void {
    this.#connection.close()
  }

  #readOf (after: string, limit: number, upto: string, starts: readonly StreamStart[]): Read<StreamPage | null> {
    const connection = this.#connection
    return {
      key: JSON.stringify([after, limit, starts]),
      run: () => connection.run({ timeout: this.#timeout }, () => this.#redis.read(connection, after, upto, limit, PAGE_BYTES, starts)),
      // a page with all events up to `upto` is not read again, because later events may have followed
      isKept: (page) => page !== null && page.entries.at(-1)?.id === page.through
    }
  }
}

/** Merges the pages of several streams to one. */
function merge (pages: StreamPage[], after: string, limit: number): Page {
  const found = new Map<string, PublishedEvent>()
  for (const { entries } of pages) for (const entry of entries) if (entry.kind === 'event') found.set(entry.id, entry.event)
  const [through = after] = pages.map(({ through }) => through).sort(compareEventIds)
  const lost = pages.map(({ lost }) => lost).filter(Boolean).sort(compareEventIds).at(-1)
  const events = [...found.values()].filter(({ id }) => compareEventIds(id, through) <= 0).sort((a, b) => compareEventIds(a.id, b.id))
  const earlier = lost === undefined ? [] : events.filter(({ id }) => compareEventIds(id, lost) < 0).slice(0, limit)
  const lastEarlier = earlier.at(-1)
  if (lastEarlier !== undefined) return { gap: null, events: earlier, position: lastEarlier.id }
  const [oldestId = null] = pages.flatMap(({ oldest }) => oldest || []).sort(compareEventIds)
  // Another topic of the reader may still have the event `lost`. The gap covers it, because a read after its id would not find the loss.
  const later = lost === undefined ? events : events.filter(({ id }) => compareEventIds(id, lost) > 0)
  const page = later.slice(0, limit)
  const position = page.length < later.length ? page.at(-1)?.id : undefined
  return { gap: lost === undefined ? null : { oldestId, lastMissedId: lost }, events: page, position: position ?? latestId(through, lost) }
}
