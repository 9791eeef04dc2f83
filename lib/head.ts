import type { FastifyReply, FastifyRequest } from 'fastify'
import { isHttp2 } from './outlet.js'

/**
 * The id a client that comes back has seen last: the Last-Event-ID header, or the query's `lastEventId`,
 * for clients that cannot set a header. Null where there is none.
 */
export function readLastEventId (request: FastifyRequest): string | null {
  const header = request.headers['last-event-id']
  // Node decodes headers as latin1, clients send UTF-8
  if (typeof header === 'string') return Buffer.from(header, 'latin1').toString() || null
  const query = request.raw.url?.split('?', 2)[1]
  return new URLSearchParams(query).get('lastEventId') || null
}

/** Sets the headers of an event stream: what a hook or handler has set stays, but `headers` win over that. */
export function setHeaders (reply: FastifyReply, headers: Readonly<Record<string, string>>): void {
  const { raw } = reply
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache, no-transform')
  if (!reply.hasHeader('x-accel-buffering')) reply.header('x-accel-buffering', 'no')
  if (!isHttp2(raw) && raw.shouldKeepAlive && reply.request.raw.httpVersion === '1.1') reply.header('connection', 'keep-alive')
  reply.headers(headers).header('content-type', 'text/event-stream')
}
