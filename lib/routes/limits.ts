import { isIPv6 } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RejectReason, StatsByRoute } from '../stats.js'
import { SSE_ERR_OPTION, SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT, describeValue } from '../errors.js'
import { isNonEmptyString } from '../topic.js'
import { isClosed, onceClosed } from '../stream/connection.js'
import type { SSEPluginOptions } from '../types.js'

/** The options that limit the number of open streams. The plugin and each route have them. */
export type LimitOptions = Pick<SSEPluginOptions, 'maxStreams' | 'maxStreamsPerClient'>

type KeyOf = (request: FastifyRequest) => string

/** Value of the Retry-After header in a response that refuses a stream (429 or 503), seconds. */
const RETRY_AFTER = '5'

/** The limits on the number of open streams that apply to a request: those of the plugin, and those of its route. */
export class Limits {
  readonly #limits: readonly Limit[]
  readonly #counters: StatsByRoute

  /**
   * @param counters the stats in which each refused request is counted
   * @param outer further limits that apply. A route gets the plugin's limits here
   */
  constructor ({ maxStreams = Infinity, maxStreamsPerClient = [] }: LimitOptions, counters: StatsByRoute, outer: readonly Limit[] = []) {
    const ofAll = maxStreams === Infinity ? [] : [new Limit('maxStreams', maxStreams, () => '')]
    const ofClients = [maxStreamsPerClient].flat().map(({ max, key }) => new Limit('maxStreamsPerClient', max, key === undefined ? address : checked(key)))
    this.#limits = [...outer, ...ofAll, ...ofClients]
    this.#counters = counters
  }

  /** Returns new limits for a route: the limits of this object and the limits in the route's options. Does not change this object. */
  ofRoute (options: LimitOptions): Limits {
    return new Limits(options, this.#counters, this.#limits)
  }

  /**
   * Counts the stream of a reply in every limit, until the response closes for any reason. If a limit is reached, throws
   * and counts the stream in no limit.
   * @throws SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT, SSE_ERR_OPTION for a key that is not a string, any error of `key`
   */
  admit (reply: FastifyReply): void {
    // no count for a client that has disconnected: its response does not close again, so that nothing would end the count
    if (this.#limits.length === 0 || isClosed(reply.raw)) return
    const { request, raw } = reply
    const places = this.#limits.map((limit) => {
      const key = limit.keyOf(request)
      if (limit.isReached(key)) throw this.#refuse(reply, limit.reason)
      return { limit, key }
    })
    for (const { limit, key } of places) limit.count(key, 1)
    onceClosed(raw, () => { for (const { limit, key } of places) limit.count(key, -1) })
  }

  #refuse (reply: FastifyReply, reason: RejectReason): Error {
    this.#counters.of(reply.request).rejected[reason]++
    reply.header('retry-after', RETRY_AFTER)
    return reason === 'maxStreams' ? new SSE_ERR_TOO_MANY_STREAMS() : new SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT()
  }
}

/** One limit: allows at most `max` open streams for each key, such as the address of a client. */
class Limit {
  readonly reason: RejectReason
  readonly keyOf: KeyOf
  readonly #max: number
  readonly #open = new Map<string, number>()

  constructor (reason: RejectReason, max: number, keyOf: KeyOf) {
    this.reason = reason
    this.keyOf = keyOf
    this.#max = max
  }

  isReached (key: string): boolean {
    return (this.#open.get(key) ?? 0) >= this.#max
  }

  /** Changes the number of open streams of a key: by 1 when a stream opens, by -1 when it closes. */
  count (key: string, change: 1 | -1): void {
    const open = (this.#open.get(key) ?? 0) + change
    if (open === 0) this.#open.delete(key)
    else this.#open.set(key, open)
  }
}

/** Wraps the function `key` of a limit: the wrapper throws SSE_ERR_OPTION if `key` does not return a non-empty string. */
function checked (keyOf: (request: FastifyRequest) => unknown): KeyOf {
  return (request) => {
    const key = keyOf(request)
    if (isNonEmptyString(key)) return key
    // `key` may have returned a promise: handles its rejection, because an unhandled one would end the process
    Promise.resolve(key).catch((err) => request.log.error({ err }, 'the promise that maxStreamsPerClient.key returned rejected'))
    throw new SSE_ERR_OPTION('maxStreamsPerClient.key', 'a function that returns a non-empty string', `one that returned ${describeValue(key)}`)
  }
}

/**
 * Returns the client's address, the key of a limit that has no function `key`.
 * @throws SSE_ERR_OPTION for a client without an address, because all clients without one would share a limit
 */
function address (request: FastifyRequest): string {
  // `request.ip` is undefined over a unix socket, although its type does not say so
  const ip: string | undefined = request.ip
  if (!ip) throw new SSE_ERR_OPTION('maxStreamsPerClient.key', 'a function, because clients over a unix socket have no address', 'none')
  return network(ip)
}

/** Returns the first four groups (/64) of an IPv6 address, because one client has at least a /64 network. Returns IPv4 unchanged. */
function network (ip: string): string {
  const address = ip.replace(/%.*/, '')
  if (!isIPv6(address) || address.toLowerCase().startsWith('::ffff:')) return ip
  // uses the URL parser to normalize the address, because `net.SocketAddress` of Bun 1.4 does not change the form that it gets
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const zeros = '0:'.repeat(8 - groups.split(':').filter(Boolean).length)
  return groups.replace('::', `:${zeros}`).split(':').filter(Boolean).slice(0, 4).join(':')
}
