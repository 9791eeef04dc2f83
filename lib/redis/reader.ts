import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { compareEventIds } from '../event-id.js'
import type { PublishedEvent } from '../history.js'
import type { Connection } from './connection.js'
import { lastBefore } from './position.js'
import type { RedisStream, State } from './stream.js'

/** How long Redis keeps a read waiting for something new, ms; then the stream is looked at. */
const BLOCK = 1_000
/** How many entries are read at once: no more than `maxLength` keeps, so that it leaves no hole before a page that is not full. */
export const BATCH = 100
/** A pause after a failure, ms. */
const PAUSE = 100

/** Whoever is told what is read. */
export interface Listener {
  take (event: PublishedEvent): void
  /** Entries are missing: what is read next comes after `through`, and `oldest` is the oldest there is, null for none. */
  lost (through: string, oldest: string | null): void
}

export interface ReaderSettings {
  /** What Redis may take for an answer, ms. */
  timeout: number
  /** Whether entries are left out by their age as well, however few there are. */
  expiring: boolean
}

/** Reads a Redis stream from a position on, until it is closed: through failures of Redis, and where that lost entries. */
export class Reader {
  readonly #connection: Connection
  readonly #stream: RedisStream
  readonly #timeout: number
  readonly #expiring: boolean
  readonly #log: FastifyBaseLogger
  /** Up to where it was read. */
  #position = '0-0'
  /** Whether the stream was empty when it was looked at, so that there is no entry at the position. */
  #empty = true
  #failing = false
  #closed = false

  constructor (connection: Connection, stream: RedisStream, { timeout, expiring }: ReaderSettings, log: FastifyBaseLogger) {
    this.#connection = connection
    this.#stream = stream
    this.#timeout = timeout
    this.#expiring = expiring
    this.#log = log
  }

  /** Begins at the end of the stream, whose state it resolves to. */
  async open (): Promise<State> {
    const state = await this.#connection.do(this.#timeout, () => this.#stream.state(this.#connection))
    this.#position = state.last
    this.#empty = state.oldest === null
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
    // after a failure, and now and then, since a read that waits is not told of a stream that begins anew
    if (this.#failing) await this.#check(listener)
    const events = await this.#ask((connection) => this.#stream.follow(connection, this.#position, BATCH, BLOCK))
    const unsure = this.#expiring || events.length === BATCH
    if (events.length === 0 || (unsure && !await this.#holds())) return this.#check(listener)
    this.#empty = false
    for (const event of events) {
      this.#position = event.id
      listener.take(event)
    }
  }

  /** Whether the stream still has all that follows the position. */
  async #holds (): Promise<boolean> {
    const [event] = await this.#ask((connection) => this.#stream.from(connection, this.#position, 1))
    return event !== undefined && (event.id === this.#position || lastBefore(event.id) === this.#position)
  }

  async #check (listener: Listener): Promise<void> {
    const { last, oldest, length } = await this.#state()
    const wasEmpty = this.#empty
    this.#empty = oldest === null
    const news = compareEventIds(last, this.#position)
    if (news === 0 && (wasEmpty || !this.#empty)) return
    // of a stream that was empty, so few are all there ever were
    if (news > 0 && (wasEmpty ? length <= BATCH : await this.#holds())) return
    if (news < 0) await this.#goOn()
    const before = oldest === null ? last : lastBefore(oldest)
    if (compareEventIds(before, this.#position) > 0) this.#position = before
    listener.lost(this.#position, oldest)
  }

  /** Redis knows lower ids only, or none: ids grow all the same. */
  async #goOn (): Promise<void> {
    try {
      await this.#ask((connection) => this.#stream.continueFrom(connection, this.#position))
    } catch (error) {
      // another process was first
      if (compareEventIds((await this.#state()).last, this.#position) < 0) throw error
    }
  }

  #state (): Promise<State> {
    return this.#ask((connection) => this.#stream.state(connection))
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
