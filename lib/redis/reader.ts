// Tested by test/redis/lost.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'
import { compareEventIds, latestId } from '../event/id.js'
import type { LogLimits, RedisLog } from './commands.js'
import type { Connection } from './connection.js'
import type { LogEntry } from './entry.js'

/** The longest time that one read waits for a new entry, ms. After this time the reader checks whether the log still has its newest entry. */
const BLOCK = 1_000
/** The greatest number of new entries that one read returns. */
const BATCH = 256
/** The number of entries, and of characters, after which other work gets a turn of the event loop, so that streams can write their events. */
const SLICE = { entries: 32, characters: 65_536 }
/** The delay before the reader tries again after a failure, ms. */
const PAUSE = 100

/** The functions that a reader calls when it reads an entry or finds that entries are lost, in the order of the log. */
export interface ReaderListener {
  readonly onEntry: (entry: LogEntry) => void
  /** Called if entries were lost before they were read. The next entry follows `lastMissedId`. `oldestId` is the id of the oldest event in the log, null for none. */
  readonly onLoss: (lastMissedId: string, oldestId: string | null) => void
}

/**
 * Reads all entries that are appended to the log between `open()` and `close()`. Tries again after failures. Reports lost entries.
 *
 * Each entry has the id of the entry before. An entry after another one than the last that was read shows that entries were lost.
 * So one XREAD for each wake-up is enough.
 */
export class Reader {
  readonly #connection: Connection
  readonly #redis: RedisLog
  readonly #timeout: number
  readonly #log: FastifyBaseLogger
  /** Id of the last entry that was read. The next read continues after it. */
  #position = '0-0'
  /** Id of the last entry that was read and that a script has appended. */
  #last = '0-0'
  /** Id of an entry that the log should have, and that the last read did not return. Null for none. */
  #expected: string | null = null
  /** Ids of entries that this process has appended and not read yet, in their order. */
  readonly #appended: string[] = []
  /** Id up to which entries were read, or reported as lost. */
  #passed = '0-0'
  #failing = false
  #closed = false

  /** @param timeout the longest time that Redis may take for an answer, ms */
  constructor (connection: Connection, redis: RedisLog, timeout: number, log: FastifyBaseLogger) {
    this.#connection = connection
    this.#redis = redis
    this.#timeout = timeout
    this.#log = log
  }

  /** Moves the reader to the end of the log, so that `run` reads only later entries. Resolves to the id of the newest entry, and of the oldest event. @param limits kept in Redis for publishers without limits */
  async open (limits: LogLimits): Promise<{ newest: string, oldestId: string | null }> {
    const connection = this.#connection
    return connection.run({ timeout: this.#timeout }, async () => {
      [this.#position, this.#last] = await this.#redis.open(connection, limits)
      this.#pass(this.#position)
      return { newest: this.#position, oldestId: await this.#redis.oldest(connection) }
    })
  }

  /** Reads the log, and calls the listener for entries and losses, until `close()`. Never rejects: it logs a failure and tries again. */
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

  /** Called when Redis has acknowledged an entry of this process. A failover may lose such an entry before any process has read it. */
  appended (id: string): void {
    if (compareEventIds(id, this.#passed) > 0) this.#appended.push(id)
  }

  close (): void {
    this.#closed = true
    this.#connection.close()
  }

  async #read (listener: ReaderListener): Promise<void> {
    // almost no wait after a failure or a missing entry, because the log may be lost, which has to be reported at once
    const block = this.#failing || this.#expected !== null ? 1 : BLOCK
    const entries = await this.#ask((connection) => this.#redis.readBlocking(connection, this.#position, BATCH, block))
    if (entries.length === 0) return this.#checkEnd(listener)
    this.#expected = null
    let [count, characters] = [0, 0]
    for (const entry of entries) {
      await this.#receive(entry, listener)
      if (this.#closed) return
      // set after the report of a loss, so that an entry whose report failed is read again
      this.#position = entry.id
      if (entry.after !== null || entry.kind === 'lost') this.#last = entry.id
      count++
      if (entry.kind === 'event') characters += entry.event.text.length
      if (count < SLICE.entries && characters < SLICE.characters) continue
      await real.turn()
      ;[count, characters] = [0, 0]
    }
  }

  async #receive (entry: LogEntry, listener: ReaderListener): Promise<void> {
    const { id, kind, after } = entry
    if (kind === 'lost') {
      this.#pass(id)
      return this.#reportLoss(id, listener)
    }
    if (after !== null && after !== this.#last) {
      // entries between were trimmed before they were read
      if (compareEventIds(after, this.#last) > 0) {
        this.#pass(after)
        await this.#reportLoss(after, listener)
      } else {
        // the end of the log was lost, and others have appended entries since; the marker follows them
        await this.#ask((connection) => this.#redis.markLoss(connection, id))
      }
    }
    const [appended] = this.#appended
    // an entry of this process should have been before this one
    if (appended !== undefined && compareEventIds(appended, id) < 0) await this.#ask((connection) => this.#redis.markLoss(connection, id))
    this.#pass(id)
    if (!this.#closed) listener.onEntry(entry)
  }

  /** Removes the entries up to `id` from `#appended`. */
  #pass (id: string): void {
    this.#passed = id
    if (this.#appended.length === 0) return
    const kept = this.#appended.findIndex((appended) => compareEventIds(appended, id) > 0)
    this.#appended.splice(0, kept === -1 ? this.#appended.length : kept)
  }

  /** Called if there are no new entries. Appends a loss marker if the log no longer has its newest entry, or has lost its end. */
  async #checkEnd (listener: ReaderListener): Promise<void> {
    // before the question, because an entry may be appended while it is answered
    const seen = latestId(this.#last, this.#appended.at(-1))
    const last = await this.#ask((connection) => this.#redis.last(connection))
    if (last === null || compareEventIds(last, seen) < 0) {
      await this.#ask((connection) => this.#redis.markLoss(connection, seen))
      this.#expected = seen
    } else if (last === this.#last) {
      this.#expected = null
    } else if (last !== this.#expected) {
      this.#expected = last
    } else {
      // another read did not return it either: it was deleted
      this.#pass(last)
      await this.#reportLoss(last, listener)
      this.#expected = null
      this.#last = last
      this.#position = latestId(this.#position, last)
    }
  }

  async #reportLoss (id: string, listener: ReaderListener): Promise<void> {
    const oldestId = await this.#ask((connection) => this.#redis.oldest(connection))
    if (!this.#closed) listener.onLoss(id, oldestId)
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
