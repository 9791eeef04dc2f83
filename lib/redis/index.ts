// Tested by test/redis/options.test.ts
import type { BackplaneFactory } from '../backplane.js'
import { SSE_ERR_NOT_INSTALLED, SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, describeValue } from '../errors.js'
import { RedisBackplane } from './backplane.js'
import type { RedisClient } from './connection.js'

export type { RedisClient } from './connection.js'

/** The options of `redisBackplane`: the Redis server, and the log of published events in it. Needs Redis 6.2 or later. */
export type RedisBackplaneOptions = RedisLogOptions & ({
  /** The address of Redis: `redis://…`, or `rediss://…` for TLS, with user, password and database if needed. Needs the package `redis`. */
  url: string
  client?: never
} | {
  /** A client of node-redis or ioredis. The plugin sends commands only on duplicates of this client, and does not close the client. */
  client: RedisClient
  url?: never
})

/** The options of the log of published events, which is one Redis stream. */
export interface RedisLogOptions {
  /** The key of the Redis stream that holds the log. Each application needs a different key. Default `sse`. */
  key?: string
  /** The number of events that Redis keeps. Redis keeps somewhat more, because it frees whole nodes of entries only. Default `history.size`, at least 100. */
  maxLength?: number
  /** The longest time that Redis may take for an answer, ms. After this time `publish` and `register` reject. Default 5000. */
  timeout?: number
}

/** The least number of events that Redis keeps, also with a smaller `maxLength`, because a process that reads late still needs its unread events. */
const LEAST = 100
/** The greatest value of the option `timeout`, ms: an hour. */
const LONGEST = 3_600_000

/**
 * Creates a backplane, which passes published events between the processes of an application. The log of published events is in
 * Redis, and each process reads the events of all processes from this log.
 *
 * @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION
 */
export function redisBackplane (options: RedisBackplaneOptions): BackplaneFactory {
  if (typeof options !== 'object' || options === null) throw new SSE_ERR_OPTION('redisBackplane', '{ url } or { client }', describeValue(options))
  if ('size' in options && 'maxAge' in options) throw new SSE_ERR_OPTION('backplane', 'redisBackplane({ url }) or redisBackplane({ client })', 'redisBackplane, which was not called')
  const { url, client, key = 'sse', maxLength, timeout = 5_000, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new SSE_ERR_UNKNOWN_OPTION('redisBackplane', unknown, 'it takes url, client, key, maxLength, timeout')
  if ((url === undefined) === (client === undefined)) throw new SSE_ERR_OPTION('redisBackplane', 'either a url or a client', url === undefined ? 'neither' : 'both')
  // the value is not in the message, because a URL may hold a password
  if (url !== undefined && !isRedisUrl(url)) throw new SSE_ERR_OPTION('url', 'redis://…, rediss://… or unix://…', typeof url === 'string' ? 'another text' : describeValue(url))
  if (client !== undefined && !isClient(client)) throw new SSE_ERR_OPTION('client', 'a client of node-redis or ioredis, of one server or of a Sentinel by ioredis', describeValue(client))
  if (typeof key !== 'string' || !/^[^{}]+$/.test(key)) throw new SSE_ERR_OPTION('key', 'a string without braces that is not empty', describeValue(key))
  if (maxLength !== undefined && !isCount(maxLength)) throw new SSE_ERR_OPTION('maxLength', 'a whole number above 0', describeValue(maxLength))
  if (!isCount(timeout) || timeout > LONGEST) throw new SSE_ERR_OPTION('timeout', `whole ms above 0, at most ${LONGEST}`, describeValue(timeout))
  const template = async () => client ?? (await importRedis()).createClient({ url })
  return (history, log) => new RedisBackplane(template, { key, maxLength: Math.max(LEAST, maxLength ?? history.size), timeout }, history, log)
}

/** Imports the package `redis`. @throws SSE_ERR_NOT_INSTALLED if the import fails */
async function importRedis (): Promise<typeof import('redis')> {
  try {
    return await import('redis')
  } catch (cause) {
    throw Object.assign(new SSE_ERR_NOT_INSTALLED(), { cause })
  }
}

function isRedisUrl (url: unknown): boolean {
  return typeof url === 'string' && /^(rediss?|unix):/.test(url) && URL.canParse(url)
}

/**
 * Returns true for a client that can be used. Clients of a cluster, and node-redis clients of a Sentinel, cannot be used,
 * because they take commands in other forms or may send commands twice.
 */
function isClient (client: unknown): boolean {
  return typeof client === 'object' && client !== null && 'duplicate' in client && typeof client.duplicate === 'function' && Reflect.get(client, 'isCluster') !== true && !('masters' in client) && !('getMasterNode' in client)
}

function isCount (value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) > 0
}
