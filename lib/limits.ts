import { isIPv6 } from 'node:net'
import type { FastifyReply } from 'fastify'
import { SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT } from './errors.js'
import type { PluginSettings } from './options.js'
import { isGone } from './outlet.js'

/** What a refused client is told to wait, seconds. */
const RETRY_AFTER = '5'

/** Counts the streams of all and of each client, from the request on until its response is over. */
export class Limits {
  readonly #max: number
  readonly #perClient: PluginSettings['maxStreamsPerClient']
  readonly #rejected: () => void
  readonly #byClient = new Map<string, number>()
  #all = 0

  /** @param rejected told of each request that is refused */
  constructor ({ maxStreams, maxStreamsPerClient }: PluginSettings, rejected: () => void) {
    this.#max = maxStreams
    this.#perClient = maxStreamsPerClient
    this.#rejected = rejected
  }

  /**
   * Takes a place for the reply's stream; it is free again when the response is over, whatever ended it.
   * @throws SSE_ERR_TOO_MANY_STREAMS, SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT, what `key` throws
   */
  admit (reply: FastifyReply): void {
    if (this.#max === Infinity && this.#perClient === undefined) return
    // a client that has left already would never free its place
    if (isGone(reply.raw)) return
    const { key: keyOf } = this.#perClient ?? {}
    const key = this.#perClient && (keyOf === undefined ? network(reply.request.ip) : keyOf(reply.request))
    if (this.#all >= this.#max) throw this.#refuse(reply, new SSE_ERR_TOO_MANY_STREAMS())
    if (key !== undefined) {
      const open = this.#byClient.get(key) ?? 0
      if (this.#perClient && open >= this.#perClient.max) throw this.#refuse(reply, new SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT())
      this.#byClient.set(key, open + 1)
    }
    this.#all++
    reply.raw.once('close', () => this.#leave(key))
  }

  #leave (key: string | undefined): void {
    this.#all--
    if (key === undefined) return
    const open = this.#byClient.get(key) ?? 0
    if (open > 1) this.#byClient.set(key, open - 1)
    else this.#byClient.delete(key)
  }

  #refuse (reply: FastifyReply, error: Error): Error {
    this.#rejected()
    reply.header('retry-after', RETRY_AFTER)
    return error
  }
}

/** An IPv6 client has at least a /64 network of addresses to itself: its first four groups stand for it. */
function network (ip: string): string {
  const address = ip.split('%', 1)[0] ?? ip
  if (!isIPv6(address) || address.toLowerCase().startsWith('::ffff:')) return ip
  // the URL parser writes an address in its one normal form
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1)
  const zeros = '0:'.repeat(8 - groups.split(':').filter(Boolean).length)
  return groups.replace('::', `:${zeros}`).split(':').filter(Boolean).slice(0, 4).join(':')
}
