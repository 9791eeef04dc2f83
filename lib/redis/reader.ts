import type { FastifyBaseLogger } from 'fastify'
import type { PublishedEvent } from '../backplane.js'
import { real } from '../clock.js'
import { compareEventIds, nextId, previousId } from '../event/id.js'
import type { Connection } from './connection.js'
import { isLoss } from './entry.js'
import type { RedisStream, State } from './stream.js'

/** How long Redis keeps a read waiting for something new, ms; then it is seen whether the stream is still there. */
const BLOCK = 1_000
/** How many entries are read at once. */
const BATCH = 1_000
/** A pause after a failure, ms. */
const PAUSE = 100

/** Whoever is told what is read. */
export interface Listener {
  take (event: PublishedEvent): void
  /** Entries are missing: what is read next comes after `lastMissedId`, and `oldest` is the oldest there is, null for none. */
  lost (lastMissedId: string, oldest: string | null): void
}

/** Reads a Redis stream from a position on, until it is closed: through failures of Redis, and where that lost entries. */
export class Reader {
  readonly #connection: Connection
  readonly #stream: RedisStream
  readonly #timeout: number
  readonly #log: FastifyBaseLogger
  /** Up to where it was read. */
  #position = '0-0'
  #failing = false
  #closed = false

  /** @param timeout what Redis may take for an answer, ms */
  constructor (connection: Connection, stream: RedisStream, timeout: number, log: FastifyBaseLogger) {
    this.#connection = connection
    this.#stream = stream
    this.#timeout = timeout
    this.#log = log
  }

  /** Begins at the end of the stream, whose state it resolves to. */
  async open (): Promise<State> {
    const connection = this.#connection
    const state = await connection.run(this.#timeout, async () => {
      const found = await this.#stream.info(connection)
      if (found.oldest !== null) return found
      // so that there is an entry at the position, and ids of a log before this one are not taken for its own
      await this.#stream.appendLossMarker(connection, '*')
      // a process that started at the same moment may have done so as well
      const { last } = await this.#stream.info(connection)
      return { last, oldest: null }
    })
    this.#position = state.last
    return state
  }

  async run (listener: Listener): Promise<void> {
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

  async #read (listener: Listener): Promise<void> {
    for (const event of await this.#following(listener)) {
      if (isLoss(event)) await this.#tellLoss(event, listener)
      else listener.take(event)
      // not before: what fails is done again
      this.#position = event.id
    }
  }

  /** What follows the position, as soon as there is something; where some of it was left out before it was read, the listener is told. */
  async #following (listener: Listener): Promise<PublishedEvent[]> {
    // after a failure all may be gone
    const block = this.#failing ? 1 : BLOCK
    const [first, ...more] = await this.#ask((connection) => this.#stream.readBlocking(connection, this.#position, BATCH + 1, block))
    return first?.id === this.#position ? more : this.#afterHole(listener)
  }

  /** What follows a position whose entry is gone. */
  async #afterHole (listener: Listener): Promise<PublishedEvent[]> {
    const { last, oldest } = await this.#ask((connection) => this.#stream.info(connection))
    // after the state: whatever came in between, such as what another process says of it, is in here
    const page = await this.#ask((connection) => this.#stream.range(connection, this.#position, BATCH + 1))
    const [first] = page
    // where the stream says so itself, that is read
    if (page.some(isLoss)) return page
    if (first !== undefined && compareEventIds(oldest ?? first.id, this.#position) > 0) {
      // the stream begins after the position, or was empty when its state was read: all entries before are gone, for all processes
      listener.lost(previousId(first.id), first.id)
      return page
    }
    // its end was lost, or all of it; where so much came since, there is no waiting for a moment in which nothing does
    const end = page.at(-1)?.id ?? this.#position
    const marked = await this.#markLoss(page.length > BATCH ? '*' : nextId(compareEventIds(last, end) > 0 ? last : end))
    return marked ? page : []
  }

  async #tellLoss ({ id }: PublishedEvent, listener: Listener): Promise<void> {
    const { oldest } = await this.#ask((connection) => this.#stream.info(connection))
    listener.lost(id, oldest === id ? null : oldest)
  }

  /**
   * Says so in the stream, for all who come with an id from before. With the id right after its end, since another process may
   * say so at the same moment, and after the position, also where Redis knows lower ones only. False if there is something new by then.
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
    return this.#connection.run(BLOCK + this.#timeout, () => work(this.#connection))
  }

  async #failed (error: unknown): Promise<void> {
    if (this.#closed) return
    if (!this.#failing) this.#log.error({ err: error }, 'events are not received from Redis, which is tried again')
    this.#failing = true
    await real.wait(PAUSE)
  }
}
