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
  /** How many entries are kept at least. */
  maxLength: number
  /** Whether entries are left out by their age as well, however few there are. */
  expiring: boolean
}

/** Reads a Redis stream from a position on, until it is closed: through failures of Redis, and where that lost entries. */
export class Reader {
  readonly #connection: Connection
  readonly #stream: RedisStream
  readonly #settings: ReaderSettings
  readonly #log: FastifyBaseLogger
  /** Up to where it was read. */
  #position = '0-0'
  /** Whether the stream was empty there, so that there is no entry at the position. */
  #empty = true
  #failing = false
  #closed = false

  constructor (connection: Connection, stream: RedisStream, settings: ReaderSettings, log: FastifyBaseLogger) {
    this.#connection = connection
    this.#stream = stream
    this.#settings = settings
    this.#log = log
  }

  /** Begins at the end of the stream, whose state it resolves to. */
  async open (): Promise<State> {
    const state = await this.#connection.do(this.#settings.timeout, () => this.#stream.state(this.#connection))
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
    if (this.#failing) await this.#check(listener)
    const events = await this.#ask((connection) => this.#stream.follow(connection, this.#position, BATCH, BLOCK))
    // a read that waits is not told of a stream that begins anew
    const unsure = events.length === 0 || events.length === BATCH || this.#settings.expiring
    if (unsure && !await this.#check(listener)) return
    for (const event of events) {
      this.#empty = false
      this.#position = event.id
      listener.take(event)
    }
  }

  /** Whether the stream still has all that follows the position; if not, the listener is told. */
  async #check (listener: Listener): Promise<boolean> {
    const [event] = await this.#ask((connection) => this.#stream.from(connection, this.#position, 1))
    if (event !== undefined && (event.id === this.#position || lastBefore(event.id) === this.#position)) return true
    const { last, oldest, length } = await this.#state()
    const news = compareEventIds(last, this.#position)
    // of a stream that was empty, it is all there ever was
    if (this.#empty && news >= 0 && length < this.#settings.maxLength) return true
    if (news < 0) await this.#goOn()
    const before = oldest === null ? last : lastBefore(oldest)
    if (compareEventIds(before, this.#position) > 0) this.#position = before
    this.#empty = oldest === null
    listener.lost(this.#position, oldest)
    return false
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
    return this.#connection.do(BLOCK + this.#settings.timeout, () => work(this.#connection))
  }

  async #failed (error: unknown): Promise<void> {
    if (this.#closed) return
    if (!this.#failing) this.#log.error({ err: error }, 'events are not received from Redis, which is tried again')
    this.#failing = true
    await wait(PAUSE)
  }
}
