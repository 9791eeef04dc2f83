// Tested by test/integration/connections.test.ts
import { ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { real } from '../clock.js'
import type { Batch } from './batch.js'
import { isClosed, isHttp2, type RawReply } from './connection.js'

/** The destination of one stream's bytes, with the backpressure that Node reports for it. */
export interface Sink {
  /** Writes a batch. Hot path. @returns false if the client is behind: `onceDrained` calls when it has caught up */
  write (batch: Batch): boolean
  /** Whether any code has ended or destroyed the response, so that nothing may be written. */
  readonly ended: boolean
  /** Bytes that the client has not taken. */
  readonly buffered: number
  /** Calls `callback` once, when all that was written has been taken. */
  onceDrained (callback: () => void): void
  /** Ends the response. @returns true if the kernel has all of it already */
  end (): boolean
  /** Sends what was written, then aborts the response, so that the client sees a failure and not an end. */
  abort (): void
}

/**
 * Chooses the sink: chunks straight to the socket for an HTTP/1.1 response that no other code has changed, otherwise
 * the stream that Fastify piped to (HTTP/2, `inject`, a transform of an onSend hook, middleware that wraps `res.write`).
 */
export function createSink (raw: RawReply, destination: Writable): Sink {
  // a transform sends the headers with its first bytes
  if (destination !== raw) return new WritableSink(raw, destination)
  const socket = !isHttp2(raw) && raw.socket instanceof Socket ? raw.socket : null
  if (socket !== null) cork(socket)
  if ('flushHeaders' in raw) raw.flushHeaders()
  return socket !== null && isUntouched(raw) ? new ChunkedSink(raw, socket) : new WritableSink(raw, destination)
}

/** Whether chunks on the socket are the bytes that `res.write` would write. Express' compression replaces `write` and sets `content-encoding`. */
function isUntouched (raw: RawReply): raw is ServerResponse {
  return raw instanceof ServerResponse && raw.chunkedEncoding && raw.write === ServerResponse.prototype.write && !raw.hasHeader('content-encoding')
}

/** Time for a compressor to pass on what it holds before its response is aborted, ms. */
const COMPRESSOR_TIMEOUT = 100

// One list for the process, because all corked sockets are uncorked by one setImmediate.
let corked: Socket[] = []

/** Corks a socket for the rest of the event loop turn, so that headers, first events and perhaps the end leave in one write. */
function cork (socket: Socket): void {
  if (corked.length === 0) real.setImmediate(uncorkAll)
  socket.cork()
  corked.push(socket)
}

function uncorkAll (): void {
  const sockets = corked
  corked = []
  for (const socket of sockets) socket.uncork()
}

/**
 * Writes chunks to the socket directly, because `res.write` spends as long on its bookkeeping as the kernel does on a
 * small write. The headers are sent before, and `res.end` writes the end.
 */
class ChunkedSink implements Sink {
  readonly #res: ServerResponse
  readonly #socket: Socket

  constructor (res: ServerResponse, socket: Socket) {
    this.#res = res
    this.#socket = socket
  }

  write (batch: Batch): boolean {
    const socket = this.#socket
    if (socket.write(batch.chunk)) return true
    // a corked socket reports backpressure for bytes that we hold ourselves
    if (socket.writableCorked === 0) return false
    socket.uncork()
    return !socket.writableNeedDrain
  }

  get ended (): boolean {
    return this.#res.writableEnded || this.#res.destroyed
  }

  get buffered (): number {
    return this.#socket.writableLength
  }

  onceDrained (callback: () => void): void {
    this.#socket.once('drain', callback)
  }

  end (): boolean {
    this.#res.end()
    return this.#socket.writableLength === 0
  }

  abort (): void {
    this.#socket.destroySoon()
  }
}

/** A compressor, perhaps within the response: it holds bytes until `flush()`. */
type Flushing = { flush?: () => void }

/** Writes through the interface of a Node stream. */
class WritableSink implements Sink {
  readonly #raw: RawReply
  readonly #destination: Writable & Flushing
  #onDrain: (() => void) | null = null
  #listens = false

  constructor (raw: RawReply, destination: Writable) {
    this.#raw = raw
    this.#destination = destination
  }

  write (batch: Batch): boolean {
    const hasRoom = this.#destination.write(this.#destination === this.#raw ? batch.data : batch.text)
    if (typeof this.#destination.flush === 'function') this.#destination.flush()
    return hasRoom
  }

  get ended (): boolean {
    return isClosed(this.#raw) || this.#raw.writableEnded || this.#destination.writableEnded || this.#destination.destroyed
  }

  get buffered (): number {
    const { writableLength } = this.#destination
    return this.#destination === this.#raw ? writableLength : writableLength + this.#raw.writableLength
  }

  onceDrained (callback: () => void): void {
    this.#onDrain = callback
    if (this.#listens) return
    this.#listens = true
    // one listener for the life of the sink, because `once` cannot remove its listener from middleware that replaces `res.on`
    this.#destination.on('drain', () => {
      const callback = this.#onDrain
      this.#onDrain = null
      callback?.()
    })
  }

  end (): boolean {
    this.#destination.end()
    return false
  }

  abort (): void {
    if (this.#destination === this.#raw) {
      this.#resetConnection()
      return
    }
    // The transform ends the response once it has passed on everything: the reset replaces that end. Destroying the
    // transform would lose the bytes that it holds, and reset HTTP/2 streams with NO_ERROR.
    Object.assign(this.#raw, { end: () => this.#resetConnection() })
    this.#destination.end()
  }

  #resetConnection (): void {
    const raw: Writable & Flushing = this.#raw
    const destroy = () => {
      if (isHttp2(this.#raw)) this.#raw.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
      else if (this.#raw.socket instanceof Socket) this.#raw.socket.destroySoon()
      else this.#raw.destroy()
    }
    // a compressor within the response does not report when an empty write is done
    if (typeof raw.flush === 'function') setTimeout(destroy, COMPRESSOR_TIMEOUT).unref()
    else raw.write('', destroy)
  }
}
