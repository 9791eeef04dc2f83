import { isPromise } from 'node:util/types'
import { createError } from '@fastify/error'

/** The value is not a payload: a number, an array, a function, an object with any other field. */
export const SSE_ERR_PAYLOAD = createError<[string]>('SSE_ERR_PAYLOAD', 'An event is a string or an object with no fields but id, event, comments, data and retry, got %s', 500, TypeError)

/** A field of a payload does not conform to the standard. Arguments: the field, what it takes, the value. */
export const SSE_ERR_FIELD = createError<[string, string, string]>('SSE_ERR_FIELD', 'The field "%s" of an event takes %s, got %s', 500, TypeError)

/** Data cannot be serialized; `cause` is the error of the serializer, if it threw. */
export const SSE_ERR_SERIALIZATION = createError<[string, string]>('SSE_ERR_SERIALIZATION', 'The data of event %s cannot be serialized: %s')

/** A call of `payload` has not settled within `payloadTimeout` ms. Its result is ignored. */
export const SSE_ERR_PAYLOAD_TIMEOUT = createError<[number]>('SSE_ERR_PAYLOAD_TIMEOUT', 'A call of "payload" has not settled within payloadTimeout (%d ms): its result is ignored')

/** The route does not declare this event in `events`. */
export const SSE_ERR_UNKNOWN_EVENT = createError<[string, string]>('SSE_ERR_UNKNOWN_EVENT', 'The event %s is not declared in the route\'s "events", which holds %s')

/** The application gave an id to an event whose id comes from the log. */
export const SSE_ERR_CUSTOM_ID = createError<[string]>('SSE_ERR_CUSTOM_ID', 'Published events, and all events on a stream with topics, have their id from the log; got the id %s', 500, TypeError)

/** The topic is not a string, or is empty. */
export const SSE_ERR_TOPIC = createError<[string]>('SSE_ERR_TOPIC', 'A topic is a string that is not empty, got %s', 500, TypeError)

/** The client id, from `sendTo` or from the option `clientId`, is not a string, or is empty. */
export const SSE_ERR_CLIENT_ID = createError<[string]>('SSE_ERR_CLIENT_ID', 'A client id is a string that is not empty, got %s', 500, TypeError)

/** The backplane failed. The address of Redis and its error are in `cause`, because the message may be sent to clients. */
export const SSE_ERR_BACKPLANE = createError<[string]>('SSE_ERR_BACKPLANE', 'The backplane failed: %s')

/** The optional package `redis` is not installed. */
export const SSE_ERR_NOT_INSTALLED = createError('SSE_ERR_NOT_INSTALLED', 'redisBackplane({ url }) needs the package "redis" (version 5 or 6), which is not installed: run "npm install redis", or give redisBackplane a client of ioredis')

/** An option of the plugin, of a route or of `reply.sse()` has the wrong type or is out of range. */
export const SSE_ERR_OPTION = createError<[string, string, string]>('SSE_ERR_OPTION', 'The option "%s" takes %s, got %s', 500, TypeError)

/** An option is misspelt, belongs to another call, or does not exist in `reply.sse()`. Arguments: the call, the option, the correction. */
export const SSE_ERR_UNKNOWN_OPTION = createError<[string, string, string]>('SSE_ERR_UNKNOWN_OPTION', '%s takes no option "%s": %s', 500, TypeError)

/** Options of a route contradict each other. Arguments: method, URL, what is wrong and what to do. */
export const SSE_ERR_ROUTE = createError<[string, string, string]>('SSE_ERR_ROUTE', 'The SSE route %s %s: %s', 500, TypeError)

/** Fastify's serializer compiler refused a schema in `events`; `cause` is its error. */
export const SSE_ERR_SCHEMA = createError<[string, string, string]>('SSE_ERR_SCHEMA', 'The schema of event "%s" of %s cannot be compiled%s')

/** A schema of a route that @fastify/swagger cannot describe; `cause` holds the error of its conversion to JSON Schema, if there was one. */
export const SSE_ERR_OPENAPI = createError<[string, string, string]>('SSE_ERR_OPENAPI', 'The schema "%s" of %s is not JSON Schema, and its library does not convert it for the document of @fastify/swagger%s: give the transform that converts it to this plugin as the option "openapi": { transform }', 500, TypeError)

