// Tested by test/redis/backplane.test.ts
import type { Connection } from './connection.js'
import { LOSS_MARKER, type LogEntry, readEntries, toMap } from './entry.js'

/** The ends of a Redis stream. */
export interface StreamInfo {
  /** The last id that Redis generated; `0-0` for a new stream. */
  lastId: string
  /** Id of the oldest entry; null for none. */
  oldestId: string | null
}

/** The commands on one Redis stream. Each rejects as `Connection.send` does. */
export class RedisStream {
  readonly #key: string

  constructor (key: string) {
    this.#key = key
  }

  /** Appends an entry and trims the oldest entries past about `maxLength`. Resolves to the entry's id. */
  async append (connection: Connection, maxLength: number, fields: string[]): Promise<string> {
    return String(await connection.send('XADD', this.#key, 'MAXLEN', '~', String(maxLength), '*', ...fields))
  }

  /** Trims entries from before a time, ms since the epoch. Redis keeps some of them, because it frees whole nodes only. */
  async expire (connection: Connection, before: number): Promise<void> {
    await connection.send('XTRIM', this.#key, 'MINID', '~', String(before))
  }

  /** Resolves to up to `limit` entries from a position on, including the entry at the position; `-` is the oldest. */
  async range (connection: Connection, position: string, limit: number): Promise<LogEntry[]> {
    return readEntries(await connection.send('XRANGE', this.#key, position, '+', 'COUNT', String(limit)))
  }

  /** Resolves like `range`, once an entry follows the position or `block` ms have passed. */
  async readBlocking (connection: Connection, position: string, limit: number, block: number): Promise<LogEntry[]> {
    // XREAD does not report entries that were trimmed after the position; if the entry at the position remains, none was
    const arrival = connection.send('XREAD', 'COUNT', '1', 'BLOCK', String(block), 'STREAMS', this.#key, position)
    const [entries] = await Promise.all([this.range(connection, position, limit), arrival])
    return entries
  }

  async info (connection: Connection): Promise<StreamInfo> {
    // XINFO is an error for a key that does not exist
    if (Number(await connection.send('EXISTS', this.#key)) === 0) return { lastId: '0-0', oldestId: null }
    const info = toMap(await connection.send('XINFO', 'STREAM', this.#key))
    const first = info.get('first-entry') as [id: string] | null
    return { lastId: String(info.get('last-generated-id')), oldestId: first?.[0] ?? null }
  }

  /** Appends a mark that events before it are lost. @param id greater than all ids of the stream; `*` for a new one */
  async appendLossMarker (connection: Connection, id: string): Promise<string> {
    return String(await connection.send('XADD', this.#key, id, ...LOSS_MARKER))
  }
}
