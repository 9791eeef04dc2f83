import type { FastifyReply, FastifyRequest } from 'fastify'

/**
 * The id a client that comes back has seen last: the Last-Event-ID header, or the query's `lastEventId`,
 * for clients that cannot set a header. Null where there is none.
 */
export function readLastEventId (request: FastifyRequest): string | null {
  const header = request.headers['last-event-id']
  // Node decodes headers as latin1, clients send UTF-8
  if (typeof header === 'string') return Buffer.from(header, 'latin1').toString() || null
  const { url = '' } = request.raw
  const query = url.indexOf('?')
  return query < 0 ? null : new URLSearchParams(url.slice(query + 1)).get('lastEventId') || null
}

/**
 * Sets the headers of an event stream: what a hook or handler has set stays, but `headers` win over that.
 * `connection: keep-alive` is Node's to write, where the protocol has it.
 */
export function setHeaders (reply: FastifyReply, headers: Readonly<Record<string, string>>): void {
  if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache, no-transform')
  if (!reply.hasHeader('x-accel-buffering')) reply.header('x-accel-buffering', 'no')
  reply.headers(headers).header('content-type', 'text/event-stream')
  // as copied from another answer: a client, or a proxy, would take what is past that length for the next response
  if (reply.hasHeader('content-length')) reply.removeHeader('content-length')
}
