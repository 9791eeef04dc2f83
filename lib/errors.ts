import { isPromise } from 'node:util/types'
import { createError } from '@fastify/error'

/** The error for a value that is not an event: a number, an array, a function, an object with an unknown field. Argument: the value. */
export const SSE_ERR_PAYLOAD = createError<[string]>('SSE_ERR_PAYLOAD', 'An event is a string or an object with no fields but id, event, comments, data and retry, got %s', 500, TypeError)

/** The error for an event with a field that the standard does not allow. Arguments: the field, the values it takes, its value. */
export const SSE_ERR_FIELD = createError<[string, string, string]>('SSE_ERR_FIELD', 'The field "%s" of an event takes %s, got %s', 500, TypeError)

/** The error for data of an event that cannot be serialized. `cause` is the error that the serializer threw, if any. */
export const SSE_ERR_SERIALIZATION = createError<[string, string]>('SSE_ERR_SERIALIZATION', 'The data of event %s cannot be serialized: %s')

/** The error if a call of a route's `payload` has not settled within `payloadTimeout` ms. A later result of the call is ignored. */
export const SSE_ERR_PAYLOAD_TIMEOUT = createError<[number]>('SSE_ERR_PAYLOAD_TIMEOUT', 'A call of "payload" has not settled within payloadTimeout (%d ms): its result is ignored')

/** The error for an event whose name is not in the `events` of the route, or of the definition of a topic. Arguments: the name, the route's or the topic's, the declared names. */
export const SSE_ERR_UNKNOWN_EVENT = createError<[string, string, string]>('SSE_ERR_UNKNOWN_EVENT', 'The event %s is not declared in %s, which holds %s')

/** The error for an `id` that the application set on an event whose id comes from the log of published events. */
export const SSE_ERR_CUSTOM_ID = createError<[string]>('SSE_ERR_CUSTOM_ID', 'Published events, and all events on a stream with topics, have their id from the log; got the id %s', 500, TypeError)

/** The error for a topic that is not a string, or is empty. Argument: the value. */
export const SSE_ERR_TOPIC = createError<[string]>('SSE_ERR_TOPIC', 'A topic is a string that is not empty, got %s', 500, TypeError)

/** The error for a client id, from `sendTo` or the option `clientId`, that is not a string or is empty. Argument: the value. */
export const SSE_ERR_CLIENT_ID = createError<[string]>('SSE_ERR_CLIENT_ID', 'A client id is a string that is not empty, got %s', 500, TypeError)

/** The error if the backplane fails. `cause` has the address of Redis and its error. The message omits both, because it may be sent to clients. */
export const SSE_ERR_BACKPLANE = createError<[string]>('SSE_ERR_BACKPLANE', 'The backplane failed: %s')

/** The error of `redisBackplane({ url })` if the optional package `redis` is not installed. */
export const SSE_ERR_NOT_INSTALLED = createError('SSE_ERR_NOT_INSTALLED', 'redisBackplane({ url }) needs the package "redis" (version 5 or 6), which is not installed: run "npm install redis", or give redisBackplane a client of ioredis')

/** The error for an option whose value has a wrong type or is out of range. Arguments: the option, the values it takes, its value. */
export const SSE_ERR_OPTION = createError<[string, string, string]>('SSE_ERR_OPTION', 'The option "%s" takes %s, got %s', 500, TypeError)

/** The error for an option that a call does not take. Arguments: the call (`sseRoute`), the option, and a hint, such as the right spelling or the call that takes it. */
export const SSE_ERR_UNKNOWN_OPTION = createError<[string, string, string]>('SSE_ERR_UNKNOWN_OPTION', '%s takes no option "%s": %s', 500, TypeError)

/** The error for options of a route that contradict each other. Arguments: method, URL, the mistake and its correction. */
export const SSE_ERR_ROUTE = createError<[string, string, string]>('SSE_ERR_ROUTE', 'The SSE route %s %s: %s', 500, TypeError)

/** The error for a schema in the option `events` that Fastify's serializer compiler refuses. `cause` is the compiler's error. */
export const SSE_ERR_SCHEMA = createError<[string, string, string]>('SSE_ERR_SCHEMA', 'The schema of event "%s" of %s cannot be compiled%s')

/** The error for a route's schema that @fastify/swagger cannot describe. `cause`: the error of its conversion to JSON Schema, if any. */
export const SSE_ERR_OPENAPI = createError<[string, string, string]>('SSE_ERR_OPENAPI', 'The schema "%s" of %s is not JSON Schema, and its library does not convert it for the document of @fastify/swagger%s: give the transform that converts it to this plugin as the option "openapi": { transform }', 500, TypeError)

/** The error if the result of a route's `source`, or the argument of `reply.sse()`, is not a source. Argument: the value. */
export const SSE_ERR_SOURCE = createError<[string]>('SSE_ERR_SOURCE', 'A source is an async iterable, an iterable, a Readable or a ReadableStream of events, or the Response of an event stream, got %s', 500, TypeError)

