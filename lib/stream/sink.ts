import { type IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerResponse, Http2Session } from 'node:http2'
import { constants } from 'node:http2'
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import type { Batch } from './batch.js'
import { real } from '../clock.js'

/** Fastify's `reply.raw`, whichever protocol it speaks. */
export type RawReply = ServerResponse<IncomingMessage> | Http2ServerResponse

/** Where the text of one stream goes: the way to its client, with what Node tells of it. */
export interface Sink {
  /** Hot path. `false`: enough is waiting, `onDrain` tells when it is gone. */
  write (batch: Batch): boolean
  /** Whether the response was ended or destroyed, by whichever code: nothing may be written any more. */
  readonly ended: boolean
  /** Bytes that the client has not taken. */
  readonly buffered: number
  /** Calls back once, when all that was waiting is gone. */
  onceDrained (callback: () => void): void
  /** Ends the response as the protocol has it; true where the kernel has all of it already. */
  end (): boolean
  /** Sends what is waiting, then breaks the response off, so that the client can tell it from an end. */
  abort (): void
}

/**
 * Chooses the way: straight to the socket for an HTTP/1.1 response that no other code has touched, through the stream that
 * Fastify piped us to for all else (HTTP/2, `inject`, a transform that an onSend hook put between, middleware that wraps `res.write`).
 */
export function createSink (raw: RawReply, destination: Writable): Sink {
  // a transform sends the headers with its first bytes
  if (destination !== raw) return new WritableSink(raw, destination)
  const socket = !isHttp2(raw) && raw.socket instanceof Socket ? raw.socket : null
  if (socket !== null) cork(socket)
  if ('flushHeaders' in raw) raw.flushHeaders()
  return socket !== null && isUntouched(raw) ? new ChunkedSink(raw, socket) : new WritableSink(raw, destination)
}

/** Whether chunks on the socket are what `res.write` would write. Express' compression replaces `write` and sets `content-encoding`. */
function isUntouched (raw: RawReply): raw is ServerResponse {
  return raw instanceof ServerResponse && raw.chunkedEncoding && raw.write === ServerResponse.prototype.write && !raw.hasHeader('content-encoding')
}

/** Time for a compressor to pass on what it holds before its response is broken off, ms. */
const COMPRESSOR_TIMEOUT = 100

let corked: Socket[] = []

/** What goes into a socket in this turn of the event loop, headers, first events, perhaps the end, is one write. */
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

export function isHttp2 (raw: RawReply): raw is Http2ServerResponse {
  return 'stream' in raw
}

/** Whether the client left before there was anything to hear it by. */
export function isClosed (raw: RawReply): boolean {
  return isHttp2(raw) ? raw.stream.destroyed : raw.destroyed || raw.req.socket.destroyed
}

/** Calls back once, when the response is over, by its end or its client's leaving. */
export function onceClosed (raw: RawReply, callback: () => void): void {
  if (isHttp2(raw) || raw.socket !== null) {
    // it comes once; `once` would keep a wrapper for every stream
    raw.on('close', callback)
    return
  }
  // a response that waits behind another one is not told that their connection is gone, unless its turn has come by then
  const { socket } = raw.req
  const calls = waiting.get(socket) ?? new Set()
  waiting.set(socket, calls)
  if (calls.size === 0) socket.on('close', callAll)
  const over = () => {
    if (!calls.delete(over)) return
    if (calls.size === 0) socket.off('close', callAll)
    callback()
  }
  calls.add(over)
  raw.on('close', over)
}

/** Whether a pipelined HTTP/1.1 response waits for the responses before it. */
export function waitsForTurn (raw: RawReply): boolean {
  return !isHttp2(raw) && raw.socket === null
}

/** Calls back once a response that waits has the connection. */
export function whenTurnComes (raw: RawReply, callback: () => void): void {
  raw.once('socket', callback)
}

/**
 * Discards the body of a GET or HEAD request, which Fastify leaves unread: with more of it to come, Node would read no
 * further from the connection, and not notice that the client leaves.
 */
export function discardBody ({ req }: RawReply): void {
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  if ((length !== undefined || coding !== undefined) && (req.method === 'GET' || req.method === 'HEAD') && req.readableFlowing === null) req.resume()
}

/** What is called for responses that wait on a connection. They are as many as its client likes, so that one listener does it. */
const waiting = new WeakMap<Socket, Set<() => void>>()

function callAll (this: Socket): void {
  waiting.get(this)?.forEach((over) => over())
}

/** The HTTP/2 session that carries a reply; undefined for HTTP/1.1. */
export function sessionOf (raw: RawReply): Http2Session | undefined {
  return isHttp2(raw) ? raw.stream.session : undefined
}

/** Ends an HTTP/2 session once its streams are over; where its client does not let go, it is cut after `patience` ms. */
export function endSession (session: Http2Session, patience: number): void {
  if (session.destroyed) return
  // given bound to the socket, which a session that has ended does not know any more
  const { destroySoon } = session.socket
  session.close()
  real.setTimeout(() => { if (session.destroyed) destroySoon() }, patience).unref()
}

/** HTTP/2 sessions that carry streams, and how many. */
const carried = new WeakMap<Http2Session, { streams: number }>()

/**
 * Takes the connection's inactivity timeout off, since a stream may be quiet for longer. HTTP/1.1 puts it
 * on again itself, after the response; for HTTP/2 the function given back does, after the session's last stream.
 *
 * @param timeout what an HTTP/2 session without streams may be quiet for, ms
 */
export function disableSocketTimeout (raw: RawReply, timeout: number | undefined): (() => void) | undefined {
  const session = sessionOf(raw)
  if (session === undefined) {
    // the socket of `inject` has no timeout
    raw.socket?.setTimeout?.(0)
    return
  }
  session.setTimeout(0)
  const count = carried.get(session) ?? { streams: 0 }
  carried.set(session, count)
  count.streams++
  return () => {
    if (--count.streams === 0 && timeout !== undefined) session.setTimeout(timeout)
  }
}

/**
 * Writes chunks to the socket itself, past `res.write`, which spends as long on its bookkeeping
 * as the kernel does on a small write. The response's head is sent before, and its end by `res.end`.
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
    // what we keep back ourselves does not tell that the client is behind
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

/** A compressor, perhaps within the response: it holds bytes until it is asked to pass them on. */
type Flushing = { flush?: () => void }

/** Writes through the ordinary stream interface. */
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
    const taken = this.#destination.write(this.#destination === this.#raw ? batch.data : batch.text)
    this.#flush()
    return taken
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
    // one listener for all times, because `once` takes none off a compressor that answers for `res.on`
    this.#destination.on('drain', () => {
      const drained = this.#onDrain
      this.#onDrain = null
      drained?.()
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
    // what is in between ends the response when it has passed all on: there it is broken off instead
    Object.assign(this.#raw, { end: () => this.#resetConnection() })
    this.#destination.end()
  }

  #flush (): void {
    if (typeof this.#destination.flush === 'function') this.#destination.flush()
  }

  #resetConnection (): void {
    const raw: Writable & Flushing = this.#raw
    const destroy = () => {
      if (isHttp2(this.#raw)) this.#raw.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
      else if (this.#raw.socket instanceof Socket) this.#raw.socket.destroySoon()
      else this.#raw.destroy()
    }
    // an empty write is done when all before it is; a compressor within the response does not say when
    if (typeof raw.flush === 'function') setTimeout(destroy, COMPRESSOR_TIMEOUT).unref()
    else raw.write('', destroy)
  }
}
