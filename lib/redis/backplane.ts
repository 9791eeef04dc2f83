import type { FastifyBaseLogger } from 'fastify'
import type { Audience, Backplane, BackplaneListener, HistorySettings, Page, PublishedEvent } from '../backplane.js'
import { SSE_ERR_BACKPLANE, SSE_ERR_CLOSING } from '../errors.js'
import { compareEventIds, previousId } from '../event/id.js'
import { History } from '../pubsub/history.js'
import { Connection, NoAnswer, type RedisClient } from './connection.js'
import { toFields, isLoss, isNothing, placeholder } from './entry.js'
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
  readonly #model: () => Promise<RedisClient>
  readonly #stream: RedisStream
  readonly #settings: RedisSettings
  readonly #history: HistorySettings
  readonly #log: FastifyBaseLogger
  /** Null until it is opened. */
  #commands: Connection | null = null
  #reader: Reader | null = null
  #closed = false
  #recent: History
  /** The oldest event there was when Redis was looked at last, and how many were received since. */
  #oldest: string | null = null
  #since = 0
  #listener!: BackplaneListener

  /** @param model the client whose options the connections have */
  constructor (model: () => Promise<RedisClient>, settings: RedisSettings, history: HistorySettings, log: FastifyBaseLogger) {
    this.#model = model
    this.#stream = new RedisStream(settings.key)
    this.#settings = settings
    this.#history = history
    this.#log = log
    this.#recent = new History(history, this.newest)
  }

  get oldestId (): string | null {
    // one that so many came after is likely to be gone
    return this.#since < this.#history.size && this.#oldest !== null ? this.#oldest : this.#recent.oldestId
  }

  async open (listener: BackplaneListener): Promise<void> {
    const { timeout } = this.#settings
    this.#listener = listener
    const model = await this.#model()
    if (this.#closed) throw new SSE_ERR_CLOSING()
    const commands = this.#commands = new Connection(model)
    const reader = this.#reader = new Reader(new Connection(model), this.#stream, timeout, this.#log)
    try {
      const [{ last, oldest }] = await Promise.all([reader.open(), commands.run(timeout, async () => {})])
      this.#beginAt(last, oldest)
    } catch (error) {
      const refused = this.#closed ? new SSE_ERR_CLOSING() : failed(error)
      await this.close()
      throw refused
    }
    reader.run(this)
  }

  publish (to: Audience, name: string, frame: string): Promise<string> {
    const { maxAge } = this.#history
    return this.#ask(async (commands) => {
      // in this order: what is done again where Redis was loading is not done twice
      const appended = this.#stream.append(commands, this.#settings.maxLength, toFields(to, name, frame))
      const [id] = await Promise.all([appended, maxAge > 0 ? this.#stream.expire(commands, Math.max(0, parseInt(this.newest) - maxAge)) : undefined])
      return id
    })
  }

  read (after: string, limit: number): Page | Promise<Page> {
    if (this.#history.size === 0 && compareEventIds(after, this.newest) < 0) return { gap: { oldestId: null, lastMissedId: this.newest }, events: [] }
    const page = this.#recent.read(after, limit)
    return page.gap === null ? page : this.#ask((commands) => this.#readStream(commands, after, limit))
  }

  async close (): Promise<void> {
    this.#closed = true
    this.#reader?.close()
    this.#commands?.close()
  }

  take (event: PublishedEvent): void {
    if (isNothing(event)) this.#log.warn(`the entry ${event.id} of the Redis stream "${this.#settings.key}" is no event of this plugin's, and is skipped`)
    this.newest = event.id
    this.#recent.append(event)
    this.#since++
    this.#listener.onEvent(event)
  }

  lost (lastMissedId: string, oldest: string | null): void {
    this.#log.warn(`the Redis stream "${this.#settings.key}" has lost events, or they were trimmed before they were read: the streams are sent a gap`)
    this.#beginAt(lastMissedId, oldest)
    this.#listener.onGap({ oldestId: this.oldestId, lastMissedId })
  }

  /** From here on nothing is missing. */
  #beginAt (position: string, oldest: string | null): void {
    this.newest = position
    this.#looked(oldest)
    this.#recent = new History(this.#history, position)
  }

  #looked (oldest: string | null): void {
    this.#oldest = oldest
    this.#since = 0
  }

  async #readStream (commands: Connection, after: string, limit: number): Promise<Page> {
    // what comes while Redis is asked is not in its answer, and is read later
    const { newest } = this
    const received = ({ id }: PublishedEvent) => compareEventIds(id, newest) <= 0
    const [first, ...more] = await this.#stream.range(commands, after, limit + 1)
    if (first !== undefined && (first.id === after || previousId(first.id) === after)) {
      const [next, ...others] = (first.id === after ? more : [first, ...more].slice(0, limit)).filter(received)
      // the newest itself may be gone
      if (next === undefined) return { gap: null, events: compareEventIds(after, newest) < 0 ? [placeholder(newest)] : [] }
      if (isLoss(next)) return { gap: { oldestId: this.oldestId, lastMissedId: next.id }, events: beforeLoss(others) }
      return { gap: null, events: beforeLoss([next, ...others]) }
    }
    const events = this.#history.size === 0 ? [] : (await this.#stream.range(commands, '-', limit)).filter(received)
    const held = events.findIndex((event) => !isLoss(event))
    const [oldest] = events
    if (oldest === undefined) return { gap: { oldestId: null, lastMissedId: newest }, events }
    this.#looked(events[held]?.id ?? null)
    const lastMissedId = held === 0 ? previousId(oldest.id) : events[held - 1]?.id ?? newest
    return { gap: { oldestId: this.#oldest, lastMissedId }, events: held < 0 ? [] : beforeLoss(events.slice(held)) }
  }

  /** @throws SSE_ERR_CLOSING, SSE_ERR_BACKPLANE */
  async #ask<Result> (work: (commands: Connection) => Promise<Result>): Promise<Result> {
    const commands = this.#commands
    if (commands === null) throw new SSE_ERR_CLOSING()
    try {
      return await commands.run(this.#settings.timeout, () => work(commands))
    } catch (error) {
      throw this.#closed ? new SSE_ERR_CLOSING() : failed(error)
    }
  }
}

/** What comes after it is read after a gap. */
function beforeLoss (events: PublishedEvent[]): PublishedEvent[] {
  const at = events.findIndex(isLoss)
  return at < 0 ? events : events.slice(0, at)
}

function failed (error: unknown): Error {
  // the cause holds the address, and what Redis said, which is for the log and not for clients
  const [why, cause] = error instanceof NoAnswer ? [error.message, error.cause] : ['a command failed', error]
  return Object.assign(new SSE_ERR_BACKPLANE(`Redis: ${why}`), { cause })
}
