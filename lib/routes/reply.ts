import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply } from 'fastify'
import { Callbacks } from './callbacks.js'
import { isEventStream, markEventStream } from '../stream/reply-payload.js'
import { SSE_ERR_REPLY_SENT } from '../errors.js'
import { handlerStreamOf, setHandlerStream } from './handler.js'
import { validClientId } from '../topic.js'
import { readReplyOptions, type ReplySettings } from '../options/read.js'
import type { StreamOwner } from '../stream/contracts.js'
import type { Plugin } from './plugin.js'
import { isSource, Source } from './source.js'
import { SourceDelivery } from './source-delivery.js'
import { openRun } from './open-run.js'
import { RunStreamOwner } from './reply-run.js'
import { runSource } from './run-source.js'
import { RunStream } from './run-stream.js'
import type { SSERunContext } from '../runs/store.js'
import { readLastEventId } from '../stream/headers.js'
import { isThenable } from './thenable.js'
import { EventStream } from '../stream/event-stream.js'
import { compileSettings } from '../stream/settings.js'
import type { SSEStream } from '../types.js'

/**
 * Implements `reply.sse()`: returns a stream that the handler writes to, or sends all items of a source and returns a promise.
 * @throws SSE_ERR_REPLY_SENT, SSE_ERR_SOURCE, SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_CLIENT_ID, the errors of the limits
 */
export function replyWithStream (plugin: Plugin, reply: FastifyReply, first?: unknown, second?: unknown): SSEStream | Promise<void> {
  if (reply.sent || handlerStreamOf(reply) !== undefined) throw new SSE_ERR_REPLY_SENT()
  if (typeof first === 'function') return streamSource(plugin, reply, (stream) => new Source(sourceOf(first(stream)), reply.request), second)
  if (!isSource(first)) return openManualStream(plugin, reply, first === undefined ? second : first)
  const source = new Source(first, reply.request)
  try {
    return streamSource(plugin, reply, source, second)
  } catch (error) {
    source.stop()
    throw error
  }
}

function openManualStream (plugin: Plugin, reply: FastifyReply, options: unknown): SSEStream {
  const settings = options === undefined ? null : readReplyOptions(plugin.settings.stream, options, false)
  const owner = settings === null ? plugin.manualStreamOwner : new ManualStreamOwner(new Callbacks(plugin.settings.callbacks, reply.server, settings))
  const stream = makeStream(plugin, reply, owner, settings)
  setHandlerStream(reply, { stream, callbacks: owner.callbacks })
  respond(stream, reply)
  return stream
}

/**
 * Sends all items of a source as the reply. The promise resolves once the response has closed and the source has finished.
 * @param source a source, which is stopped even if the stream never opens; or a function that returns a source. The function is
 * called when the stream has opened; with `openOn: 'first-event'`, before the stream opens
 */
function streamSource (plugin: Plugin, reply: FastifyReply, source: Source | ((stream: SSEStream) => Source), options: unknown = {}): Promise<void> {
  const settings = readReplyOptions(plugin.settings.stream, options, true)
  const callbacks = new Callbacks(plugin.settings.callbacks, reply.server, settings)
  if (settings.resumable !== undefined) return streamRun(plugin, reply, source, settings, callbacks)
  const delivery = new SourceDelivery(source instanceof Source ? () => source : source, settings, callbacks)
  const stream = makeStream(plugin, reply, new SourceStreamOwner(delivery, callbacks), settings)
  setHandlerStream(reply, { stream, callbacks })
  if (source instanceof Source) delivery.open(stream)
  const over = stream.closed ? delivery.stop() ?? Promise.resolve() : stream.finished()
  stream.producer = delivery
  if (settings.openOn === 'first-event' && !stream.closed) delivery.startOnFirst(stream, reply, plugin.registry)
  else respond(stream, reply)
  return over.then(() => delivery.finished(plugin.settings.drain.timeout))
}

/** Sends the run of a source as the reply, and starts it unless it is going on. The promise resolves once the response has closed. */
async function streamRun (plugin: Plugin, reply: FastifyReply, source: Source | ((stream: SSEStream) => Source), settings: ReplySettings, callbacks: Callbacks): Promise<void> {
  const { resumable = null } = settings
  const owner = new RunStreamOwner(callbacks)
  let isStarted = false
  let stream: EventStream | null
  try {
    stream = await openRun(plugin.runs, {
      key: resumable?.key,
      lastEventId: readLastEventId(reply.request),
      settings: resumable,
      createStream: prepareStream(plugin, reply, owner, settings),
      sourceOf (stream) {
        isStarted = true
        const open = (run: SSERunContext) => source instanceof Source ? source : source(new RunStream(run, stream))
        return runSource(settings, stream.settings, { open, onError: (error) => callbacks.lastOfRun(error, stream) })
      }
    })
  } finally {
    // a run was going on, or the request is refused
    if (!isStarted && source instanceof Source) source.stop()
  }
  if (stream === null) {
    reply.code(204).send()
    return
  }
  setHandlerStream(reply, { stream, callbacks })
  respond(stream, reply)
  await stream.finished()
}

