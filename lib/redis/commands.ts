// Tested by test/redis/backplane.test.ts
import type { Audience, Control, Publication, TopicHistory } from '../backplane.js'
import type { Connection } from './connection.js'
import { controlFields, eventFields, type LogEntry, readEntries, readReply, wholeAge } from './entry.js'
import { APPEND, MARK_LOSS, OLDEST, OPEN, READ, REWIND } from './scripts.js'

/** The events of a page that was read from Redis. */
export interface StreamPage {
  /** Id of the newest event that a stream no longer has and the reader does not have; `''` for none. */
  readonly lost: string
  /** The id up to which the events were read. */
  readonly through: string
  /** Id of the oldest event of the streams if events are missing, otherwise `''`. */
  readonly oldest: string
  readonly entries: LogEntry[]
}

/** The limits of a log: those of each stream, and the minimum number of entries that the log keeps. */
export interface LogLimits extends TopicHistory {
  readonly maxLength: number
}

/** A stream to read, and the id after which it is read. */
export type StreamStart = readonly [key: string, after: string]

/** The first command of a connection that appends entries, so that Redis stores them in the order of the calls. */
export const FIRST = APPEND.load

/** Sends commands for one log, on the connection that is passed to each method. The methods reject as `Connection.send` does. */
export class RedisLog {
  readonly #prefix: string
  readonly #log: string
  readonly #marks: string
  readonly #expiring: string

  /** @param key the text that all keys of the log have in braces, so that a Redis Cluster has them in one slot */
  constructor (key: string) {
    this.#prefix = `{${key}}`
    this.#log = `${this.#prefix}:log`
    this.#marks = `${this.#prefix}:marks`
    this.#expiring = `${this.#prefix}:expiring`
  }

  /** Returns the key of the stream with the events of a topic, of a client id, or (without a name) of the broadcasts. */
  stream (to: Audience, name = ''): string {
    return to === 'all' ? `${this.#prefix}:all` : `${this.#prefix}:${to}:${name}`
  }

  /**
   * Appends an event. Redis then removes the oldest entries of the log if there are more than about `maxLength`. Resolves to the id of
   * the event. @param limits null: the limits of the process that opened the log last
   */
  async publish (connection: Connection, limits: LogLimits | null, publication: Publication): Promise<string> {
    const { to, names } = publication
    const streams = to === 'all' ? [this.stream(to)] : names.map((name) => this.stream(to, name))
    const ofStreams = streams.flatMap((_key, i) => {
      const limit = publication.limits?.[i] ?? limits
      return limit === null ? ['', ''] : [String(limit.size), String(wholeAge(limit.maxAge))]
    })
    return this.#append(connection, limits, streams, [...ofStreams, ...eventFields(publication)])
  }

  /** Appends a control message. Resolves to its id. */
  async control (connection: Connection, limits: LogLimits | null, control: Control): Promise<string> {
    return this.#append(connection, limits, [], controlFields(control))
  }

  async #append (connection: Connection, limits: LogLimits | null, streams: string[], args: string[]): Promise<string> {
    return String(await APPEND.run(connection, [this.#log, this.#marks, this.#expiring, ...streams], [String(limits?.maxLength ?? ''), ...args]))
  }

  /** Waits until an entry follows the id `position`, at most `block` ms. Resolves to up to `limit` entries after `position`. */
  async readBlocking (connection: Connection, position: string, limit: number, block: number): Promise<LogEntry[]> {
    return readReply(await connection.send('XREAD', 'COUNT', String(limit), 'BLOCK', String(block), 'STREAMS', this.#log, position))
  }

  /** Resolves to the id of the newest entry that a script has appended; null if the log is lost. */
  async last (connection: Connection): Promise<string | null> {
    return await connection.send('HGET', this.#marks, 'last') as string | null
  }

  /** Resolves to the id of the newest entry of the log, and of the newest entry that a script has appended. Appends a loss marker to a new log. */
  async open (connection: Connection, { maxLength, size, maxAge }: LogLimits): Promise<[newest: string, last: string]> {
    return await OPEN.run(connection, [this.#log, this.#marks], [maxLength, size, wholeAge(maxAge)].map(String)) as [string, string]
  }

  /** Resolves to the id of the oldest event in the log; null if there is none. */
  async oldest (connection: Connection): Promise<string | null> {
    return String(await OLDEST.run(connection, [this.#log], [])) || null
  }

  /** Appends a loss marker: an entry that says that events before it may be lost. Does nothing if the log has a marker that is newer than the id `seen`. */
  async markLoss (connection: Connection, seen: string): Promise<void> {
    await MARK_LOSS.run(connection, [this.#log, this.#marks], [seen])
  }

  /**
   * Reads the next events of streams, up to `limit` events, and up to about `bytes`, that are not newer than `upto`. Resolves to null
   * if `after`, the id up to which the reader has everything, is newer than `upto` and in the log.
   */
  async read (connection: Connection, after: string, upto: string, limit: number, bytes: number, starts: readonly StreamStart[]): Promise<StreamPage | null> {
    const keys = [this.#log, this.#marks, ...starts.map(([key]) => key)]
    const reply = await READ.run(connection, keys, [after, upto, String(limit), String(bytes), ...starts.map(([, from]) => from)]) as [string, string, string, unknown] | [string]
    if (reply.length === 1) return null
    const [lost, through, oldest, entries] = reply
    return { lost, through, oldest, entries: readEntries(entries) }
  }

  /** Resolves for each topic to the id after which its newest `count` events follow that are not newer than `upto`. @param count Infinity: all */
  async rewind (connection: Connection, upto: string, count: number, topics: readonly string[]): Promise<Map<string, string>> {
    const streams = topics.map((topic) => this.stream('topic', topic))
    const ids = await REWIND.run(connection, [this.#marks, ...streams], [upto, String(count === Infinity ? 0 : count)]) as string[]
    return new Map(topics.map((topic, i) => [topic, String(ids[i])]))
  }
}
