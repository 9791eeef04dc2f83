import { isIPv6 } from 'node:net'
import type { FastifyReply } from 'fastify'
import type { RejectReason, RouteCounters } from './counters.js'
import { SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT } from './errors.js'
import type { PluginSettings } from './options.js'
import { isGone, whenOver } from './outlet.js'

type PerClient = NonNullable<PluginSettings['maxStreamsPerClient']>

/** What a refused client is told to wait, seconds. */
const RETRY_AFTER = '5'

/** Counts the streams of all and of each client, from the request on until its response is over. */
export class Limits {
  readonly #max: number
  readonly #perClient: PerClient | undefined
  readonly #counters: RouteCounters
  readonly #byClient = new Map<string, { open: number }>()
  #all = 0

  /** @param counters where each request that is refused is counted */
  constructor ({ maxStreams, maxStreamsPerClient }: PluginSettings, counters: RouteCounters) {
    this.#max = maxStreams
    this.#perClient = maxStreamsPerClient
    this.#counters = counters
  }

  /**
   * Takes a place for the reply's stream; it is free again when the response is over, whatever ended it.
   * @throws SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT, what `key` throws
   */
  admit (reply: FastifyReply): void {
    // a client that has left already would never free its place
    if ((this.#max === Infinity && this.#perClient === undefined) || isGone(reply.raw)) return
    if (this.#all >= this.#max) throw this.#refuse(reply, 'maxStreams', new SSE_ERR_TOO_MANY_STREAMS())
    if (this.#perClient !== undefined) this.#admitClient(reply, this.#perClient)
    this.#all++
    whenOver(reply.raw, () => { this.#all-- })
  }

  #admitClient (reply: FastifyReply, { max, key: keyOf }: PerClient): void {
    const key = keyOf === undefined ? network(String(reply.request.ip)) : keyOf(reply.request)
    const client = this.#byClient.get(key) ?? { open: 0 }
    if (client.open >= max) throw this.#refuse(reply, 'maxStreamsPerClient', new SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT())
    client.open++
    this.#byClient.set(key, client)
    whenOver(reply.raw, () => {
      if (--client.open === 0) this.#byClient.delete(key)
    })
  }

  #refuse (reply: FastifyReply, reason: RejectReason, error: Error): Error {
    this.#counters.of(reply.request).rejected[reason]++
    reply.header('retry-after', RETRY_AFTER)
    return error
  }
}

/** An IPv6 client has at least a /64 network of addresses to itself: its first four groups stand for it. */
function network (ip: string): string {
  const address = ip.replace(/%.*/, '')
  if (!isIPv6(address) || address.toLowerCase().startsWith('::ffff:')) return ip
  // the URL parser writes an address in its one normal form
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const zeros = '0:'.repeat(8 - groups.split(':').filter(Boolean).length)
  return groups.replace('::', `:${zeros}`).split(':').filter(Boolean).slice(0, 4).join(':')
}
