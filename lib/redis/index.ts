// Tested by test/redis/options.test.ts
/**
 * One log for several processes, in Redis, and a publisher for programs without Fastify.
 *
 * @module fastify-sse-routes/redis
 */
import type { BackplaneFactory } from '../backplane.js'
import { SSE_ERR_OPTION, describeValue } from '../errors.js'
import { RedisBackplane } from './backplane.js'
import { isCount, readConnection, type RedisTarget } from './options.js'
import { APPEND } from './scripts.js'

export type { RedisClient } from './client.js'
export { redisPublisher, type RedisPublisher, type RedisPublisherOptions } from './publisher.js'

/**
 * The Lua script that appends an entry to the log, for programs in other languages. Its keys, its arguments and the form of an entry are
 * in docs/redis.md.
 */
export const APPEND_SCRIPT = APPEND.text

/** The options of `redisBackplane`: the Redis server, and the log of published events in it. Needs Redis 7.0 or later. */
export type RedisBackplaneOptions = RedisLogOptions & RedisTarget

/** The options of the log of published events, whose keys in Redis begin with `{key}:`. */
export interface RedisLogOptions {
  /** The name of the log, which all of its keys in Redis have in braces. Each application needs a different name. Default `sse`. */
  key?: string
  /**
   * The number of entries that Redis keeps for processes that read the log late. Redis keeps somewhat more, because it frees whole nodes
   * of entries only. Default `history.size`, at least 100. The events for replays have the limits of `history`.
   */
  maxLength?: number
  /** The longest time that Redis may take for an answer, ms. After this time `publish` and `register` reject. Default 5000. */
  timeout?: number
}

/** The least number of events that Redis keeps, also with a smaller `maxLength`, because a process that reads late still needs its unread events. */
const LEAST = 100

/**
 * Creates a backplane, which passes published events between the processes of an application. The log of published events is in
 * Redis, and each process reads the events of all processes from this log.
 *
 * @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION
 */
export function redisBackplane (options: RedisBackplaneOptions): BackplaneFactory {
  if (typeof options !== 'object' || options === null) throw new SSE_ERR_OPTION('redisBackplane', '{ url } or { client }', describeValue(options))
  if ('size' in options && 'maxAge' in options) throw new SSE_ERR_OPTION('backplane', 'redisBackplane({ url }) or redisBackplane({ client })', 'redisBackplane, which was not called')
  const { maxLength, ...others } = options
  if (maxLength !== undefined && !isCount(maxLength)) throw new SSE_ERR_OPTION('maxLength', 'a whole number above 0', describeValue(maxLength))
  const { template, key, timeout } = readConnection('redisBackplane', others, 'url, client, key, maxLength, timeout')
  return (history, log) => new RedisBackplane(template, { key, maxLength: Math.max(LEAST, maxLength ?? history.size), timeout }, history, log)
}
