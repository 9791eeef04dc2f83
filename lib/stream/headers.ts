import { isUtf8 } from 'node:buffer'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { encodeRetry } from '../event/encode.js'
import type { Subscription } from './contracts.js'

/** The headers of a stream that those of hooks, handlers and options take the place of. */
const DEFAULTS = [
  ['cache-control', 'no-cache, no-transform'],
  ['x-accel-buffering', 'no'],
  // a stream that has ended could be run as a script: `data:` is a label there
  ['x-content-type-options', 'nosniff']
] as const

/**
 * The id a client that comes back has seen last: the Last-Event-ID header, or the query's `lastEventId`,
 * for clients that cannot set a header. Null where there is none.
 */
export function readLastEventId (request: FastifyRequest): string | null {
  const header = request.headers['last-event-id']
  if (typeof header === 'string') {
    // Node decodes headers as latin1, clients send UTF-8; but for those that send latin1, as fetch does in Node
    const bytes = Buffer.from(header, 'latin1')
    return (isUtf8(bytes) ? bytes.toString() : header) || null
  }
  const { url = '' } = request.raw
  const query = url.indexOf('?')
  return query < 0 ? null : new URLSearchParams(url.slice(query + 1)).get('lastEventId') || null
}

const EVENT_STREAM = 'text/event-stream'
/** The type with its one parameter (https://html.spec.whatwg.org/multipage/iana.html#text/event-stream): clients that read other types as Latin-1 need it. */
const WITH_CHARSET = /^text\/event-stream *; *charset="?utf-8"?$/i

/** The lines before the first event: `retry:`, and the id of a stream that has topics. No blank line follows `retry:` alone. */
export function firstLines (retry: number | undefined, cursor: Subscription | null): string {
  const id = cursor?.allowsCustomIds === false ? cursor.takeIdLine() : ''
  return `${retry === undefined ? '' : encodeRetry(retry)}${id && `${id}\n`}`
}

/**
 * Sets the headers of an event stream: what a hook or handler has set stays, but `headers` win over that.
 * `connection: keep-alive` is Node's to write, where the protocol has it.
 */
export function writeStreamHeaders (reply: FastifyReply, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of DEFAULTS) if (!reply.hasHeader(name)) reply.header(name, value)
  reply.headers(headers)
  reply.header('content-type', contentType(reply.getHeader('content-type')))
  // as copied from another answer: a client, or a proxy, would take what is past that length for the next response
  if (reply.hasHeader('content-length')) reply.removeHeader('content-length')
}

/** The content type of a stream for which `given` was set: another one is replaced, because no client would read the stream. */
export function contentType (given: unknown): string {
  return typeof given === 'string' && WITH_CHARSET.test(given) ? given : EVENT_STREAM
}
