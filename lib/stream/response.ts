// Tested by test/integration/connections.test.ts
import type { Writable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { real } from '../clock.js'
import { StreamPayload, markEventStream } from './reply-payload.js'
import { needsFirstByte } from './fastify-internals.js'
import { contentType, writeStreamHeaders } from './headers.js'
import {
  discardBody, disableSocketTimeout, endSession, isClosed, isHttp2, onceClosed, sessionOf, waitsForTurn, whenTurnComes
} from './connection.js'
import { QueuedSink } from './queued-sink.js'
import { createSink } from './create-sink.js'
import type { Sink } from './sink.js'

/** Time that a client has to take the last bytes of a closed stream, ms. Then its connection is destroyed. */
const CLOSE_TIMEOUT = 5_000

/** The event stream that a response belongs to, with the members that the response uses. */
export interface ResponseOwner {
  readonly closed: boolean
  /**
   * Called once, when Fastify has piped the response. From then on the stream can write to `sink`.
   * @param sink the destination for the bytes of the stream
   * @param needsFirstByte whether the stream has to write a byte at once, because without that byte the client gets no headers
   */
  onResponseOpen (sink: Sink, needsFirstByte: boolean): void
  /** Called once, when the response has closed: all its bytes were sent, or its client has disconnected. */
  onResponseClose (): void
}

/** The HTTP response of one event stream. The stream gives this object to `reply.send()`. The response opens when Fastify pipes it, and is later ended or aborted. */
export class StreamResponse extends StreamPayload {
  /** The destination for the bytes of the stream. Null until the response is open. */
  sink: Sink | null = null
  readonly #reply: FastifyReply
  readonly #owner: ResponseOwner
  #restoreSocketTimeout: (() => void) | undefined
  #endOnClose = true
  #closeTimer: NodeJS.Timeout | undefined

  constructor (reply: FastifyReply, owner: ResponseOwner) {
    super()
    this.#reply = reply
    this.#owner = owner
  }

  /** Whether the plugin or other code has called `end()` of the response. False while the response is open, and if the client disconnected before that call. */
  get ended (): boolean { return this.#reply.raw.writableEnded }

  /** Listens for the close of the response, and then calls `onResponseClose` of the stream. @returns false if the client has disconnected already */
  watch (): boolean {
    const { raw } = this.#reply
    if (isClosed(raw)) return false
    onceClosed(raw, () => this.#onClose())
    discardBody(raw)
    // after the client has reset it with NO_ERROR, Node's HTTP/2 stream would stay open as long as data waits for that client
    if (isHttp2(raw)) raw.stream.once('aborted', () => { if (!this.#owner.closed) raw.destroy() })
    return true
  }

  /** Sends the reply with this response as payload. Fastify then runs the onSend hooks, and calls `pipe`. */
  send (headers: Readonly<Record<string, string>>): void {
    writeStreamHeaders(this.#reply, headers)
    try {
      this.#reply.send(this)
    } catch (error) {
      // Fastify does not catch errors when it sets the headers of a stream. Node refuses some headers, such as one with non-Latin text.
      this.#reply.send(error)
    }
  }

  protected onPipe (destination: Writable, endDestination: boolean): void {
    const { raw, request } = this.#reply
    if (this.sink !== null) request.log.error('an event stream was piped a second time: it goes only where it was piped first')
    // Takes the reply from Fastify, which stops its handlerTimeout. For a transform only once it pipes, because Fastify answers if it fails before.
    if (destination === raw) this.#reply.hijack()
    else raw.once('pipe', () => markEventStream(this.#reply.hijack()))
    if (isClosed(raw) || raw.writableEnded || this.sink !== null || request.method === 'HEAD') {
      destination.end()
      return
    }
    if (destination === raw && !raw.headersSent) raw.setHeader('content-type', contentType(raw.getHeader('content-type')))
    this.#endOnClose = endDestination
    // `end` is emitted now, because Fastify needs it only to send trailers
    if (destination === raw && endDestination) this.emitEnd()
    this.#open(destination)
  }

  /** Ends the response after the bytes that were written. If the client has not taken these bytes after 5 s, destroys the response. */
  end (): void {
    const isSent = this.#endOnClose && this.sink?.end()
    this.emitEnd()
    if (!isSent) this.#startCloseTimeout()
  }

  /** Aborts the response after the bytes that were written, so that the client sees a failure and not a regular end. */
  abort (): void {
    this.sink?.abort()
    this.#startCloseTimeout()
  }

  /** Destroys the response at once. Bytes that the client has not taken are lost. */
  destroyNow (): void { this.#reply.raw.destroy() }

  /** Returns a promise that resolves when the response has ended or the client has disconnected. */
  finished (): Promise<void> { return new Promise((resolve) => { onceClosed(this.#reply.raw, resolve) }) }

  /** Calls `close`, which has to end or abort the response. When the response has closed, closes its HTTP/2 session and resolves. */
  async drain (close: () => void): Promise<void> {
    const session = sessionOf(this.#reply.raw)
    close()
    await this.finished()
    // because `server.close()` waits until HTTP/2 sessions are closed, which clients keep open
    if (session !== undefined) endSession(session, CLOSE_TIMEOUT)
  }

  #open (destination: Writable): void {
    const { raw } = this.#reply
    if (waitsForTurn(raw)) {
      const queued = new QueuedSink(raw)
      this.sink = queued
      whenTurnComes(raw, () => queued.open(this.#createSink(destination)))
    } else {
      this.sink = this.#createSink(destination)
    }
    this.#owner.onResponseOpen(this.sink, needsFirstByte(raw, destination))
  }

  #createSink (destination: Writable): Sink {
    const { raw, request } = this.#reply
    this.#restoreSocketTimeout = disableSocketTimeout(raw, request.server.initialConfig.http2SessionTimeout)
    return createSink(raw, destination)
  }

  #startCloseTimeout (): void { this.#closeTimer = real.setTimeout(() => this.destroyNow(), CLOSE_TIMEOUT).unref() }

  #onClose (): void {
    real.clearTimeout(this.#closeTimer)
    this.#restoreSocketTimeout?.()
    this.#owner.onResponseClose()
    this.emitEnd()
  }
}
