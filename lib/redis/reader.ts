// Tested by test/redis/lost.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'
import { compareEventIds, nextId, previousId } from '../event/id.js'
import type { RedisStream, StreamInfo } from './commands.js'
import type { Connection } from './connection.js'
import type { LogEntry } from './entry.js'

/** The longest time that one read waits for a new entry, ms. After this time the reader checks whether the stream still exists. */
const BLOCK = 1_000
/** The greatest number of new entries that one read returns. */
const BATCH = 1_000
/** The delay before the reader tries again after a failure, ms. */
const PAUSE = 100

/** The functions that a reader calls when it reads an entry or finds that entries are lost, in the order of the stream. */
export interface ReaderListener {
  readonly onEntry: (entry: LogEntry) => void
  /** Called if entries were lost before they were read. The next entry follows `lastMissedId`. `oldestId` is the id of the oldest entry, null for none. */
  readonly onLoss: (lastMissedId: string, oldestId: string | null) => void
}

/** Reads all entries that are appended to a Redis stream between `open()` and `close()`. Tries again after failures. Reports lost entries. */
export class Reader {
  readonly #connection: Connection
  readonly #stream: RedisStream
  readonly #timeout: number
  readonly #log: FastifyBaseLogger
  /** Id of the last entry that was read. The next read continues after it. */
  #position = '0-0'
  #failing = false
  #closed = false

  /** @param timeout the longest time that Redis may take for an answer, ms */
  constructor (connection: Connection, stream: RedisStream, timeout: number, log: FastifyBaseLogger) {
    this.#connection = connection
    this.#stream = stream
    this.#timeout = timeout
    this.#log = log
  }

  /** Moves the reader to the end of the stream, so that `run` reads only later entries. Resolves to the ids at the stream's two ends. */
  async open (): Promise<StreamInfo> {
    const connection = this.#connection
    const info = await connection.run({ timeout: this.#timeout }, async () => {
      const found = await this.#stream.info(connection)
      if (found.oldestId !== null) return found
      // the marker becomes the entry at the position, and separates the ids of an earlier log from the ids of this one
      await this.#stream.appendLossMarker(connection, '*')
      // reads the ends again, because another process that started at the same moment may have appended a marker too
      const { lastId } = await this.#stream.info(connection)
      return { lastId, oldestId: null }
    })
    this.#position = info.lastId
    return info
  }

  /** Reads the stream, and calls the listener for entries and losses, until `close()`. Never rejects: it logs a failure and tries again. */
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
      // set after the report, so that an entry whose report failed is read again
      this.#position = entry.id
    }
  }

  /**
   * Waits for entries after the last entry that was read. Resolves to these entries, or to an empty array after `BLOCK` ms.
   * If Redis trimmed entries before they were read, reports their loss first.
   */
  async #nextEntries (listener: ReaderListener): Promise<LogEntry[]> {
    // almost no wait after a failure, because the stream may be lost, which has to be reported at once
    const block = this.#failing ? 1 : BLOCK
    const [first, ...more] = await this.#ask((connection) => this.#stream.readBlocking(connection, this.#position, BATCH + 1, block))
    return first?.id === this.#position ? more : this.#readAfterHole(listener)
  }

  /** Called if Redis no longer has the last entry that was read. Resolves to the entries after it. Reports a loss if entries were lost. */
  async #readAfterHole (listener: ReaderListener): Promise<LogEntry[]> {
    const { lastId, oldestId } = await this.#ask((connection) => this.#stream.info(connection))
    // read after `info`, so that it includes entries that were appended in between, such as the loss marker of another process
    const page = await this.#ask((connection) => this.#stream.range(connection, this.#position, BATCH + 1))
    const [first] = page
    // a loss marker in the page makes `#read` report the loss when it comes to the marker
    if (page.some(({ kind }) => kind === 'lost')) return page
    if (first !== undefined && compareEventIds(oldestId ?? first.id, this.#position) > 0) {
      // the stream starts after the position, or was empty when `info` was read: all processes see that the entries before are gone
      listener.onLoss(previousId(first.id), first.id)
      return page
    }
    // the end of the stream is lost, or all of it. After a full page Redis generates the marker's id, because other processes may append entries all the time
    const end = page.at(-1)?.id ?? this.#position
    const marked = await this.#markLoss(page.length > BATCH ? '*' : nextId(compareEventIds(lastId, end) > 0 ? lastId : end))
    return marked ? page : []
  }

  async #reportLoss (id: string, listener: ReaderListener): Promise<void> {
    const { oldestId } = await this.#ask((connection) => this.#stream.info(connection))
    listener.onLoss(id, oldestId === id ? null : oldestId)
  }

  /**
   * Appends a loss marker, an entry that says that events before it are lost, so that clients with an older id get a `gap`
   * event. `id` is right after the end of the stream, so that Redis refuses a second marker of another process for the same loss.
   * `id` is also above the id of the last entry that was read, because the ids of a new stream may be lower.
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
