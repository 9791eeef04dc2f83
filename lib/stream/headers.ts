// Tested by test/stream/event-stream.test.ts
import { isUtf8 } from 'node:buffer'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { encodeRetry } from '../event/encode.js'
import type { Subscription } from './contracts.js'

/** Default headers of a stream. Headers of hooks, handlers and options replace them. */
const DEFAULTS = [
  ['cache-control', 'no-cache, no-transform'],
  ['x-accel-buffering', 'no'],
  // a browser could run an ended stream as a script, in which `data:` is a label
  ['x-content-type-options', 'nosniff']
] as const

/**
 * Returns the id of the last event that a reconnecting client received: the Last-Event-ID header, or the query parameter
 * `lastEventId` for clients that cannot set a header. Null if there is none.
 */
export function readLastEventId (request: FastifyRequest): string | null {
  const header = request.headers['last-event-id']
  if (typeof header === 'string') {
    // Node decodes headers as Latin-1. Clients send UTF-8, but fetch of Node sends Latin-1.
    const bytes = Buffer.from(header, 'latin1')
    return (isUtf8(bytes) ? bytes.toString() : header) || null
  }
  const { url = '' } = request.raw
  const query = url.indexOf('?')
  return query < 0 ? null : new URLSearchParams(url.slice(query + 1)).get('lastEventId') || null
}

const EVENT_STREAM = 'text/event-stream'
/** The content type with its only parameter (https://html.spec.whatwg.org/multipage/iana.html#text/event-stream): clients that read other types as Latin-1 need it. */
const WITH_CHARSET = /^text\/event-stream *; *charset="?utf-8"?$/i

/** Returns the lines before the first event: `retry:`, and the id of a stream with topics. No blank line follows `retry:` alone. */
export function firstLines (retry: number | undefined, subscription: Subscription | null): string {
  const id = subscription?.allowsCustomIds === false ? subscription.takeIdLine() : ''
  return `${retry === undefined ? '' : encodeRetry(retry)}${id && `${id}\n`}`
}

/**
 * Sets the headers of an event stream. `headers` replace headers of hooks and handlers, which replace the defaults. Node
 * writes `connection: keep-alive` for HTTP/1.1.
 */
export function writeStreamHeaders (reply: FastifyReply, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of DEFAULTS) if (!reply.hasHeader(name)) reply.header(name, value)
  reply.headers(headers)
  reply.header('content-type', contentType(reply.getHeader('content-type')))
  // copied from another response: a client or proxy would read bytes past that length as the next response
  if (reply.hasHeader('content-length')) reply.removeHeader('content-length')
}

/** Returns `given` if it is an event stream's content type, otherwise `text/event-stream`, because no client would read the stream. */
export function contentType (given: unknown): string {
  return typeof given === 'string' && WITH_CHARSET.test(given) ? given : EVENT_STREAM
}
