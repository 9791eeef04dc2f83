// Tested by test/redis/lost.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'
import { compareEventIds, nextId, previousId } from '../event/id.js'
import type { RedisStream, StreamInfo } from './commands.js'
import type { Connection } from './connection.js'
import type { LogEntry } from './entry.js'

/** How long one read waits for a new entry, ms. After it the reader checks whether the stream still exists. */
const BLOCK = 1_000
/** The most entries of one read. */
const BATCH = 1_000
/** Delay before the next attempt after a failure, ms. */
const PAUSE = 100

/** Functions that a reader calls, in the order of the stream. */
export interface ReaderListener {
  readonly onEntry: (entry: LogEntry) => void
  /** Called for missing entries: the next entry follows `lastMissedId`, and `oldestId` is the oldest that exists, null for none. */
  readonly onLoss: (lastMissedId: string, oldestId: string | null) => void
}

/** Reads a Redis stream from a position on until `close()`. Retries after failures and reports lost entries. */
export class Reader {
  readonly #connection: Connection
  readonly #stream: RedisStream
  readonly #timeout: number
  readonly #log: FastifyBaseLogger
  /** Id of the last entry that was read. */
  #position = '0-0'
  #failing = false
  #closed = false

  /** @param timeout longest time for an answer of Redis, ms */
  constructor (connection: Connection, stream: RedisStream, timeout: number, log: FastifyBaseLogger) {
    this.#connection = connection
    this.#stream = stream
    this.#timeout = timeout
    this.#log = log
  }

  /** Sets the position to the end of the stream. Resolves to the stream's ends. */
  async open (): Promise<StreamInfo> {
    const connection = this.#connection
    const info = await connection.run({ timeout: this.#timeout }, async () => {
      const found = await this.#stream.info(connection)
      if (found.oldestId !== null) return found
      // the marker is the entry at the position, and tells ids of an earlier log from ids of this one
      await this.#stream.appendLossMarker(connection, '*')
      // another process that started at the same moment may have appended a marker too
      const { lastId } = await this.#stream.info(connection)
      return { lastId, oldestId: null }
    })
    this.#position = info.lastId
    return info
  }

  /** Calls the listener until `close()`. Never rejects. */
  async run (listener: ReaderListener): Promise<void> {
    while (!this.#closed) {
      try {
        await this.#read(listener)
        if (this.#failing) this.#log.info('events are received from Redis again')
        this.#failing = false
      } catch (error) {
        await this.#failed(error)
      }
    }
  }

  close (): void {
    this.#closed = true
    this.#connection.close()
  }

  async #read (listener: ReaderListener): Promise<void> {
    for (const entry of await this.#nextEntries(listener)) {
      if (entry.kind === 'lost') await this.#reportLoss(entry.id, listener)
      else listener.onEntry(entry)
      // only now, so that an entry whose report failed is read again
      this.#position = entry.id
    }
  }

  /** Resolves to the entries after the position once there are some. Reports entries that were trimmed before they were read. */
  async #nextEntries (listener: ReaderListener): Promise<LogEntry[]> {
    // not blocking after a failure, because the stream may be lost, and that is to be reported at once
    const block = this.#failing ? 1 : BLOCK
    const [first, ...more] = await this.#ask((connection) => this.#stream.readBlocking(connection, this.#position, BATCH + 1, block))
    return first?.id === this.#position ? more : this.#readAfterHole(listener)
  }

  /** Resolves to the entries after a position whose own entry is gone. */
  async #readAfterHole (listener: ReaderListener): Promise<LogEntry[]> {
    const { lastId, oldestId } = await this.#ask((connection) => this.#stream.info(connection))
    // read after `info`, so that it includes entries that were appended meanwhile, such as the marker of another process
    const page = await this.#ask((connection) => this.#stream.range(connection, this.#position, BATCH + 1))
    const [first] = page
    // a marker in the page reports the loss when it is read
    if (page.some(({ kind }) => kind === 'lost')) return page
    if (first !== undefined && compareEventIds(oldestId ?? first.id, this.#position) > 0) {
      // the stream starts after the position, or was empty when `info` was read: all processes see that the entries before are gone
      listener.onLoss(previousId(first.id), first.id)
      return page
    }
    // the end of the stream is lost, or all of it; after a full page the marker takes any id, because the end may move on all the time
    const end = page.at(-1)?.id ?? this.#position
    const marked = await this.#markLoss(page.length > BATCH ? '*' : nextId(compareEventIds(lastId, end) > 0 ? lastId : end))
    return marked ? page : []
  }

  async #reportLoss (id: string, listener: ReaderListener): Promise<void> {
    const { oldestId } = await this.#ask((connection) => this.#stream.info(connection))
    listener.onLoss(id, oldestId === id ? null : oldestId)
  }

  /**
   * Appends a loss marker, so that clients with an id from before get a gap. Its id is right after the end of the stream,
   * because another process may mark the same loss at the same moment, and after the position, because the ids of a new
   * stream may be lower.
   *
   * @returns false if the stream has a newer entry by now
   */
  async #markLoss (id: string): Promise<boolean> {
    try {
      await this.#ask((connection) => this.#stream.appendLossMarker(connection, id))
      return true
    } catch (error) {
      if (error instanceof Error && error.message.includes('equal or smaller')) return false
      throw error
    }
  }

  #ask<Result> (work: (connection: Connection) => Promise<Result>): Promise<Result> {
    return this.#connection.run({ timeout: BLOCK + this.#timeout }, () => work(this.#connection))
  }

  async #failed (error: unknown): Promise<void> {
    if (this.#closed) return
    if (!this.#failing) this.#log.error({ err: error }, 'events are not received from Redis, which is tried again')
    this.#failing = true
    await real.wait(PAUSE)
  }
}
