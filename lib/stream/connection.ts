// Tested by test/integration/connections.test.ts
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerResponse, Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { real } from '../clock.js'

/** Node's response object, Fastify's `reply.raw`, of HTTP/1.1 or HTTP/2. */
export type RawReply = ServerResponse<IncomingMessage> | Http2ServerResponse

export function isHttp2 (raw: RawReply): raw is Http2ServerResponse {
  return 'stream' in raw
}

/** Returns whether a response or its connection has closed already. After that the response emits no `close` event any more. */
export function isClosed (raw: RawReply): boolean {
  return isHttp2(raw) ? raw.stream.destroyed : raw.destroyed || raw.req.socket.destroyed
}

/** Calls `callback` once, when the response has ended or its client has disconnected. If that happened before this call (see `isClosed`), never calls `callback`. */
export function onceClosed (raw: RawReply, callback: () => void): void {
  if (isHttp2(raw) || raw.socket !== null) {
    // `on`, because `once` would keep a wrapper function in memory for every stream, and the response emits `close` only once
    raw.on('close', callback)
    return
  }
  // A pipelined HTTP/1.1 response has no socket until the responses before it are done. If the client disconnects before, only the
  // socket of the request emits `close`, so that both are listened to.
  const { socket } = raw.req
  const callbacks = pipelined.get(socket) ?? new Set()
  pipelined.set(socket, callbacks)
  if (callbacks.size === 0) socket.on('close', callAll)
  const onClose = () => {
    if (!callbacks.delete(onClose)) return
    if (callbacks.size === 0) socket.off('close', callAll)
    callback()
  }
  callbacks.add(onClose)
  raw.on('close', onClose)
}

/** Callbacks that `onceClosed` got for pipelined responses, by socket. One listener per socket calls them all, because a client may send any number of requests. */
const pipelined = new WeakMap<Socket, Set<() => void>>()

function callAll (this: Socket): void {
  pipelined.get(this)?.forEach((onClose) => onClose())
}

/** Returns whether a response is pipelined (HTTP/1.1) and has no socket yet, because the responses before it are not done. */
export function waitsForTurn (raw: RawReply): boolean {
  return !isHttp2(raw) && raw.socket === null
}

/** Calls `callback` when a pipelined response gets its socket, which happens once the responses before it are done. */
export function whenTurnComes (raw: RawReply, callback: () => void): void {
  raw.once('socket', callback)
}

/**
 * Discards the body of a GET or HEAD request, because Fastify does not read it. While a body is unread, Node stops reading from the
 * connection, and then does not notice when the client disconnects.
 */
export function discardBody ({ req }: RawReply): void {
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  if ((length !== undefined || coding !== undefined) && (req.method === 'GET' || req.method === 'HEAD') && req.readableFlowing === null) req.resume()
}

/** Returns the HTTP/2 session of a response; undefined for HTTP/1.1, and if the session has closed. */
export function sessionOf (raw: RawReply): Http2Session | undefined {
  return isHttp2(raw) ? raw.stream.session : undefined
}

/** Closes an HTTP/2 session once all its HTTP/2 streams have ended. If the client keeps the session open for `timeout` ms, destroys its socket. */
export function endSession (session: Http2Session, timeout: number): void {
  if (session.destroyed) return
  // Read now, because `session.socket` is a proxy that throws once the session has ended. The proxy has bound the method to the socket.
  const { destroySoon } = session.socket
  session.close()
  real.setTimeout(() => { if (session.destroyed) destroySoon() }, timeout).unref()
}

/** Number of open event streams of each HTTP/2 session. */
const streamCounts = new WeakMap<Http2Session, { streams: number }>()

/**
 * Disables the inactivity timeout of a response's connection, because an event stream may be inactive for longer. After an HTTP/1.1
 * response Node enables the timeout again. For HTTP/2 the returned function does.
 *
 * @param sessionTimeout the inactivity timeout of an HTTP/2 session without event streams, ms; undefined: the timeout stays disabled
 * @returns for HTTP/2: a function to call when the event stream has closed. The call for a session's last stream enables its timeout again. For HTTP/1.1: undefined
 */
export function disableSocketTimeout (raw: RawReply, sessionTimeout: number | undefined): (() => void) | undefined {
  const session = sessionOf(raw)
  if (session === undefined) {
    // Most sockets have no timeout. The socket of `inject` has neither a timeout nor `setTimeout`.
    if (raw.socket?.timeout) raw.socket.setTimeout(0)
    return
  }
  session.setTimeout(0)
  const count = streamCounts.get(session) ?? { streams: 0 }
  streamCounts.set(session, count)
  count.streams++
  return () => {
    if (--count.streams === 0 && sessionTimeout !== undefined) session.setTimeout(sessionTimeout)
  }
}

/** Responses that call the `onStall` of `watchStall`. */
const watched = new WeakSet<RawReply>()

/**
 * Starts a timer of `ms` milliseconds, which calls `onStall` if the client takes no byte of a response until then. 0 stops the timer. Uses
 * the timeout of the socket, or of the HTTP/2 stream, because Node sees there how much of a large write the client has taken.
 */
export function watchStall (raw: RawReply, ms: number, onStall: () => void): void {
  // a pipelined response has no socket yet; the socket of `inject` has no `setTimeout`
  const source = isHttp2(raw) ? raw.stream : raw.socket
  if (source?.setTimeout === undefined) return
  if (!watched.has(raw)) {
    if (ms === 0) return
    watched.add(raw)
    // without a listener on the response, Node's HTTP server would destroy the socket
    if (isHttp2(raw)) raw.stream.on('timeout', onStall)
    else raw.on('timeout', onStall)
  }
  source.setTimeout(ms)
}
