// Tested by test/integration/connections.test.ts
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Http2ServerResponse, Http2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { real } from '../clock.js'

/** Fastify's `reply.raw`, of HTTP/1.1 or HTTP/2. */
export type RawReply = ServerResponse<IncomingMessage> | Http2ServerResponse

export function isHttp2 (raw: RawReply): raw is Http2ServerResponse {
  return 'stream' in raw
}

/** Whether the connection of a response is closed already, so that no `close` event follows. */
export function isClosed (raw: RawReply): boolean {
  return isHttp2(raw) ? raw.stream.destroyed : raw.destroyed || raw.req.socket.destroyed
}

/** Calls `callback` once, when the response has ended or its client has disconnected. */
export function onceClosed (raw: RawReply, callback: () => void): void {
  if (isHttp2(raw) || raw.socket !== null) {
    // the event comes once; `once` would keep a wrapper function for every stream
    raw.on('close', callback)
    return
  }
  // A pipelined HTTP/1.1 response has no socket until the responses before it are done, and gets no `close` if the
  // connection drops before. The socket of the request closes in both cases.
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

/** Callbacks of the pipelined responses of each socket. One listener calls them all, because a client may send any number of requests. */
const pipelined = new WeakMap<Socket, Set<() => void>>()

function callAll (this: Socket): void {
  pipelined.get(this)?.forEach((onClose) => onClose())
}

/** Whether a pipelined HTTP/1.1 response waits for the responses before it. */
export function waitsForTurn (raw: RawReply): boolean {
  return !isHttp2(raw) && raw.socket === null
}

/** Calls `callback` once a pipelined response has the socket. */
export function whenTurnComes (raw: RawReply, callback: () => void): void {
  raw.once('socket', callback)
}

/**
 * Discards the body of a GET or HEAD request, which Fastify leaves unread. With an unread body Node reads no further from
 * the connection, and does not notice that the client disconnects.
 */
export function discardBody ({ req }: RawReply): void {
  const { 'content-length': length, 'transfer-encoding': coding } = req.headers
  if ((length !== undefined || coding !== undefined) && (req.method === 'GET' || req.method === 'HEAD') && req.readableFlowing === null) req.resume()
}

/** The HTTP/2 session of a response; undefined for HTTP/1.1. */
export function sessionOf (raw: RawReply): Http2Session | undefined {
  return isHttp2(raw) ? raw.stream.session : undefined
}

/** Ends an HTTP/2 session once its streams have ended. Destroys its socket after `timeout` ms if the client keeps it open. */
export function endSession (session: Http2Session, timeout: number): void {
  if (session.destroyed) return
  // Read now, because `session.socket` is a proxy that throws once the session has ended. The method is bound to the socket.
  const { destroySoon } = session.socket
  session.close()
  real.setTimeout(() => { if (session.destroyed) destroySoon() }, timeout).unref()
}

/** The number of event streams that each HTTP/2 session carries. */
const streamCounts = new WeakMap<Http2Session, { streams: number }>()

/**
 * Disables the connection's inactivity timeout, because a stream may be inactive for longer. Node enables it again after an
 * HTTP/1.1 response. For HTTP/2 the returned function does so after the session's last event stream.
 *
 * @param sessionTimeout the inactivity timeout of an HTTP/2 session without event streams, ms
 */
export function disableSocketTimeout (raw: RawReply, sessionTimeout: number | undefined): (() => void) | undefined {
  const session = sessionOf(raw)
  if (session === undefined) {
    // the socket of `inject` has no `setTimeout`
    raw.socket?.setTimeout?.(0)
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
