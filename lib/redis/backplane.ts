import type { FastifyBaseLogger } from 'fastify'
import type { Backplane } from '../backplane.js'
import { asError, SSE_ERR_BACKPLANE, SSE_ERR_CLOSING } from '../errors.js'
import { compareEventIds } from '../event-id.js'
import { type Audience, type Gap, History, type HistorySettings, type Page, type PublishedEvent } from '../history.js'
import { Connection, type RedisClient } from './connection.js'
import { fieldsOf, isNothing, nothingAt } from './entry.js'
import { lastBefore } from './position.js'
import { type Listener, Reader } from './reader.js'
import { RedisStream } from './stream.js'

export interface RedisSettings {
  key: string
  /** How many events Redis keeps, at least. */
  maxLength: number
  /** What Redis may take for an answer, ms. */
  timeout: number
}

/**
 * The log is a Redis stream, whose ids are the events' own. Each process reads it, what it published itself included,
 * so that all receive the same in the same order. What was received lately is kept, so that most replays need no Redis;
 * what goes further back is read with XRANGE.
 */
export class RedisBackplane implements Backplane, Listener {
  newest = '0-0'
  oldestId: string | null = null
  readonly #model: () => Promise<RedisClient>
  readonly #stream: RedisStream
  readonly #settings: RedisSettings
  readonly #history: HistorySettings
  readonly #log: FastifyBaseLogger
  /** Null until it is opened, and once it is closed. */
  #commands: Connection | null = null
  #reader: Reader | null = null
  #recent: History
  #receive: (event: PublishedEvent) => void = () => {}
  #lost: (gap: Gap) => void = () => {}

  /** @param model the client whose options the connections have */
  constructor (model: () => Promise<RedisClient>, settings: RedisSettings, history: HistorySettings, log: FastifyBaseLogger) {
    this.#model = model
    this.#stream = new RedisStream(settings.key)
    this.#settings = settings
    this.#history = history
    this.#log = log
    this.#recent = new History(history, this.newest)
  }

  async open (receive: (event: PublishedEvent) => void, lost: (gap: Gap) => void): Promise<void> {
    const { timeout, maxLength } = this.#settings
    this.#receive = receive
    this.#lost = lost
    const model = await this.#model()
    const commands = this.#commands = new Connection(model)
    const reader = this.#reader = new Reader(new Connection(model), this.#stream, { timeout, maxLength, expiring: this.#history.maxAge > 0 }, this.#log)
    try {
      const [{ last, oldest }] = await Promise.all([reader.open(), commands.do(timeout, async () => {})])
      this.#beginAt(last, oldest)
    } catch (error) {
      await this.close()
      throw failed(error)
    }
    reader.run(this)
  }

  publish (to: Audience, name: string, text: string): Promise<string> {
    const { maxAge } = this.#history
    return this.#ask(async (commands) => {
      const expired = maxAge > 0 ? this.#stream.expire(commands, Math.max(0, parseInt(this.newest) - maxAge)) : undefined
      const [id] = await Promise.all([this.#stream.append(commands, this.#settings.maxLength, fieldsOf(to, name, text)), expired])
      return id
    })
  }

  read (after: string, limit: number): Page | Promise<Page> {
    if (after === this.newest) return { gap: null, events: [] }
    if (this.#history.size === 0) return { gap: { oldestId: null, through: this.newest }, events: [] }
    const page = this.#recent.read(after, limit)
    return page.gap === null ? page : this.#ask((commands) => this.#readStream(commands, after, limit))
  }

  async close (): Promise<void> {
    this.#reader?.close()
    this.#commands?.close()
    this.#commands = null
  }

  take (event: PublishedEvent): void {
    if (isNothing(event)) this.#log.warn(`the entry ${event.id} of the Redis stream "${this.#settings.key}" is no event of this plugin's, and is skipped`)
    this.newest = event.id
    this.#recent.append(event)
    this.oldestId ??= this.#recent.oldestId
    this.#receive(event)
  }

  lost (through: string, oldest: string | null): void {
    this.#log.warn(`the Redis stream "${this.#settings.key}" has lost events, or they were trimmed before they were read: the streams are sent a gap`)
    this.#beginAt(through, oldest)
    this.#lost({ oldestId: oldest, through })
  }

  /** From here on nothing is missing. */
  #beginAt (position: string, oldest: string | null): void {
    this.newest = position
    this.oldestId = this.#history.size === 0 ? null : oldest
    this.#recent = new History(this.#history, position)
  }

  async #readStream (commands: Connection, after: string, limit: number): Promise<Page> {
    // what comes while Redis is asked is not in its answer, and is read later
    const { newest } = this
    const received = ({ id }: PublishedEvent) => compareEventIds(id, newest) <= 0
    const [first, ...more] = await this.#stream.from(commands, after, limit + 1)
    if (first !== undefined && (first.id === after || lastBefore(first.id) === after)) {
      const events = (first.id === after ? more : [first, ...more].slice(0, limit)).filter(received)
      // the newest itself may be gone
      if (events.length === 0 && compareEventIds(after, newest) < 0) events.push(nothingAt(newest))
      return { gap: null, events }
    }
    const events = (await this.#stream.from(commands, '-', limit)).filter(received)
    const [oldest] = events
    if (oldest === undefined) return { gap: { oldestId: null, through: newest }, events }
    this.oldestId = oldest.id
    return { gap: { oldestId: oldest.id, through: lastBefore(oldest.id) }, events }
  }

  /** @throws SSE_ERR_CLOSING, SSE_ERR_BACKPLANE */
  async #ask<Result> (work: (commands: Connection) => Promise<Result>): Promise<Result> {
    const commands = this.#commands
    if (commands === null) throw new SSE_ERR_CLOSING()
    try {
      return await commands.do(this.#settings.timeout, () => work(commands))
    } catch (error) {
      throw this.#commands === null ? new SSE_ERR_CLOSING() : failed(error)
    }
  }
}

function failed (error: unknown): Error {
  const { message, cause } = asError(error)
  const why = cause instanceof Error ? ` (${cause.message || String('code' in cause ? cause.code : cause.name)})` : ''
  return Object.assign(new SSE_ERR_BACKPLANE(`Redis: ${message}${why}`), { cause: error })
}