/** The result of `source`, or the argument of `reply.sse()`, cannot be streamed. */
export const SSE_ERR_SOURCE = createError<[string]>('SSE_ERR_SOURCE', 'A source is an async iterable, an iterable, a Readable or a ReadableStream of events, or the Response of an event stream, got %s', 500, TypeError)

/** The source is the Response of another server with a status other than 2xx. `statusCode` is that status, or 502 for one below 400. */
export const SSE_ERR_UPSTREAM = createError<[number]>('SSE_ERR_UPSTREAM', 'The server whose event stream is passed on answered with status %d', 502)

/** The plugin is not registered on this app, or has not loaded yet. */
export const SSE_ERR_NOT_REGISTERED = createError<[string]>('SSE_ERR_NOT_REGISTERED', '%s needs the plugin: await the registration of fastify-sse-routes before it, or call it in app.after()')

/** The plugin is registered twice: on one instance, or on a parent and its child. */
export const SSE_ERR_REGISTERED = createError('SSE_ERR_REGISTERED', 'This instance, a parent or a child of it has fastify-sse-routes: each registration has separate streams and a separate log, so that events published to one do not reach the other. Register it once, in the instance that contains all routes and publishers')

/** `reply.sse()` was called on a reply that is sent, or that already is a stream. */
export const SSE_ERR_REPLY_SENT = createError('SSE_ERR_REPLY_SENT', 'reply.sse() can be called once, and only before the reply is sent')

/** `stream.send()` was called before the headers are sent, on a route with `openOn: 'first-event'`. */
export const SSE_ERR_NOT_OPEN = createError('SSE_ERR_NOT_OPEN', 'With openOn: \'first-event\' the stream opens with the first item of its source; until then only its signal can be used')

/** The request's Accept header rules out text/event-stream (RFC 9110, section 12.5.1). */
export const SSE_ERR_NOT_ACCEPTABLE = createError('SSE_ERR_NOT_ACCEPTABLE', 'This route answers with text/event-stream, which the Accept header rules out', 406)

/** The server closes before the stream has opened, or an event is published after it has closed. */
export const SSE_ERR_CLOSING = createError('SSE_ERR_CLOSING', 'The server is closing', 503)

/** `maxStreams` are open. The response is a 503 with Retry-After. */
export const SSE_ERR_TOO_MANY_STREAMS = createError('SSE_ERR_TOO_MANY_STREAMS', 'Too many event streams are open', 503)

/** The client has `maxStreamsPerClient.max` streams open. The response is a 429 with Retry-After. */
export const SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT = createError('SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT', 'Too many event streams are open for this client', 429)

/** The `cause` as the end of a message. Empty for an Error, because loggers such as pino append its message. */
export function ofCause (cause: unknown): string {
  return cause instanceof Error ? '' : `: ${describeValue(cause)}`
}

/** Returns an Error for any value that a callback threw. */
export function toError (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`An event stream's callback threw ${describeValue(thrown)}`, { cause: thrown })
}

/** The longest name or value in a message, characters, because messages are logged and may be sent to clients. */
const LONGEST = 40
/** The greatest number of names in a message. */
const MOST = 10

/** Shortens a text for a message. */
function cut (text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

/** Lists names in a message: the first ten and the number of the others. */
export function list (names: Iterable<string>): string {
  const all = [...names]
  const shown = all.slice(0, MOST).map(cut).join(', ')
  return all.length > MOST ? `${shown} and ${all.length - MOST} more` : shown
}

/**
 * Describes a refused value in a message: its type, and the value if it is short. Marks a promise as handled, because it
 * may reject and nobody awaits it.
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

/** The class name of an object; `Symbol.toStringTag` for a generator, which has no class name. */
function classOf ({ constructor, [Symbol.toStringTag]: tag }: { constructor?: Function, [Symbol.toStringTag]?: string }): string {
  return String(constructor?.name || tag || (constructor === undefined ? 'no prototype' : 'no name'))
}

/** Handles the rejection of a promise that nobody awaits, so that it does not end the process. */
function markHandled (promise: Promise<unknown>): void {
  promise.catch(() => {})
}
