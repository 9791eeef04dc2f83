import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyReply, RouteHandlerMethod } from 'fastify'
import { type Callbacks, logLateFailure } from './callbacks.js'
import { isThenable } from './interval.js'
import type { EventStream } from '../stream/event-stream.js'

/** A stream that a handler opened by `reply.sse()`, and the callbacks for its errors. */
interface HandlerStream {
  stream: EventStream
  callbacks: Callbacks
}

/** Streams that handlers opened, by their reply. */
export const streamsOfHandlers = new WeakMap<FastifyReply, HandlerStream>()

/** Diagnostics channel of Fastify for handlers that fail: https://fastify.dev/docs/latest/Reference/Hooks/#diagnostics-channel-hooks */
const FAILED = 'tracing:fastify.request.handler:error'
let watching = 0

/**
 * Aborts the streams of handlers that fail on routes declared before the plugin was loaded, because their handlers cannot be
 * wrapped any more. Apps without such routes have no subscriber, because with one Fastify creates an object for each request.
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
 * Wraps a handler so that its stream is aborted if it fails after `reply.sse()`. Fastify gets neither the error nor the returned
 * value then, because it could only log that the reply is sent already.
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

/** Returns the value that Fastify gets from a handler: the one that it returned, or nothing if it opened a stream. */
function handOn (value: unknown, reply: FastifyReply): unknown {
  const made = streamsOfHandlers.get(reply)
  if (made === undefined) return value
  const { stream } = made
  if (value !== undefined && value !== reply && value !== stream) reply.log.warn('a handler returned a value after reply.sse(): it is ignored')
  // with openOn: 'first-event' the reply is not sent yet, and Fastify would send an empty one for undefined
  return stream.responded ? undefined : stream.finished()
}

/** Aborts the stream of a handler that failed. @returns whether the error is reported; false before the reply is sent, so that Fastify answers with it */
function abortStreamOf (reply: FastifyReply, error: unknown): boolean {
  const made = streamsOfHandlers.get(reply)
  if (made === undefined) return false
  const { stream, callbacks } = made
  if (!stream.responded) {
    stream.abort()
    return false
  }
  if (!stream.closed) callbacks.abort(error, stream)
  else if (error instanceof Error && error.name === 'AbortError') logLateFailure(error, stream.request)
  else callbacks.report(error, stream)
  return true
}
