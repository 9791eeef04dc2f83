import { isPromise } from 'node:util/types'
import { createError } from '@fastify/error'

/** A payload that is no payload: a number, an array, a function, an object with any other field. */
export const SSE_ERR_PAYLOAD = createError<[string]>('SSE_ERR_PAYLOAD', 'An event is a string or an object with no fields but id, event, comments, data and retry, got %s', 500, TypeError)

/** A field of a payload that cannot be written as the standard asks: which, what it takes, what it was. */
export const SSE_ERR_FIELD = createError<[string, string, string]>('SSE_ERR_FIELD', 'The field "%s" of an event takes %s, got %s', 500, TypeError)

/** Data that could not be made text; `cause` holds what the serializer threw, if it threw. */
export const SSE_ERR_SERIALIZATION = createError<[string, string]>('SSE_ERR_SERIALIZATION', 'The data of event %s cannot be serialized: %s')

/** A call of `payload` has not settled within `payloadTimeout` ms, and is given up. */
export const SSE_ERR_PAYLOAD_TIMEOUT = createError<[number]>('SSE_ERR_PAYLOAD_TIMEOUT', 'A call of "payload" has not settled within payloadTimeout (%d ms): its result is ignored')

/** An event that the route does not declare in `events`. */
export const SSE_ERR_UNKNOWN_EVENT = createError<[string, string]>('SSE_ERR_UNKNOWN_EVENT', 'The event %s is not declared in the route\'s "events", which holds %s')

/** An id of the application's own, where the log of published events gives the ids. */
export const SSE_ERR_OWN_ID = createError<[string]>('SSE_ERR_OWN_ID', 'Published events, and all events on a stream with topics, have their id from the log; got the id %s', 500, TypeError)

/** A topic that is not a string, or an empty one. */
export const SSE_ERR_TOPIC = createError<[string]>('SSE_ERR_TOPIC', 'A topic is a string that is not empty, got %s', 500, TypeError)

/** A client id, given to `sendTo` or by the option `clientId`, that is not a string, or an empty one. */
export const SSE_ERR_CLIENT_ID = createError<[string]>('SSE_ERR_CLIENT_ID', 'A client id is a string that is not empty, got %s', 500, TypeError)

/** The backplane does not do what it promises. The message goes to clients: an address, or what Redis says, is in `cause`. */
export const SSE_ERR_BACKPLANE = createError<[string]>('SSE_ERR_BACKPLANE', 'The backplane failed: %s')

/** A package that is installed with the application only where it is used. */
export const SSE_ERR_NOT_INSTALLED = createError('SSE_ERR_NOT_INSTALLED', 'redisBackplane({ url }) needs the package "redis" (version 5 or 6), which is not installed: run "npm install redis", or give redisBackplane a client of ioredis')

/** An option of the plugin, of a route or of `reply.sse()` that has the wrong type or is out of its range. */
export const SSE_ERR_OPTION = createError<[string, string, string]>('SSE_ERR_OPTION', 'The option "%s" takes %s, got %s', 500, TypeError)

/** A misspelt option, one that is given elsewhere, or one of `reply.sse()` that does not exist: the call, its name, and the correction. */
export const SSE_ERR_UNKNOWN_OPTION = createError<[string, string, string]>('SSE_ERR_UNKNOWN_OPTION', '%s takes no option "%s": %s', 500, TypeError)

/** Options of a route that do not go together: what is wrong, and what to do. */
export const SSE_ERR_ROUTE = createError<[string, string, string]>('SSE_ERR_ROUTE', 'The SSE route %s %s: %s', 500, TypeError)

/** A schema in `events` that Fastify's serializer compiler refused; `cause` holds why. */
export const SSE_ERR_SCHEMA = createError<[string, string, string]>('SSE_ERR_SCHEMA', 'The schema of event "%s" of %s cannot be compiled%s')

/** A schema of a route that @fastify/swagger cannot describe; `cause` holds the error of its conversion to JSON Schema, if there was one. */
export const SSE_ERR_OPENAPI = createError<[string, string, string]>('SSE_ERR_OPENAPI', 'The schema "%s" of %s is not JSON Schema, and its library does not convert it for the document of @fastify/swagger%s: give the transform that converts it to this plugin as the option "openapi": { transform }', 500, TypeError)

