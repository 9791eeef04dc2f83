import type { FastifyBaseLogger } from 'fastify'
import type { Audience, Backplane, BackplaneListener, HistorySettings, Page, PublishedEvent } from '../backplane.js'
import { SSE_ERR_BACKPLANE, SSE_ERR_CLOSING } from '../errors.js'
import { compareEventIds, previousId } from '../event/id.js'
import { History } from '../pubsub/history.js'
import { RedisStream } from './commands.js'
import { Connection, NoAnswer, type RedisClient } from './connection.js'
import { type LogEntry, placeholder, toEvent, toFields } from './entry.js'
import { Reader } from './reader.js'

export interface RedisSettings {
  key: string
  /** The minimum number of events that Redis keeps. They are the newest events. */
  maxLength: number
  /** The longest time that Redis may take for an answer, ms. */
  timeout: number
}

/** The two connections to Redis of an open backplane. The reader uses a separate connection, because a blocking read delays all later commands on it. */
interface Session {
  readonly commands: Connection
  readonly reader: Reader
}

/**
 * The log of published events in a Redis stream, whose entry ids are the event ids. Each process reads the whole stream,
 * including the events that it published, so that all processes receive the same events in the same order. Recent events
 * are kept in memory, so that most replays do not ask Redis; older ones are read with XRANGE.
 */
export class RedisBackplane implements Backplane {
  newest = '0-0'
  readonly #template: () => Promise<RedisClient>
  readonly #stream: RedisStream
  readonly #settings: RedisSettings
  readonly #history: HistorySettings
  readonly #log: FastifyBaseLogger
  /** The connections to Redis; null before `open()` creates them. */
  #session: Session | null = null
  #closed = false
  #recent: History
  /** Id of the oldest event in Redis when it was last read, null for none. `#receivedSince` is the number of events that were received since then. */
  #oldestId: string | null = null
  #receivedSince = 0

  /** @param template a function that resolves to a client, whose options the connections to Redis use */
  constructor (template: () => Promise<RedisClient>, settings: RedisSettings, history: HistorySettings, log: FastifyBaseLogger) {
    this.#template = template
    this.#stream = new RedisStream(settings.key)
    this.#settings = settings
    this.#history = history
    this.#log = log
    this.#recent = new History(history, this.newest)
  }

  get oldestId (): string | null {
    // after as many events as the history holds, Redis has probably trimmed the oldest event
    return this.#receivedSince < this.#history.size && this.#oldestId !== null ? this.#oldestId : this.#recent.oldestId
  }

  async open ({ onEvent, onGap }: BackplaneListener): Promise<void> {
    const { timeout, key } = this.#settings
    const template = await this.#template()
    if (this.#closed) throw new SSE_ERR_CLOSING()
    const commands = new Connection(template)
    const reader = new Reader(new Connection(template), this.#stream, timeout, this.#log)
    this.#session = { commands, reader }
    try {
      const [{ lastId, oldestId }] = await Promise.all([reader.open(), commands.run({ timeout }, async () => {})])
      this.#startAt(lastId, oldestId)
    } catch (error) {
      const refused = this.#closed ? new SSE_ERR_CLOSING() : failure(error)
      await this.close()
      throw refused
    }
    reader.run({
      onEntry: (entry) => {
        if (entry.kind === 'foreign') this.#log.warn(`the entry ${entry.id} of the Redis stream "${key}" is no event of this plugin's, and is skipped`)
        onEvent(this.#append(toEvent(entry)))
      },
      onLoss: (lastMissedId, oldestId) => {
        this.#log.warn(`the Redis stream "${key}" has lost events, or they were trimmed before they were read: the streams are sent a gap`)
        this.#startAt(lastMissedId, oldestId)
        onGap({ oldestId: this.oldestId, lastMissedId })
      }
    })
  }

  publish (to: Audience, name: string, frame: string): Promise<string> {
    const { maxAge } = this.#history
    return this.#ask(async (commands) => {
      // sends XADD first: Redis refuses both commands while it is loading, and when both are sent again the event is appended once
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
    this.#session?.reader.close()
    this.#session?.commands.close()
  }

  #append (event: PublishedEvent): PublishedEvent {
    this.newest = event.id
    this.#recent.append(event)
    this.#receivedSince++
    return event
  }

  /** Continues after the event id `position`. Drops the events in memory, which are older. `oldestId` is the id of the oldest event in Redis, null for none. */
  #startAt (position: string, oldestId: string | null): void {
    this.newest = position
    this.#setOldest(oldestId)
    this.#recent = new History(this.#history, position)
  }

  #setOldest (id: string | null): void {
    this.#oldestId = id
    this.#receivedSince = 0
  }

  async #readStream (commands: Connection, after: string, limit: number): Promise<Page> {
    // events that this process receives while Redis answers are not returned now, but by a later read
    const { newest } = this
    const isReceived = ({ id }: LogEntry) => compareEventIds(id, newest) <= 0
    const [first, ...more] = await this.#stream.range(commands, after, limit + 1)
    if (first !== undefined && (first.id === after || previousId(first.id) === after)) {
      const [next, ...others] = (first.id === after ? more : [first, ...more].slice(0, limit)).filter(isReceived)
      // Redis may have trimmed even the newest event: then a placeholder, which no stream receives, has its id
      if (next === undefined) return { gap: null, events: compareEventIds(after, newest) < 0 ? [placeholder(newest)] : [] }
      if (next.kind === 'lost') return { gap: { oldestId: this.oldestId, lastMissedId: next.id }, events: eventsBeforeLoss(others) }
      return { gap: null, events: eventsBeforeLoss([next, ...others]) }
    }
    const entries = this.#history.size === 0 ? [] : (await this.#stream.range(commands, '-', limit)).filter(isReceived)
    const held = entries.findIndex(({ kind }) => kind !== 'lost')
    const [oldest] = entries
    if (oldest === undefined) return { gap: { oldestId: null, lastMissedId: newest }, events: [] }
    this.#setOldest(entries[held]?.id ?? null)
    const lastMissedId = held === 0 ? previousId(oldest.id) : entries[held - 1]?.id ?? newest
    return { gap: { oldestId: this.#oldestId, lastMissedId }, events: held < 0 ? [] : eventsBeforeLoss(entries.slice(held)) }
  }

  /** Calls `work` with the connection for commands. @throws SSE_ERR_CLOSING before `open()` or after `close()`; SSE_ERR_BACKPLANE if Redis fails */
  async #ask<Result> (work: (commands: Connection) => Promise<Result>): Promise<Result> {
    if (this.#session === null) throw new SSE_ERR_CLOSING()
    const { commands } = this.#session
    try {
      return await commands.run({ timeout: this.#settings.timeout }, () => work(commands))
    } catch (error) {
      throw this.#closed ? new SSE_ERR_CLOSING() : failure(error)
    }
  }
}

/** Returns the events before the first loss marker, an entry that says that events are lost. The next read starts at the marker and reports the loss. */
function eventsBeforeLoss (entries: LogEntry[]): PublishedEvent[] {
  const end = entries.findIndex(({ kind }) => kind === 'lost')
  return (end < 0 ? entries : entries.slice(0, end)).map(toEvent)
}

/** Creates SSE_ERR_BACKPLANE. Clients may get its message, so the error of Redis, with its address, is only in `cause`, for the app's log. */
function failure (error: unknown): Error {
  const [reason, cause] = error instanceof NoAnswer ? [error.message, error.cause] : ['a command failed', error]
  return Object.assign(new SSE_ERR_BACKPLANE(`Redis: ${reason}`), { cause })
}
