// Tested by test/integration/connections.test.ts
import { ServerResponse } from 'node:http'
import { constants } from 'node:http2'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { real } from '../clock.js'
import type { Batch } from './batch.js'
import { Http2Sink, isUntouchedHttp2 } from './http2-sink.js'
import { isClosed, isHttp2, type RawReply, watchStall } from './connection.js'

/** The destination of one event stream's bytes: a socket or a Node stream. Also reports whether the client is behind (backpressure). */
export interface Sink {
  /** Writes a batch of encoded events. Hot path. @returns false if the client is behind; `onceDrained` then reports when the client has caught up */
  write (batch: Batch): boolean
  /** Whether the response was ended or destroyed, by the plugin or other code. Nothing may be written then. */
  readonly ended: boolean
  /** Number of bytes that were written but are still in this process, because the client is behind. */
  readonly buffered: number
  /** Calls `callback` once, when none of the written bytes is in this process any more. Called after `write` returned false. */
  onceDrained (callback: () => void): void
  /** Calls `onStall` if the client takes no byte for `ms` milliseconds, until it is called with 0. Always called with the same `onStall`. */
  watchStall (ms: number, onStall: () => void): void
  /** Ends the response. @returns true if the operating system has all of its bytes already */
  end (): boolean
  /** Sends the bytes that were written, then aborts the response, so that the client sees a failure and not a regular end. */
  abort (): void
}

/**
 * Returns the sink (destination for the bytes) of an event stream. The sink writes HTTP chunks to the socket if the response is HTTP/1.1
 * and no other code has changed it. Otherwise the sink writes to `destination`, the Node stream that Fastify piped to (HTTP/2, `inject`,
 * a transform of an onSend hook, middleware that wraps `res.write`).
 */
export function createSink (raw: RawReply, destination: Writable): Sink {
  // no headers yet, because a transform sends them with its first bytes
  if (destination !== raw) return new WritableSink(raw, destination)
  const socket = !isHttp2(raw) && raw.socket instanceof Socket ? raw.socket : null
  if (socket !== null) cork(socket)
  if ('flushHeaders' in raw) raw.flushHeaders()
  if (isUntouchedHttp2(raw)) return new Http2Sink(raw)
  return socket !== null && isUntouched(raw) ? new ChunkedSink(raw, socket) : new WritableSink(raw, destination)
}

/** Returns whether `res.write` would write plain chunks to the socket. False after Express' compression, which replaces `res.write` and sets `content-encoding`. */
function isUntouched (raw: RawReply): raw is ServerResponse {
  return raw instanceof ServerResponse && raw.chunkedEncoding && raw.write === ServerResponse.prototype.write && !raw.hasHeader('content-encoding')
}

/** Time between the last write and the abort of a compressed response, ms, so that the compressor can pass on the bytes that it holds. */
const COMPRESSOR_TIMEOUT = 100

// Sockets that were corked in this turn of the event loop. All streams share the list, because one setImmediate uncorks them all.
let corked: Socket[] = []

/** Corks a socket for the rest of this turn of the event loop, so that Node sends headers, first events and perhaps the end in one write. */
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
 * Writes HTTP/1.1 chunks to the socket itself, because `res.write` spends as long on its bookkeeping as the kernel does on a small
 * write. `createSink` has sent the headers before; `res.end` sends the last chunk.
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
    if (socket.write(batch.takeChunk(), 'latin1')) return true
    // a corked socket returns false also for bytes that only the cork holds back
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

  watchStall (ms: number, onStall: () => void): void {
    watchStall(this.#res, ms, onStall)
  }

  end (): boolean {
    this.#res.end()
    return this.#socket.writableLength === 0
  }

  abort (): void {
    this.#socket.destroySoon()
  }
}

/** A destination or response that may compress. If it has a method `flush`, it keeps bytes until `flush` is called. */
type Flushing = { flush?: () => void }

/** Writes batches of events to a Node stream: the response, or a transform that is piped into it. */
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
    // one listener for all calls: with middleware that replaces `res.on`, the listener of `once` would never be removed
    this.#destination.on('drain', () => {
      const callback = this.#onDrain
      this.#onDrain = null
      callback?.()
    })
  }

  watchStall (ms: number, onStall: () => void): void {
    watchStall(this.#raw, ms, onStall)
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
    // The transform calls `end` of the response once it has passed on all bytes. That call now resets the connection instead.
    // Destroying the transform would lose the bytes that it holds, and would reset HTTP/2 streams with NO_ERROR.
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
    // middleware that compresses in the response does not call back after an empty write
    if (typeof raw.flush === 'function') setTimeout(destroy, COMPRESSOR_TIMEOUT).unref()
    else raw.write('', destroy)
  }
}
