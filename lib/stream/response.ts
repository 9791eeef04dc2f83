import type { Writable } from 'node:stream'
import type { FastifyReply } from 'fastify'
import { real } from '../clock.js'
import { StreamPayload, eventStreamReplies } from './reply-payload.js'
import { needsFirstByte } from './fastify-internals.js'
import { contentType, writeStreamHeaders } from './headers.js'
import {
  discardBody, endSession, isClosed, isHttp2, disableSocketTimeout, createSink, type Sink, sessionOf, waitsForTurn, onceClosed, whenTurnComes
} from './sink.js'
import { QueuedSink } from './queued-sink.js'

/** A client that has not taken everything so many ms after the stream was closed is cut off. */
const CLOSE_TIMEOUT = 5_000

/** The stream that a response carries, as far as the response knows it. */
export interface ResponseStream {
  readonly closed: boolean
  /**
   * The response takes bytes from now on.
   * @param needsFirstByte whether the first is due now
   */
  opened (sink: Sink, needsFirstByte: boolean): void
  /** The response is over, by its end or because its client has left. */
  onResponseClose (): void
}

/** The HTTP response of one stream: given to Fastify as the payload of the reply, open once Fastify pipes it, then ended or aborted. */
export class StreamResponse extends StreamPayload {
  /** Null until the response is open. */
  sink: Sink | null = null
  readonly #reply: FastifyReply
  readonly #stream: ResponseStream
  #restoreSocketTimeout: (() => void) | undefined
  #endOnClose = true
  #closeTimer: NodeJS.Timeout | undefined

  constructor (reply: FastifyReply, stream: ResponseStream) {
    super()
    this.#reply = reply
    this.#stream = stream
  }

  /** Whether it was ended, by whichever code; false while it is open, and where the client left. */
  get ended (): boolean { return this.#reply.raw.writableEnded }

  /** Calls `gone` once the response is over; false where its client has left already. */
  watch (): boolean {
    const { raw } = this.#reply
    if (isClosed(raw)) return false
    onceClosed(raw, () => this.#onClose())
    discardBody(raw)
    // a reset with NO_ERROR leaves Node's stream open as long as data waits for the client
    if (isHttp2(raw)) raw.stream.once('aborted', () => { if (!this.#stream.closed) raw.destroy() })
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
    // takes the stream out of handlerTimeout's reach; while hooks may still refuse it, Fastify keeps the reply
    if (destination === raw) this.#reply.hijack()
    else raw.once('pipe', () => eventStreamReplies.add(this.#reply.hijack()))
    if (isClosed(raw) || raw.writableEnded || this.sink !== null || request.method === 'HEAD') {
      destination.end()
      return
    }
    if (destination === raw && !raw.headersSent) raw.setHeader('content-type', contentType(raw.getHeader('content-type')))
    this.#endOnClose = endDestination
    // but for trailers, nothing of Fastify's has to wait for our end
    if (destination === raw && endDestination) this.emitEnd()
    this.#open(destination)
  }

  /** Ends the response after what was written. */
  end (): void {
    const taken = this.#endOnClose && this.sink?.end()
    this.emitEnd()
    if (!taken) this.#startCloseTimeout()
  }

  /** Breaks the response off after what was written, so that the client can tell it from an end. */
  abort (): void {
    this.sink?.abort()
    this.#startCloseTimeout()
  }

  /** Closes at once, whatever waits to be written. */
  destroyNow (): void { this.#reply.raw.destroy() }

  /** Resolves when the response is over. */
  finished (): Promise<void> { return new Promise((resolve) => { onceClosed(this.#reply.raw, resolve) }) }

  /** Calls `close`, then resolves when the response is over, and an HTTP/2 session that carried it is ended. */
  async drain (close: () => void): Promise<void> {
    const session = sessionOf(this.#reply.raw)
    close()
    await this.finished()
    // an HTTP/2 server waits for its sessions, which clients keep open
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
    this.#stream.opened(this.sink, needsFirstByte(raw, destination))
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
    this.#stream.onResponseClose()
    this.emitEnd()
  }
}
