// Tested by test/redis/options.test.ts
import { SSE_ERR_NOT_INSTALLED, SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, describeValue } from '../errors.js'
import type { RedisClient } from './client.js'
import type { Template } from './connection.js'
import { topologyOf } from './topology.js'

/** The Redis server: a url or a client. */
export type RedisTarget = {
  /** The address of Redis: `redis://…`, or `rediss://…` for TLS, with user, password and database if needed. Needs the package `redis`. */
  url: string
  client?: never
} | {
  /** A client of node-redis or ioredis: of one server, of a cluster or of Sentinel. The plugin sends commands only on duplicates of this client, and does not close the client. */
  client: RedisClient
  url?: never
}

/** The greatest value of the option `timeout`, ms: an hour. */
const LONGEST = 3_600_000

/** Checks the options of a connection to Redis. @param name the function whose options they are @param known the names of all of its options @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION */
export function readConnection (name: string, options: RedisTarget & { key?: string, timeout?: number }, known: string): { template: () => Promise<Template>, key: string, timeout: number } {
  const { url, client, key = 'sse', timeout = 5_000, ...others } = options
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw new SSE_ERR_UNKNOWN_OPTION(name, unknown, `it takes ${known}`)
  if ((url === undefined) === (client === undefined)) throw new SSE_ERR_OPTION(name, 'either a url or a client', url === undefined ? 'neither' : 'both')
  // the value is not in the message, because a URL may hold a password
  if (url !== undefined && !isRedisUrl(url)) throw new SSE_ERR_OPTION('url', 'redis://…, rediss://… or unix://…', typeof url === 'string' ? 'another text' : describeValue(url))
  if (client !== undefined && !isClient(client)) throw new SSE_ERR_OPTION('client', 'a client of node-redis or ioredis', describeValue(client))
  if (typeof key !== 'string' || !/^[^{}]+$/.test(key)) throw new SSE_ERR_OPTION('key', 'a string without braces that is not empty', describeValue(key))
  if (!isCount(timeout) || timeout > LONGEST) throw new SSE_ERR_OPTION('timeout', `whole ms above 0, at most ${LONGEST}`, describeValue(timeout))
  const template = client === undefined ? null : topologyOf(client, `{${key}}`) ?? client
  return { template: async () => template ?? (await importRedis()).createClient({ url }), key, timeout }
}

export function isCount (value: unknown): boolean {
  return Number.isSafeInteger(value) && Number(value) > 0
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

function isClient (client: unknown): boolean {
  return typeof client === 'object' && client !== null && 'duplicate' in client && typeof client.duplicate === 'function'
}
