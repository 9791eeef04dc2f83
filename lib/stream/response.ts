// Tested by test/integration/connections.test.ts
import type { Writable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { real } from '../clock.js'
import { StreamPayload, eventStreamReplies } from './reply-payload.js'
import { needsFirstByte } from './fastify-internals.js'
import { contentType, writeStreamHeaders } from './headers.js'
import {
  discardBody, disableSocketTimeout, endSession, isClosed, isHttp2, onceClosed, sessionOf, waitsForTurn, whenTurnComes
} from './connection.js'
import { QueuedSink } from './queued-sink.js'
import { createSink, type Sink } from './sink.js'

/** Time that a client has to take the rest of a closed stream before its connection is destroyed, ms. */
const CLOSE_TIMEOUT = 5_000

/** The stream of a response. */
export interface ResponseOwner {
  readonly closed: boolean
  /**
   * The response takes bytes from now on.
   * @param needsFirstByte whether a byte has to follow at once
   */
  onResponseOpen (sink: Sink, needsFirstByte: boolean): void
  /** The response has ended, or its client has disconnected. */
  onResponseClose (): void
}

/** The HTTP response of one stream. It is the payload of the Fastify reply, opens when Fastify pipes it, and is then ended or aborted. */
export class StreamResponse extends StreamPayload {
  /** Null until the response is open. */
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

  /** Whether any code has ended the response. False while it is open, and if the client disconnected. */
  get ended (): boolean { return this.#reply.raw.writableEnded }

  /** Listens for the close of the response. @returns false if the client has disconnected already */
  watch (): boolean {
    const { raw } = this.#reply
    if (isClosed(raw)) return false
    onceClosed(raw, () => this.#onClose())
    discardBody(raw)
    // after a reset with NO_ERROR Node's stream stays open as long as data waits for the client
    if (isHttp2(raw)) raw.stream.once('aborted', () => { if (!this.#owner.closed) raw.destroy() })
    return true
  }

  /** Sends the reply: Fastify runs the onSend hooks, then pipes. */
  send (headers: Readonly<Record<string, string>>): void {
    writeStreamHeaders(this.#reply, headers)
    try {
      this.#reply.send(this)
    } catch (error) {
      // Fastify sets the headers of a stream outside of its error handling: Node refuses some of them, such as one with non-Latin text
      this.#reply.send(error)
    }
  }

  protected onPipe (destination: Writable, endDestination: boolean): void {
    const { raw, request } = this.#reply
    if (this.sink !== null) request.log.error('an event stream was piped a second time: it goes only where it was piped first')
    // Hijacking ends Fastify's handlerTimeout for the reply. A transform may still fail until it pipes, so Fastify keeps the reply until then.
    if (destination === raw) this.#reply.hijack()
    else raw.once('pipe', () => eventStreamReplies.add(this.#reply.hijack()))
    if (isClosed(raw) || raw.writableEnded || this.sink !== null || request.method === 'HEAD') {
      destination.end()
      return
    }
    if (destination === raw && !raw.headersSent) raw.setHeader('content-type', contentType(raw.getHeader('content-type')))
    this.#endOnClose = endDestination
    // nothing of Fastify's waits for the end of the stream, except trailers
    if (destination === raw && endDestination) this.emitEnd()
    this.#open(destination)
  }

  /** Ends the response after what was written. */
  end (): void {
    const isSent = this.#endOnClose && this.sink?.end()
    this.emitEnd()
    if (!isSent) this.#startCloseTimeout()
  }

  /** Aborts the response after what was written, so that the client sees a failure and not an end. */
  abort (): void {
    this.sink?.abort()
    this.#startCloseTimeout()
  }

  /** Destroys the response at once, with all that waits to be written. */
  destroyNow (): void { this.#reply.raw.destroy() }

  /** Resolves when the response has closed. */
  finished (): Promise<void> { return new Promise((resolve) => { onceClosed(this.#reply.raw, resolve) }) }

  /** Calls `close`. Resolves when the response has closed, and ends its HTTP/2 session. */
  async drain (close: () => void): Promise<void> {
    const session = sessionOf(this.#reply.raw)
    close()
    await this.finished()
    // `server.close()` waits for HTTP/2 sessions, which clients keep open
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
