import type { OutgoingHttpHeaders } from 'node:http'
import { Stream, type Writable } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { mayHaveTrailers } from './fastify-internals.js'
import { contentType } from './headers.js'

/** Marks a reply in a property. A WeakSet of replies would lengthen the garbage collections of young objects: connect, three events, close took 1.2 times the CPU. */
const EVENT_STREAM = Symbol('fastify-sse-routes.event-stream')

type MarkedReply = FastifyReply & { [EVENT_STREAM]?: true }

/** Marks a reply that the plugin has hijacked (taken from Fastify, which then sends nothing). It is an event stream, or failed to become an event stream. */
export function markEventStream (reply: MarkedReply): void {
  reply[EVENT_STREAM] = true
}

/** Returns whether `markEventStream` has marked a reply. */
export function isEventStream (reply: MarkedReply): boolean {
  return reply[EVENT_STREAM] === true
}

type Listener = (...args: unknown[]) => void

/**
 * The object that an event stream gives to `reply.send()`. Fastify takes an object with a `pipe` method for a Node stream: it runs
 * the onSend hooks, sets the headers, and calls `pipe` with the response. Code that watches for the end of a Node stream (Fastify,
 * `pipeline()`) gets one `end` event and no other event. The class is not an EventEmitter, which would cost every stream some hundred bytes.
 */
export abstract class StreamPayload {
  #onEnd: Listener[] | null = null

  /** Called by `pipe`. The subclass then writes its bytes to `destination`. @param endDestination whether the subclass also ends `destination` */
  protected abstract onPipe (destination: Writable, endDestination: boolean): void

  pipe<Destination extends Writable> (destination: Destination, options?: { end?: boolean }): Destination {
    this.onPipe(destination, options?.end !== false)
    return destination
  }

  on (name: string, listener: Listener): this {
    if (name === 'end') (this.#onEnd ??= []).push(listener)
    return this
  }

  once (name: string, listener: Listener): this {
    return this.on(name, listener)
  }

  removeListener (_name: string, listener: Listener): this {
    this.#onEnd = this.#onEnd?.filter((one) => one !== listener) ?? null
    return this
  }

  /** Emits the event `end`, at most once. Fastify then sends the trailers of the response, if it has any. */
  protected emitEnd (): void {
    const listeners = this.#onEnd ?? []
    this.#onEnd = null
    for (const listener of listeners) listener.call(this)
  }

  /** Called by Fastify for a response without a body (HEAD, 204). Does nothing, because there is no data to discard. */
  resume (): this {
    return this
  }

  /** Called by Fastify when the response has closed. Does nothing, because the stream listens for the close itself. */
  destroy (): this {
    return this
  }
}

// Makes `payload instanceof Stream` true, which hooks check before they pipe the payload (for example those of
// @fastify/throttle). Does not call Stream's constructor, because its fields would cost every stream some hundred bytes.
Object.setPrototypeOf(StreamPayload.prototype, Stream.prototype)

/**
 * The last onSend hook of routes made by `sseRoute`, and of routes with `config: { sse: true }`. It writes the headers and pipes the
 * stream into the response. Fastify would do the same, but adds two watchers for the end of the stream. Without the watchers a stream
 * takes 5.93 KB of heap instead of 7.71. Fastify still pipes replies with trailers, HEAD replies and statuses without a body.
 */
export function pipeEventStream (request: FastifyRequest, reply: FastifyReply, payload: unknown, done: () => void): void {
  const { raw, statusCode } = reply
  if (!(payload instanceof StreamPayload) || statusCode < 200 || statusCode === 204 || request.method === 'HEAD' || raw.headersSent || mayHaveTrailers(reply)) {
    done()
    return
  }
  try {
    const headers = reply.getHeaders() as OutgoingHttpHeaders
    headers['content-type'] = contentType(headers['content-type'])
    raw.writeHead(statusCode, headers)
  } catch (error) {
    // `writeHead` has set the message of this status before it refused a header; the error response has another status
    raw.statusMessage = ''
    throw error
  }
  payload.pipe(raw)
}
