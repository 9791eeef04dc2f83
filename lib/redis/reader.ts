import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { compareEventIds } from '../event-id.js'
import type { PublishedEvent } from '../history.js'
import type { Connection } from './connection.js'
import { isLoss } from './entry.js'
import { firstAfter, lastBefore } from './position.js'
import type { RedisStream, State } from './stream.js'

/** How long Redis keeps a read waiting for something new, ms; then the stream is looked at. */
const BLOCK = 1_000
/** How many entries are read at once. */
const BATCH = 1_000
/** A pause after a failure, ms. */
const PAUSE = 100

/** Whoever is told what is read. */
export interface Listener {
  take (event: PublishedEvent): void
  /** Entries are missing: what is read next comes after `through`, and `oldest` is the oldest there is, null for none. */
  lost (through: string, oldest: string | null): void
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
    const state = await this.#connection.do(this.#timeout, async () => {
      const found = await this.#stream.state(this.#connection)
      // so that there is an entry at the position, and ids of a log before this one are not taken for its own
      return found.last === '0-0' ? { ...found, last: await this.#stream.markLoss(this.#connection, '*') } : found
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
    let events = await this.#following(listener)
    // what a read has to wait for is the first there is
    if (events.length === 0) events = await this.#ask((connection) => this.#stream.follow(connection, this.#position, BATCH, BLOCK))
    for (const event of events) {
      if (isLoss(event)) await this.#tellLoss(event, listener)
      else listener.take(event)
      // not before: what fails is done again
      this.#position = event.id
    }
  }

  /** What follows the position; where some of it was left out before it was read, the listener is told. */
  async #following (listener: Listener): Promise<PublishedEvent[]> {
    const page = await this.#from(BATCH + 1)
    const [first, ...more] = page
    if (first?.id === this.#position) return more
    if (first !== undefined && lastBefore(first.id) === this.#position) return page
    const { last, oldest } = await this.#state()
    // the entry at the position is gone, and was the newest
    if (last === this.#position) return []
    // where the stream says so itself, that is read
    if (page.some(isLoss)) return page
    if (first !== undefined && oldest !== null && compareEventIds(oldest, this.#position) > 0) {
      // it begins after the position: all that came before is gone, for everyone
      this.#position = lastBefore(first.id)
      listener.lost(this.#position, oldest)
    } else {
      // its end was lost, or all of it
      await this.#markLoss(last)
    }
    return page
  }

  async #tellLoss ({ id }: PublishedEvent, listener: Listener): Promise<void> {
    const { oldest } = await this.#state()
    listener.lost(id, oldest === id ? null : oldest)
  }

  /** Says so in the stream, for all who come with an id from before; ids go on after the position, also where Redis knows lower ones only. */
  async #markLoss (last: string): Promise<void> {
    const id = compareEventIds(last, this.#position) < 0 ? firstAfter(this.#position) : '*'
    try {
      await this.#ask((connection) => this.#stream.markLoss(connection, id))
    } catch (error) {
      // another process was first
      if (!(error instanceof Error && error.message.includes('equal or smaller'))) throw error
    }
  }

  #state (): Promise<State> {
    return this.#ask((connection) => this.#stream.state(connection))
  }

  #from (limit: number): Promise<PublishedEvent[]> {
    return this.#ask((connection) => this.#stream.from(connection, this.#position, limit))
  }

  #ask<Result> (work: (connection: Connection) => Promise<Result>): Promise<Result> {
    return this.#connection.do(BLOCK + this.#timeout, () => work(this.#connection))
  }

  async #failed (error: unknown): Promise<void> {
    if (this.#closed) return
    if (!this.#failing) this.#log.error({ err: error }, 'events are not received from Redis, which is tried again')
    this.#failing = true
    await wait(PAUSE)
  }
}
