// Tested by test/redis/backplane.test.ts
import type { Connection } from './connection.js'
import { LOSS_MARKER, type LogEntry, readEntries, toMap } from './entry.js'

/** The ids at the two ends of a Redis stream. */
export interface StreamInfo {
  /** The last id that Redis generated for the stream; `0-0` for a new stream. */
  lastId: string
  /** The id of the oldest entry; null if the stream has no entries. */
  oldestId: string | null
}

/** Sends commands for one Redis stream, on the connection that is passed to each method. The methods reject as `Connection.send` does. */
export class RedisStream {
  readonly #key: string

  constructor (key: string) {
    this.#key = key
  }

  /** Appends an entry. Redis then removes the oldest entries if there are more than about `maxLength`. Resolves to the id of the new entry. */
  async append (connection: Connection, maxLength: number, fields: string[]): Promise<string> {
    return String(await connection.send('XADD', this.#key, 'MAXLEN', '~', String(maxLength), '*', ...fields))
  }

  /** Removes entries that are older than `before`, ms since the epoch. Redis keeps some of them, because it frees whole nodes of entries only. */
  async expire (connection: Connection, before: number): Promise<void> {
    await connection.send('XTRIM', this.#key, 'MINID', '~', String(before))
  }

  /** Resolves to up to `limit` entries, oldest first, from the id `position` on, including the entry with that id. `-` starts at the oldest entry. */
  async range (connection: Connection, position: string, limit: number): Promise<LogEntry[]> {
    return readEntries(await connection.send('XRANGE', this.#key, position, '+', 'COUNT', String(limit)))
  }

  /** Waits until an entry follows the id `position`, at most `block` ms, and then resolves to the entries from `position` on, like `range`. */
  async readBlocking (connection: Connection, position: string, limit: number, block: number): Promise<LogEntry[]> {
    // XREAD does not show if entries after `position` were trimmed, so XRANGE reads too: if the entry at `position` still exists, none was trimmed
    const arrival = connection.send('XREAD', 'COUNT', '1', 'BLOCK', String(block), 'STREAMS', this.#key, position)
    const [entries] = await Promise.all([this.range(connection, position, limit), arrival])
    return entries
  }

  async info (connection: Connection): Promise<StreamInfo> {
    // asks EXISTS first, because XINFO is an error for a key that does not exist
    if (Number(await connection.send('EXISTS', this.#key)) === 0) return { lastId: '0-0', oldestId: null }
    const info = toMap(await connection.send('XINFO', 'STREAM', this.#key))
    const first = info.get('first-entry') as [id: string] | null
    return { lastId: String(info.get('last-generated-id')), oldestId: first?.[0] ?? null }
  }

  /** Appends a loss marker: an entry that says that events before it are lost. @param id an id above all ids of the stream; for `*` Redis generates it */
  async appendLossMarker (connection: Connection, id: string): Promise<string> {
    return String(await connection.send('XADD', this.#key, id, ...LOSS_MARKER))
  }
}
