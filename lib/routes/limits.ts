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

/** What a refused client is told to wait, seconds. */
const RETRY_AFTER = '5'

/** The limits of the plugin, or of a route and its plugin. */
export class Limits {
  readonly #limits: readonly Limit[]
  readonly #counters: StatsByRoute

  /**
   * @param counters count each refused request
   * @param outer the limits of the plugin, where these are a route's
   */
  constructor ({ maxStreams = Infinity, maxStreamsPerClient = [] }: LimitOptions, counters: StatsByRoute, outer: readonly Limit[] = []) {
    const ofAll = maxStreams === Infinity ? [] : [new Limit('maxStreams', maxStreams, () => '')]
    const ofClients = [maxStreamsPerClient].flat().map(({ max, key }) => new Limit('maxStreamsPerClient', max, key === undefined ? address : checked(key)))
    this.#limits = [...outer, ...ofAll, ...ofClients]
    this.#counters = counters
  }

  /** These limits, then those of a route. */
  ofRoute (options: LimitOptions): Limits {
    return new Limits(options, this.#counters, this.#limits)
  }

  /**
   * Takes a place of every limit for the reply's stream, until its response is over, whatever ended it.
   * A request that one of them refuses takes none.
   * @throws SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT, SSE_ERR_OPTION for a `key` that is no string, what `key` throws
   */
  admit (reply: FastifyReply): void {
    // a client that has left already would never free its place
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

/** At most `max` open streams for each key. */
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

  /** Counts a stream that opens (1) or is over (-1). */
  count (key: string, change: 1 | -1): void {
    const open = (this.#open.get(key) ?? 0) + change
    if (open === 0) this.#open.delete(key)
    else this.#open.set(key, open)
  }
}

/** Checks what the application's `key` returns. @throws SSE_ERR_OPTION */
function checked (keyOf: (request: FastifyRequest) => unknown): KeyOf {
  return (request) => {
    const key = keyOf(request)
    if (isNonEmptyString(key)) return key
    // a promise that rejects would end the process
    Promise.resolve(key).catch((err) => request.log.error({ err }, 'the promise that maxStreamsPerClient.key returned rejected'))
    throw new SSE_ERR_OPTION('maxStreamsPerClient.key', 'a function that returns a non-empty string', `one that returned ${describeValue(key)}`)
  }
}

/** The key of a limit without `key`. @throws SSE_ERR_OPTION for a client without an address, because all such would be one */
function address (request: FastifyRequest): string {
  // undefined over a unix socket, whatever its type says
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
