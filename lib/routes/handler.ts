// Tested by test/issues/handlers-by-hand.test.ts
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyReply, RouteHandlerMethod } from 'fastify'
import type { EventStream } from '../stream/event-stream.js'
import { logLateFailure } from '../stream/late-failure.js'
import type { Callbacks } from './callbacks.js'
import { isThenable } from './thenable.js'

/** A stream that a handler made by `reply.sse()`, and the callbacks to which an error of that handler goes. */
interface HandlerStream {
  stream: EventStream
  callbacks: Callbacks
}

/** Holds the stream in a property of the reply, because a WeakMap would lengthen the garbage collections of young objects. */
const STREAM = Symbol('fastify-sse-routes.stream')

type ReplyWithStream = FastifyReply & { [STREAM]?: HandlerStream }

/** Stores the stream that the handler of a request made by `reply.sse()`, and its callbacks. */
export function setHandlerStream (reply: ReplyWithStream, made: HandlerStream): void {
  reply[STREAM] = made
}

/** Returns the stream that the handler of a request made by `reply.sse()`. Undefined if it made none. */
export function handlerStreamOf (reply: ReplyWithStream): HandlerStream | undefined {
  return reply[STREAM]
}

/** Name of the channel on which Fastify publishes each error of a handler: https://fastify.dev/docs/latest/Reference/Hooks/#diagnostics-channel-hooks */
const FAILED = 'tracing:fastify.request.handler:error'
let watching = 0

/**
 * Aborts the stream of a handler that fails, on routes that were declared before the plugin was loaded. `wrapHandler` cannot wrap
 * their handlers. Subscribes to `FAILED` only if such routes exist, because with a subscriber Fastify makes an object per request.
 */
export function watchEarlierRoutes (app: FastifyInstance): void {
  if (app.printRoutes().startsWith('(empty')) return
  if (watching++ === 0) subscribe(FAILED, onFailure)
  app.addHook('onClose', async () => {
    if (--watching === 0) unsubscribe(FAILED, onFailure)
  })
}

function onFailure (message: unknown): void {
  const { reply, error } = message as { reply: FastifyReply, error: unknown }
  abortStreamOf(reply, error)
}

/**
 * Returns a handler that calls `handler`. If `handler` fails after it called `reply.sse()`, aborts the stream. If the stream
 * is open, Fastify gets neither the error nor the result of `handler`, because Fastify could only log that the reply was sent already.
 */
export function wrapHandler (handler: RouteHandlerMethod): RouteHandlerMethod {
  return function (request, reply) {
    let returned: unknown
    try {
      returned = handler.call(this, request, reply)
    } catch (error) {
      if (abortStreamOf(reply, error)) return
      throw error
    }
    if (!isThenable(returned)) return handOn(returned, reply)
    return returned.then((value) => handOn(value, reply), (error) => {
      if (!abortStreamOf(reply, error)) throw error
    })
  }
}

/** Returns the result of a handler for Fastify: `value` unchanged or, if the handler called `reply.sse()`, nothing that Fastify would send. */
function handOn (value: unknown, reply: FastifyReply): unknown {
  const made = handlerStreamOf(reply)
  if (made === undefined) return value
  const { stream } = made
  if (value !== undefined && value !== reply && value !== stream) reply.log.warn('a handler returned a value after reply.sse(): it is ignored')
  // the promise makes Fastify wait while `openOn: 'first-event'` delays the reply: for undefined it would send a reply without a body
  return stream.state === 'pending' ? stream.finished() : undefined
}

/** Aborts the stream that a failed handler made. @returns false if there is no stream, or it has sent nothing yet. Fastify then replies with the error */
function abortStreamOf (reply: FastifyReply, error: unknown): boolean {
  const made = handlerStreamOf(reply)
  if (made === undefined) return false
  const { stream, callbacks } = made
  if (stream.state === 'pending') {
    stream.abort()
    return false
  }
  if (!stream.closed) callbacks.abort(error, stream)
  else if (error instanceof Error && error.name === 'AbortError') logLateFailure(error, stream.request)
  else callbacks.report(error, stream)
  return true
}