/** What `source` gave, or `reply.sse()` was given, cannot be streamed. */
export const SSE_ERR_SOURCE = createError<[string]>('SSE_ERR_SOURCE', 'A source is an async iterable, an iterable, a Readable or a ReadableStream of events, or the Response of an event stream, got %s', 500, TypeError)

/** A source is the Response of another server whose status is not 2xx; `statusCode` is that status, 502 for one below 400. */
export const SSE_ERR_UPSTREAM = createError<[number]>('SSE_ERR_UPSTREAM', 'The server whose event stream is passed on answered with status %d', 502)

/** The plugin is not registered on this app, or not loaded yet. */
export const SSE_ERR_NOT_REGISTERED = createError<[string]>('SSE_ERR_NOT_REGISTERED', '%s needs the plugin: await the registration of fastify-sse-routes before it, or call it in app.after()')

/** The plugin is registered on an instance that has it, or whose parent or child has it. */
export const SSE_ERR_REGISTERED = createError('SSE_ERR_REGISTERED', 'This instance, a parent or a child of it has fastify-sse-routes: each registration has separate streams and a separate log, so that events published to one do not reach the other. Register it once, in the instance that contains all routes and publishers')

/** `reply.sse()` on a reply that was sent or is a stream already. */
export const SSE_ERR_REPLY_SENT = createError('SSE_ERR_REPLY_SENT', 'reply.sse() can be called once, and only before the reply is sent')

/** `stream.send()` before the headers are sent, on a route with `openOn: 'first-event'`. */
export const SSE_ERR_NOT_OPEN = createError('SSE_ERR_NOT_OPEN', 'With openOn: \'first-event\' the stream opens with the first item of its source; until then only its signal can be used')

/** The request's Accept header rules out text/event-stream (RFC 9110, section 12.5.1). */
export const SSE_ERR_NOT_ACCEPTABLE = createError('SSE_ERR_NOT_ACCEPTABLE', 'This route answers with text/event-stream, which the Accept header rules out', 406)

/** The server is closing, and the stream has not opened; or it has closed, and an event is published. */
export const SSE_ERR_CLOSING = createError('SSE_ERR_CLOSING', 'The server is closing', 503)

/** `maxStreams` are open; the answer is a 503 with Retry-After. */
export const SSE_ERR_TOO_MANY_STREAMS = createError('SSE_ERR_TOO_MANY_STREAMS', 'Too many event streams are open', 503)

/** This client has `maxStreamsPerClient.max` streams open; the answer is a 429 with Retry-After. */
export const SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT = createError('SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT', 'Too many event streams are open for this client', 429)

/** Text about the `cause` for a message: empty for an error, because loggers such as pino append its message. */
export function ofCause (cause: unknown): string {
  return cause instanceof Error ? '' : `: ${describeValue(cause)}`
}

/** What a callback threw, as an error. */
export function toError (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`An event stream's callback threw ${describeValue(thrown)}`, { cause: thrown })
}

/** The longest name or value in a message, characters: the message of an error may be sent to a client, and is logged. */
const LONGEST = 40
/** The most names in a message. */
const MOST = 10

/** A text as it stands in a message. */
function cut (text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

/** Names in a message: the first ten, and how many there are besides. */
export function list (names: Iterable<string>): string {
  const all = [...names]
  const shown = all.slice(0, MOST).map(cut).join(', ')
  return all.length > MOST ? `${shown} and ${all.length - MOST} more` : shown
}

/**
 * How a refused value is named in a message: its type, and for short ones what it is. A promise is marked as handled,
 * because it may reject, and nobody awaits what was refused.
 */
export function describeValue (value: unknown): string {
  if (value === null || value === undefined) return String(value)
  if (typeof value === 'string') return JSON.stringify(cut(value))
  if (Array.isArray(value)) return 'an array'
  if (isPromise(value)) markHandled(value)
  if (typeof value === 'object') return `an object (${cut(classOf(value))})`
  if (typeof value === 'function') return 'a function'
  return cut(String(value))
}

/** The name of an object's class; of a generator, which has none, what it calls itself. */
function classOf ({ constructor, [Symbol.toStringTag]: tag }: { constructor?: Function, [Symbol.toStringTag]?: string }): string {
  return String(constructor?.name || tag || (constructor === undefined ? 'no prototype' : 'no name'))
}

/** Keeps the rejection of a promise that nobody awaits from ending the process. */
function markHandled (promise: Promise<unknown>): void {
  promise.catch(() => {})
}