/** The error for a source that is a Response with a status other than 2xx. `statusCode` is that status, or 502 if it is below 400. */
export const SSE_ERR_UPSTREAM = createError<[number]>('SSE_ERR_UPSTREAM', 'The server whose event stream is passed on answered with status %d', 502)

/** The error of a call that needs the plugin, on an app without the plugin or before the plugin has loaded. Argument: the call. */
export const SSE_ERR_NOT_REGISTERED = createError<[string]>('SSE_ERR_NOT_REGISTERED', '%s needs the plugin: await the registration of fastify-sse-routes before it, or call it in app.after()')

/** The error of `register` if the plugin is registered twice: on one Fastify instance, or on an instance and its child. */
export const SSE_ERR_REGISTERED = createError('SSE_ERR_REGISTERED', 'This instance, a parent or a child of it has fastify-sse-routes: each registration has separate streams and a separate log, so that events published to one do not reach the other. Register it once, in the instance that contains all routes and publishers')

/** The error of `reply.sse()` if the reply is sent already, or `reply.sse()` was called on it before. */
export const SSE_ERR_REPLY_SENT = createError('SSE_ERR_REPLY_SENT', 'reply.sse() can be called once, and only before the reply is sent')

/** The error of `stream.send()` before the stream has opened, with the option `openOn: 'first-event'`. */
export const SSE_ERR_NOT_OPEN = createError('SSE_ERR_NOT_OPEN', 'With openOn: \'first-event\' the stream opens with the first item of its source; until then only its signal can be used')

/** The error (406) for a request whose Accept header excludes text/event-stream (RFC 9110, section 12.5.1). */
export const SSE_ERR_NOT_ACCEPTABLE = createError('SSE_ERR_NOT_ACCEPTABLE', 'This route answers with text/event-stream, which the Accept header rules out', 406)

/** The error (503) if the server closes before a stream has opened, or if an event is published after the server has closed. */
export const SSE_ERR_CLOSING = createError('SSE_ERR_CLOSING', 'The server is closing', 503)

/** The error for a request when `maxStreams` streams are open. The response is a 503 with the header Retry-After. */
export const SSE_ERR_TOO_MANY_STREAMS = createError('SSE_ERR_TOO_MANY_STREAMS', 'Too many event streams are open', 503)

/** The error for a client that has `maxStreamsPerClient.max` streams open. The response is a 429 with the header Retry-After. */
export const SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT = createError('SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT', 'Too many event streams are open for this client', 429)

/** The error (409) for a request with `onBusy: 'refuse'` whose run is going on. Argument: the key. */
export const SSE_ERR_RUN_BUSY = createError<[string]>('SSE_ERR_RUN_BUSY', 'A run with the key %s is going on', 409)

/** The error with which a run ends whose events have more than `maxBytes` bytes. Argument: `maxBytes`. */
export const SSE_ERR_RUN_TOO_LARGE = createError<[number]>('SSE_ERR_RUN_TOO_LARGE', 'The events of the run have more than maxBytes (%d) bytes')

/** Returns the last words of an error message, which name the cause. Returns `''` for an Error, because loggers such as pino add its message. */
export function ofCause (cause: unknown): string {
  return cause instanceof Error ? '' : `: ${describeValue(cause)}`
}

/** Returns the value that a callback threw if it is an Error; otherwise a new Error that has the value as `cause`. */
export function toError (thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(`An event stream's callback threw ${describeValue(thrown)}`, { cause: thrown })
}

/** Maximum length of a name or value in an error message, characters. Limited, because messages are logged and may be sent to clients. */
const LONGEST = 40
/** Maximum number of names that an error message lists. */
const MOST = 10

/** Returns a text for an error message, cut after 40 characters. */
function cut (text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

/** Returns a list of names for an error message: the first ten, and the number of the others. */
export function list (names: Iterable<string>): string {
  const all = [...names]
  const shown = all.slice(0, MOST).map(cut).join(', ')
  return all.length > MOST ? `${shown} and ${all.length - MOST} more` : shown
}

/**
 * Returns the words that describe a refused value in an error message: its type, or the value if it is a string, number or the
 * like, cut after 40 characters. Handles the rejection of a promise, because nothing awaits a refused value.
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

/** Returns the name of an object's class, or its `Symbol.toStringTag` if it has no class name, such as a generator. */
function classOf ({ constructor, [Symbol.toStringTag]: tag }: { constructor?: Function, [Symbol.toStringTag]?: string }): string {
  return String(constructor?.name || tag || (constructor === undefined ? 'no prototype' : 'no name'))
}

/** Handles the rejection of a promise that no code awaits, because an unhandled rejection would end the process. */
function markHandled (promise: Promise<unknown>): void {
  promise.catch(() => {})
}
