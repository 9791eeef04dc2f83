// Tested by test/stream/event-stream.test.ts
import { isUtf8 } from 'node:buffer'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { encodeRetry } from '../event/encode.js'
import type { Subscription } from './contracts.js'

/** Default headers of every event stream, which keep proxies from storing or buffering the stream. Headers of hooks, handlers and options replace these defaults. */
const DEFAULTS = [
  ['cache-control', 'no-cache, no-transform'],
  ['x-accel-buffering', 'no'],
  // or else a browser could run the text of an ended stream as a script, in which `data:` is a label
  ['x-content-type-options', 'nosniff']
] as const

/**
 * Returns the id of the last event that a reconnecting client received. Reads the header Last-Event-ID, or without it the query
 * parameter `lastEventId`, for clients that cannot set a header. Returns null if both are missing, or the id is empty.
 */
export function readLastEventId (request: FastifyRequest): string | null {
  const header = request.headers['last-event-id']
  if (typeof header === 'string') {
    // Node decodes all headers as Latin-1, but most clients send UTF-8. Node's own fetch sends Latin-1.
    const bytes = Buffer.from(header, 'latin1')
    return (isUtf8(bytes) ? bytes.toString() : header) || null
  }
  const { url = '' } = request.raw
  const query = url.indexOf('?')
  return query < 0 ? null : new URLSearchParams(url.slice(query + 1)).get('lastEventId') || null
}

const EVENT_STREAM = 'text/event-stream'
/** Matches an event stream's content type with `charset`, its only parameter (https://html.spec.whatwg.org/multipage/iana.html#text/event-stream). Some clients read a type without `charset` as Latin-1. */
const WITH_CHARSET = /^text\/event-stream *; *charset="?utf-8"?$/i

/** Returns the text before the first event: a `retry:` line unless `retry` is undefined; an `id:` line if the stream has topics. No blank line follows `retry:` alone. */
export function firstLines (retry: number | undefined, subscription: Subscription | null): string {
  const id = subscription?.allowsCustomIds === false ? subscription.takeIdLine() : ''
  return `${retry === undefined ? '' : encodeRetry(retry)}${id && `${id}\n`}`
}

/**
 * Sets the headers of an event stream's reply. The option `headers` replaces headers of hooks and handlers, and these replace the
 * defaults. Does not set `connection: keep-alive`, because Node sets it for HTTP/1.1.
 */
export function writeStreamHeaders (reply: FastifyReply, headers: Readonly<Record<string, string>>): void {
  for (const [name, value] of DEFAULTS) if (!reply.hasHeader(name)) reply.header(name, value)
  reply.headers(headers)
  reply.header('content-type', contentType(reply.getHeader('content-type')))
  // A handler may have copied it from another response. A client or proxy would read bytes past that length as the next response.
  if (reply.hasHeader('content-length')) reply.removeHeader('content-length')
}

/** Returns `given` if it is `text/event-stream` with a UTF-8 charset. Otherwise returns `text/event-stream`, because clients read no other type as events. */
export function contentType (given: unknown): string {
  return typeof given === 'string' && WITH_CHARSET.test(given) ? given : EVENT_STREAM
}
