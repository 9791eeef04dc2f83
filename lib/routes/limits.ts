import { isIPv6 } from 'node:net'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { RejectReason, StatsByRoute } from '../stats.js'
import { SSE_ERR_OPTION, SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT, describeValue } from '../errors.js'
import { isNonEmptyString } from '../topic.js'
import { isClosed, onceClosed } from '../stream/connection.js'
import type { SSEPluginOptions } from '../types.js'

/** The options that limit streams, of the plugin or of a route. */
export type LimitOptions = Pick<SSEPluginOptions, 'maxStreams' | 'maxStreamsPerClient'>

type KeyOf = (request: FastifyRequest) => string

/** Value of the Retry-After header for a refused client, seconds. */
const RETRY_AFTER = '5'

/** The limits of open streams: of the plugin, or of a route together with those of the plugin. */
export class Limits {
  readonly #limits: readonly Limit[]
  readonly #counters: StatsByRoute

  /**
   * @param counters counts each refused request
   * @param outer the limits of the plugin, for a route
   */
  constructor ({ maxStreams = Infinity, maxStreamsPerClient = [] }: LimitOptions, counters: StatsByRoute, outer: readonly Limit[] = []) {
    const ofAll = maxStreams === Infinity ? [] : [new Limit('maxStreams', maxStreams, () => '')]
    const ofClients = [maxStreamsPerClient].flat().map(({ max, key }) => new Limit('maxStreamsPerClient', max, key === undefined ? address : checked(key)))
    this.#limits = [...outer, ...ofAll, ...ofClients]
    this.#counters = counters
  }

  /** Returns these limits together with those of a route. */
  ofRoute (options: LimitOptions): Limits {
    return new Limits(options, this.#counters, this.#limits)
  }

  /**
   * Counts the reply's stream in every limit, until its response is over for any reason. A request that one limit refuses
   * is counted in none.
   * @throws SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT, SSE_ERR_OPTION for a key that is not a string, any error of `key`
   */
  admit (reply: FastifyReply): void {
    // a client that has disconnected already would be counted forever, because its response does not close again
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

/** Allows at most `max` open streams for each key. */
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

  /** Counts a stream that opens (1) or closes (-1). */
  count (key: string, change: 1 | -1): void {
    const open = (this.#open.get(key) ?? 0) + change
    if (open === 0) this.#open.delete(key)
    else this.#open.set(key, open)
  }
}

/** Wraps the option `key`, so that it throws SSE_ERR_OPTION for a result that is not a non-empty string. */
function checked (keyOf: (request: FastifyRequest) => unknown): KeyOf {
  return (request) => {
    const key = keyOf(request)
    if (isNonEmptyString(key)) return key
    // an unhandled rejection of a promise would end the process
    Promise.resolve(key).catch((err) => request.log.error({ err }, 'the promise that maxStreamsPerClient.key returned rejected'))
    throw new SSE_ERR_OPTION('maxStreamsPerClient.key', 'a function that returns a non-empty string', `one that returned ${describeValue(key)}`)
  }
}

/** Returns the key of a limit without `key`. @throws SSE_ERR_OPTION for a client without an address, because all such clients would share one limit */
function address (request: FastifyRequest): string {
  // undefined over a unix socket, although its type does not say so
  const ip: string | undefined = request.ip
  if (!ip) throw new SSE_ERR_OPTION('maxStreamsPerClient.key', 'a function, because clients over a unix socket have no address', 'none')
  return network(ip)
}

/** Returns the /64 network of an IPv6 address, its first four groups, because one client has at least a /64 network of addresses. */
function network (ip: string): string {
  const address = ip.replace(/%.*/, '')
  if (!isIPv6(address) || address.toLowerCase().startsWith('::ffff:')) return ip
  // the URL parser gives an address its one normal form; `net.SocketAddress` of Bun 1.4 keeps the form that it is given
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const zeros = '0:'.repeat(8 - groups.split(':').filter(Boolean).length)
  return groups.replace('::', `:${zeros}`).split(':').filter(Boolean).slice(0, 4).join(':')
}
