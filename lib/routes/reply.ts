import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply } from 'fastify'
import { Callbacks } from './callbacks.js'
import { eventStreamReplies } from '../stream/reply-payload.js'
import { SSE_ERR_REPLY_SENT } from '../errors.js'
import { streamsOfHandlers } from './handler.js'
import { validClientId } from '../topic.js'
import { readReplyOptions, type ReplySettings } from '../options/read.js'
import type { StreamOwner } from '../stream/contracts.js'
import type { Plugin } from './plugin.js'
import { isSource, Source } from './source.js'
import { SourceDelivery } from './source-delivery.js'
import { isThenable } from './thenable.js'
import { EventStream } from '../stream/event-stream.js'
import { compileSettings } from '../stream/settings.js'
import type { SSEStream } from '../types.js'

/**
 * `reply.sse()`: a stream to write by hand, or a promise for a source or a function, which is streamed to its end.
 * @throws SSE_ERR_REPLY_SENT, SSE_ERR_SOURCE, SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_CLIENT_ID, what limits throw
 */
export function replyWithStream (plugin: Plugin, reply: FastifyReply, first?: unknown, second?: unknown): SSEStream | Promise<void> {
  if (reply.sent || streamsOfHandlers.has(reply)) throw new SSE_ERR_REPLY_SENT()
  if (typeof first === 'function') return streamToEnd(plugin, reply, (stream) => new Source(sourceOf(first(stream)), reply.request), second)
  if (!isSource(first)) return streamByHand(plugin, reply, first === undefined ? second : first)
  const source = new Source(first, reply.request)
  try {
    return streamToEnd(plugin, reply, source, second)
  } catch (error) {
    source.stop()
    throw error
  }
}

function streamByHand (plugin: Plugin, reply: FastifyReply, options: unknown): SSEStream {
  const settings = options === undefined ? null : readReplyOptions(plugin.settings.stream, options, false)
  const owner = settings === null ? plugin.manualStreamOwner : new ManualStreamOwner(new Callbacks(plugin.settings.callbacks, reply.server, settings))
  const stream = makeStream(plugin, reply, owner, settings)
  streamsOfHandlers.set(reply, { stream, callbacks: owner.callbacks })
  respond(stream, reply)
  return stream
}

/**
 * @param source or a function that gives it, once the stream is open, or before with `openOn: 'first-event'`; a source
 * that is there already is stopped also where the stream closes before
 */
function streamToEnd (plugin: Plugin, reply: FastifyReply, source: Source | ((stream: EventStream) => Source), options: unknown = {}): Promise<void> {
  const settings = readReplyOptions(plugin.settings.stream, options, true)
  const callbacks = new Callbacks(plugin.settings.callbacks, reply.server, settings)
  const delivery = new SourceDelivery(source instanceof Source ? () => source : source, settings, callbacks)
  const stream = makeStream(plugin, reply, new SourceStreamOwner(delivery, callbacks), settings)
  streamsOfHandlers.set(reply, { stream, callbacks })
  if (source instanceof Source) delivery.open(stream)
  const over = stream.closed ? delivery.stop() : stream.finished()
  stream.producer = delivery
  if (settings.openOn === 'first-event' && !stream.closed) delivery.startOnFirst(stream, reply, plugin.registry)
  else respond(stream, reply)
  return over.then(() => delivery.finished(plugin.settings.drain.timeout))
}

function makeStream ({ registry, limits, settings, streamSettings }: Plugin, reply: FastifyReply, owner: StreamOwner<EventStream>, own: ReplySettings | null): EventStream {
  limits.admit(reply)
  const { clientId } = settings
  return new EventStream(registry, owner, reply, own === null ? streamSettings : compileSettings(own.settings), clientId === undefined ? clientId : validClientId(clientId(reply.request)))
}

function respond (stream: EventStream, reply: FastifyReply): void {
  eventStreamReplies.add(reply)
  flushBeforeEnd(reply, stream)
  stream.respond()
  // or else Fastify would send what an async handler returns, while onSend hooks still run
  reply.hijack()
}

/** Code that ends the response itself, as NestJS' exception filter does, loses nothing that was sent before. */
function flushBeforeEnd ({ raw }: FastifyReply, stream: EventStream): void {
  const { end } = raw
  Object.assign(raw, {
    end (...args: unknown[]) {
      return stream.flush() ? Reflect.apply(end, raw, args) : raw
    }
  })
}

/** The source that a function gave: without one, the stream is over when the function is. */
function sourceOf (given: unknown): unknown {
  if (given === undefined) return []
  return isThenable(given) ? given.then(sourceOf) : given
}

/** The answer to a request whose onSend hook refused the stream, or cannot pass it on: Fastify cannot give it, since the reply is taken. */
export function sendRefusal (reply: FastifyReply, error: FastifyError): void {
  if (!eventStreamReplies.has(reply) || reply.raw.headersSent) return
  const { statusCode = 500, code, message } = error
  reply.raw.statusCode = statusCode
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined && name !== 'content-length' && name !== 'content-encoding') trySetHeader(reply, name, value)
  }
  reply.raw.setHeader('content-type', 'application/json; charset=utf-8')
  reply.raw.end(JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message }))
}

/** A header that Node refuses may be what the error is about. */
function trySetHeader ({ raw, log }: FastifyReply, name: string, value: string | number | string[]): void {
  try {
    raw.setHeader(name, value)
  } catch (error) {
    log.debug({ err: error }, 'a header is left out of the answer to a failed event stream')
  }
}

/** Declares a stream that a handler writes to: its topics count as declared until the handler's tick is over. */
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

/** Declares a stream of a source, or of a function that gives one. */
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
      // before the replay, because a function, up to its first item, may subscribe the stream
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
