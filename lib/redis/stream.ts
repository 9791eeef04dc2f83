import type { PublishedEvent } from '../backplane.js'
import type { Connection } from './connection.js'
import { eventsOf, LOSS, toMap } from './entry.js'

/** What a Redis stream holds. */
export interface State {
  /** The id that was given last; `0-0` where there was none. */
  last: string
  /** The id of the oldest entry, null where there is none. */
  oldest: string | null
}

/** The commands on one Redis stream. */
export class RedisStream {
  readonly #key: string

  constructor (key: string) {
    this.#key = key
  }

  /** Appends an entry, and has Redis leave out the oldest past about `maxLength`. Resolves to its id. */
  async append (connection: Connection, maxLength: number, fields: string[]): Promise<string> {
    return String(await connection.send('XADD', this.#key, 'MAXLEN', '~', String(maxLength), '*', ...fields))
  }

  /** Leaves out entries from before a time, ms since the epoch, but for some that are in a node with younger ones. */
  async expire (connection: Connection, before: number): Promise<void> {
    await connection.send('XTRIM', this.#key, 'MINID', '~', String(before))
  }

  /** What there is from a position on, itself included; `-` is the oldest. */
  async range (connection: Connection, position: string, limit: number): Promise<PublishedEvent[]> {
    return eventsOf(await connection.send('XRANGE', this.#key, position, '+', 'COUNT', String(limit)))
  }

  /** The same, as soon as something follows the position, or `block` ms are over. */
  async readBlocking (connection: Connection, position: string, limit: number, block: number): Promise<PublishedEvent[]> {
    // XREAD does not tell whether what comes next was left out before: where the position is still there, nothing was
    const something = connection.send('XREAD', 'COUNT', '1', 'BLOCK', String(block), 'STREAMS', this.#key, position)
    const [events] = await Promise.all([this.range(connection, position, limit), something])
    return events
  }

  async info (connection: Connection): Promise<State> {
    // of a key that is not there XINFO knows nothing
    if (Number(await connection.send('EXISTS', this.#key)) === 0) return { last: '0-0', oldest: null }
    const info = toMap(await connection.send('XINFO', 'STREAM', this.#key))
    const first = info.get('first-entry') as [id: string] | null
    return { last: String(info.get('last-generated-id')), oldest: first?.[0] ?? null }
  }

  /** Says in the stream that some of what came before is lost; with an id, which has to be greater than any before, or a new one. */
  async appendLossMarker (connection: Connection, id: string): Promise<string> {
    return String(await connection.send('XADD', this.#key, id, ...LOSS))
  }
}
