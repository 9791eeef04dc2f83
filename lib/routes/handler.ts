// Tested by test/issues/handlers-by-hand.test.ts
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyReply, RouteHandlerMethod } from 'fastify'
import type { EventStream } from '../stream/event-stream.js'
import { logLateFailure } from '../stream/late-failure.js'
import type { Callbacks } from './callbacks.js'
import { isThenable } from './thenable.js'

/** A stream that a handler made by `reply.sse()`, and the callbacks that report its failures. */
interface HandlerStream {
  stream: EventStream
  callbacks: Callbacks
}

/** Streams made by handlers, by their reply. */
export const streamsOfHandlers = new WeakMap<FastifyReply, HandlerStream>()

/** The channel to which Fastify publishes failures of handlers: https://fastify.dev/docs/latest/Reference/Hooks/#diagnostics-channel-hooks */
const FAILED = 'tracing:fastify.request.handler:error'
let watching = 0

/**
 * Aborts the streams of failing handlers on routes that were declared before the plugin was loaded, whose handlers cannot be
 * wrapped. Subscribes only if there are such routes, because with a subscriber Fastify makes an object for each request.
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
 * Wraps a handler so that a failure after `reply.sse()` aborts its stream. Neither the error nor the result reaches Fastify,
 * because Fastify could only log that the reply was sent already.
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

/** Returns the result of a handler, or undefined if the handler made a stream. */
function handOn (value: unknown, reply: FastifyReply): unknown {
  const made = streamsOfHandlers.get(reply)
  if (made === undefined) return value
  const { stream } = made
  if (value !== undefined && value !== reply && value !== stream) reply.log.warn('a handler returned a value after reply.sse(): it is ignored')
  // with `openOn: 'first-event'` the reply is not sent yet, and Fastify would send one without a body
  return stream.state === 'pending' ? stream.finished() : undefined
}

/** Aborts the stream of a failed handler. @returns false if the reply is not sent yet, so that Fastify replies with the error */
function abortStreamOf (reply: FastifyReply, error: unknown): boolean {
  const made = streamsOfHandlers.get(reply)
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
