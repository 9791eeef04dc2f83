import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, FastifyReply, RouteHandlerMethod } from 'fastify'
import type { EventStream } from '../stream/event-stream.js'
import { logLateFailure } from '../stream/late-failure.js'
import type { Callbacks } from './callbacks.js'
import { isThenable } from './thenable.js'

/** A stream that a handler made by `reply.sse()`, and where its failures go. */
interface HandlerStream {
  stream: EventStream
  callbacks: Callbacks
}

/** The streams that handlers made, by their reply. */
export const streamsOfHandlers = new WeakMap<FastifyReply, HandlerStream>()

/** Channel on which Fastify tells of a handler that fails: https://fastify.dev/docs/latest/Reference/Hooks/#diagnostics-channel-hooks */
const FAILED = 'tracing:fastify.request.handler:error'
let watching = 0

/**
 * Aborts the streams of handlers that fail on routes declared before the plugin was loaded, which cannot be wrapped any
 * more. Apps without such routes do without: with a subscriber, Fastify keeps an object for each request.
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
 * A handler that fails after `reply.sse()` aborts its stream. Fastify gets neither its error nor what it returns, because
 * it could only log that the reply is sent already.
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

/** What Fastify gets of the value that a handler returns: nothing, if it made a stream. */
function handOn (value: unknown, reply: FastifyReply): unknown {
  const made = streamsOfHandlers.get(reply)
  if (made === undefined) return value
  const { stream } = made
  if (value !== undefined && value !== reply && value !== stream) reply.log.warn('a handler returned a value after reply.sse(): it is ignored')
  // where the first event is awaited, the reply is not sent yet, and Fastify would send one without a body
  return stream.state === 'pending' ? stream.finished() : undefined
}

/** @returns whether the error is reported; not where the stream has not started, so that Fastify can answer with it */
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