function makeStream (plugin: Plugin, reply: FastifyReply, owner: StreamOwner<EventStream>, own: ReplySettings | null): EventStream {
  return prepareStream(plugin, reply, owner, own)()
}

/** Calls the functions of the application that a stream needs, and counts it in the limits. Returns a function that creates the stream. */
function prepareStream ({ registry, limits, settings, streamSettings }: Plugin, reply: FastifyReply, owner: StreamOwner<EventStream>, own: ReplySettings | null): () => EventStream {
  limits.admit(reply)
  const clientId = settings.clientId && validClientId(settings.clientId(reply.request))
  return () => new EventStream(registry, owner, reply, own === null ? streamSettings : compileSettings(own.settings), clientId)
}

function respond (stream: EventStream, reply: FastifyReply): void {
  markEventStream(reply)
  flushBeforeEnd(reply, stream)
  stream.respond()
  // hijacked, because otherwise Fastify would send the return value of an async handler while onSend hooks still run
  reply.hijack()
}

/** Replaces `end` of a response. If other code calls it, such as the exception filter of NestJS, first writes the stream's buffered events. */
function flushBeforeEnd ({ raw }: FastifyReply, stream: EventStream): void {
  const { end } = raw
  Object.assign(raw, {
    end (...args: unknown[]) {
      return stream.flush() ? Reflect.apply(end, raw, args) : raw
    }
  })
}

/** Returns the source that a function given to `reply.sse()` returned. For undefined returns an empty source, with which the stream closes. */
function sourceOf (given: unknown): unknown {
  if (given === undefined) return []
  return isThenable(given) ? given.then(sourceOf) : given
}

/** Sends an HTTP error if an onSend hook fails before an event stream opens. Fastify does not send the error, because the reply is hijacked. */
export function sendRefusal (reply: FastifyReply, error: FastifyError): void {
  if (!isEventStream(reply) || reply.raw.headersSent) return
  const { statusCode = 500, code, message } = error
  reply.raw.statusCode = statusCode
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined && name !== 'content-length' && name !== 'content-encoding') trySetHeader(reply, name, value)
  }
  reply.raw.setHeader('content-type', 'application/json; charset=utf-8')
  reply.raw.end(JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message }))
}

/** Sets a header of an error response. If Node refuses the header, only logs this, because an invalid header may be the cause of the error response. */
function trySetHeader ({ raw, log }: FastifyReply, name: string, value: string | number | string[]): void {
  try {
    raw.setHeader(name, value)
  } catch (error) {
    log.debug({ err: error }, 'a header is left out of the answer to a failed event stream')
  }
}

/**
 * Calls the callbacks of a stream that a handler writes to. Starts to send published events only after the tick of `reply.sse()`.
 * In that tick the handler can subscribe the stream to topics. The missed events of all these topics are then replayed.
 */
export class ManualStreamOwner implements StreamOwner<EventStream> {
  readonly callbacks: Callbacks

  constructor (callbacks: Callbacks) {
    this.callbacks = callbacks
  }

  onOpen (stream: EventStream): void {
    this.callbacks.connected(stream, startDelivery)
  }

  onClose (stream: EventStream): Promise<unknown> | undefined {
    return this.callbacks.disconnected(stream)
  }
}

function startDelivery (stream: EventStream): void {
  process.nextTick(() => { if (!stream.closed) stream.startDelivery() })
}

/** Handles the opening of a stream of `reply.sse(source)`: calls its callbacks, replays missed events, then sends the source. */
class SourceStreamOwner implements StreamOwner<EventStream> {
  readonly #delivery: SourceDelivery
  readonly #callbacks: Callbacks

  constructor (delivery: SourceDelivery, callbacks: Callbacks) {
    this.#delivery = delivery
    this.#callbacks = callbacks
  }

  onOpen (stream: EventStream): void {
    this.#callbacks.connected(stream, () => this.#start(stream))
  }

  async #start (stream: EventStream): Promise<void> {
    try {
      // reads before the replay, because this calls the application's function, which may subscribe the stream to topics
      this.#delivery.readFirst(stream)
      await stream.startDelivery()
    } catch (error) {
      await this.#callbacks.abort(error, stream)
    }
    await this.#delivery.run(stream)
  }

  onClose (stream: EventStream): Promise<unknown> | undefined {
    return this.#callbacks.disconnected(stream)
  }
}
