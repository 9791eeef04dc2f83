import type { BackplaneFactory } from '../backplane.js'
import { SSE_ERR_OPTION, show } from '../errors.js'
import { RedisBackplane } from './backplane.js'
import { Connection, type RedisClient } from './connection.js'

export type { RedisClient } from './connection.js'

/** Where the log is in Redis, 6.2 or later. */
export type RedisBackplaneOptions = RedisLogOptions & ({
  /** `redis://…`, or `rediss://…` for TLS, with user, password and database where needed. Takes the package `redis`. */
  url: string
  client?: never
} | {
  /** A client of node-redis or ioredis. It is duplicated: yours is neither used nor closed. */
  client: RedisClient
  url?: never
})

/** The log itself. */
export interface RedisLogOptions {
  /** The stream's key, default `sse`: one for each application. */
  key?: string
  /** How many events Redis keeps; some more, since it frees them by the hundred. Default `history.size`, at least 100. */
  maxLength?: number
  /** What Redis may take for an answer, ms, default 5000: then `publish` rejects, and so does `register`. */
  timeout?: number
}

/** Less than this Redis does not free, and a reader that is late needs some. */
const LEAST = 100

/**
 * Keeps the log of published events in Redis, for all processes of an application.
 * @throws SSE_ERR_OPTION
 */
export function redisBackplane ({ url, client, key = 'sse', maxLength, timeout = 5_000 }: RedisBackplaneOptions): BackplaneFactory {
  if ((url === undefined) === (client === undefined)) throw new SSE_ERR_OPTION('redisBackplane', 'either a url or a client', url === undefined ? 'neither' : 'both')
  if (url !== undefined && typeof url !== 'string') throw new SSE_ERR_OPTION('url', 'a string', show(url))
  if (client !== undefined && typeof client?.duplicate !== 'function') throw new SSE_ERR_OPTION('client', 'a client of node-redis or ioredis', show(client))
  if (typeof key !== 'string' || key === '') throw new SSE_ERR_OPTION('key', 'a string that is not empty', show(key))
  for (const [name, value] of Object.entries({ maxLength, timeout })) {
    if (value !== undefined && !(Number.isSafeInteger(value) && value > 0)) throw new SSE_ERR_OPTION(name, 'a whole number above 0', show(value))
  }
  const connect = async () => Connection.like(client ?? (await import('redis')).createClient({ url }))
  return (history, log) => new RedisBackplane(connect, { key, maxLength: Math.max(LEAST, maxLength ?? history.size), timeout }, history, log)
}
