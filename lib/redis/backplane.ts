// Tested by test/redis/backplane.test.ts
import type { FastifyBaseLogger } from 'fastify'
import type { Backplane, BackplaneListener, Control, HistorySettings, Page, Publication, Reader as EventReader, StartPositions } from '../backplane.js'
import { SSE_ERR_CLOSING } from '../errors.js'
import { compareEventIds } from '../event/id.js'
import { History } from '../pubsub/history.js'
import { FIRST, type LogLimits, RedisLog } from './commands.js'
import { Connection, failure, type Template } from './connection.js'
import type { LogEntry } from './entry.js'
import { Reader } from './reader.js'
import { Replay } from './replay.js'
import { RedisRunStore } from './run-store.js'

export interface RedisSettings {
  key: string
  /** The minimum number of entries that the log in Redis keeps. They are the newest entries. */
  maxLength: number
  /** The longest time that Redis may take for an answer, ms. */
  timeout: number
}

/** The connections to Redis of an open backplane. They are separate, because a blocking read and the reads of replays delay all later commands on their connection. */
interface Session {
  readonly commands: Connection
  readonly reader: Reader
  readonly replay: Replay
}

/**
 * The log of published events in a Redis stream, whose entry ids are the event ids. Each process reads the whole stream, including the
 * entries that it appended, so that all processes receive the same entries in the same order. Each topic, each client id and the
 * broadcasts have another stream, with the events that are kept for replays. Recent events are also kept in memory, so that most
 * replays do not ask Redis.
 */
export class RedisBackplane implements Backplane {
  newest = '0-0'
  readonly runs: RedisRunStore
  readonly #template: () => Promise<Template>
  readonly #redis: RedisLog
  readonly #settings: RedisSettings
  readonly #history: HistorySettings
  readonly #limits: LogLimits
  readonly #log: FastifyBaseLogger
  /** The connections to Redis; null before `open()` creates them. */
  #session: Session | null = null
  #closed = false
  #recent: History
  /** Id of the oldest event in Redis when it was last read, null for none. `#receivedSince` is the number of events that were received since then. */
  #oldestId: string | null = null
  #receivedSince = 0
  /** The newest id of another process that this process has found in the log, though it has not received it. */
  #ahead = '0-0'

  /** @param template a function that resolves to a client, whose options the connections to Redis use */
  constructor (template: () => Promise<Template>, settings: RedisSettings, history: HistorySettings, log: FastifyBaseLogger) {
    this.#template = template
    this.runs = new RedisRunStore(template, settings.key, settings.timeout, log)
    this.#redis = new RedisLog(settings.key)
    this.#settings = settings
    this.#history = history
    this.#limits = { maxLength: settings.maxLength, size: history.size, maxAge: history.maxAge }
    this.#log = log
    this.#recent = new History(history, this.newest)
  }

  get oldestId (): string | null {
    // after as many events as the history keeps of a topic, Redis has probably trimmed the oldest event
    return this.#receivedSince < this.#history.size && this.#oldestId !== null ? this.#oldestId : this.#recent.oldestId
  }

  async open (listener: BackplaneListener): Promise<void> {
    const { timeout, key } = this.#settings
    const template = await this.#template()
    if (this.#closed) throw new SSE_ERR_CLOSING()
    const [commands, replays] = [new Connection(template, FIRST), new Connection(template)]
    const reader = new Reader(new Connection(template), this.#redis, timeout, this.#log)
    this.#session = { commands, reader, replay: new Replay(replays, this.#redis, timeout) }
    try {
      const [{ newest, oldestId }] = await Promise.all([reader.open(this.#limits), ...[commands, replays].map((connection) => connection.run({ timeout }, async () => {}))])
      this.#startAt(newest, oldestId)
    } catch (error) {
      const refused = this.#closed ? new SSE_ERR_CLOSING() : failure(error)
      await this.close()
      throw refused
    }
    reader.run({
      onEntry: (entry) => this.#receive(entry, listener),
      onLoss: (lastMissedId, oldestId) => {
        this.#log.warn(`the Redis stream "${key}" has lost events, or they were trimmed before they were read: the streams are sent a gap`)
        this.#startAt(lastMissedId, oldestId)
        listener.onGap({ oldestId: this.oldestId, lastMissedId })
      }
    })
  }

  publish (publication: Publication): Promise<string> {
    return this.#append((commands) => this.#redis.publish(commands, this.#limits, publication))
  }

  control (control: Control): Promise<string> {
    return this.#append((commands) => this.#redis.control(commands, this.#limits, control))
  }

  read (after: string, reader: EventReader, limit: number): Page | Promise<Page> {
    const { newest } = this
    const isAhead = compareEventIds(after, newest) > 0
    if (isAhead && compareEventIds(after, this.#ahead) <= 0) return { gap: null, events: [], position: after }
    return (isAhead ? null : this.#recent.readWhole(after, reader, limit)) ?? this.#readRedis(after, reader, limit)
  }

  rewind (topics: ReadonlySet<string>, count: number): Promise<StartPositions> {
    return this.#askAtOnce(({ replay }) => replay.rewind(topics, count, this.newest))
  }

  async close (): Promise<void> {
    this.#closed = true
    this.#session?.reader.close()
    this.#session?.replay.close()
    this.#session?.commands.close()
  }

  #receive (entry: LogEntry, { onEvent, onControl }: BackplaneListener): void {
    this.newest = entry.id
    this.#receivedSince++
    if (entry.kind === 'event') {
      this.#recent.append(entry.event)
      onEvent(entry.event)
      return
    }
    this.#recent.advance(entry.id)
    if (entry.kind === 'control') onControl(entry.control)
    else this.#log.warn(`the entry ${entry.id} of the Redis stream "${this.#settings.key}" is no event of this plugin's, and is skipped`)
  }

  /** Continues after the id `position`. Drops the events in memory, which are older. `oldestId` is the id of the oldest event in Redis, null for none. */
  #startAt (position: string, oldestId: string | null): void {
    this.newest = position
    this.#oldestId = oldestId
    this.#receivedSince = 0
    this.#recent = new History(this.#history, position)
  }

  async #readRedis (after: string, reader: EventReader, limit: number): Promise<Page> {
    const page = await this.#askAtOnce(({ replay }) => replay.read(after, reader, limit, this.newest))
    if (page.position === after && reader.isClosed?.() !== true && compareEventIds(after, this.newest) > 0) this.#ahead = after
    return page
  }

  /** Calls `append`, which resolves to the id of an entry, when commands can be sent. Rejects as `#askAtOnce`. */
  #append (append: (commands: Connection) => Promise<string>): Promise<string> {
    return this.#askAtOnce(async ({ commands, reader }) => {
      const id = await commands.run({ timeout: this.#settings.timeout }, () => append(commands))
      reader.appended(id)
      return id
    })
  }

  /** Calls `work` with the connections. @throws SSE_ERR_CLOSING before `open()` or after `close()`; SSE_ERR_BACKPLANE if Redis fails */
  async #askAtOnce<Result> (work: (session: Session) => Promise<Result>): Promise<Result> {
    if (this.#session === null) throw new SSE_ERR_CLOSING()
    try {
      return await work(this.#session)
    } catch (error) {
      throw this.#closed ? new SSE_ERR_CLOSING() : failure(error)
    }
  }
}
