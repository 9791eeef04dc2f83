import { AsyncResource } from 'node:async_hooks'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import Negotiator from 'negotiator'
import { Callbacks } from './callbacks.js'
import { toError, SSE_ERR_NOT_ACCEPTABLE, SSE_ERR_OPTION, describeValue } from '../errors.js'
import { OwnInterval, type PayloadCaller, SharedInterval } from './interval.js'
import type { PayloadCall } from './payload-call.js'
import type { Limits } from './limits.js'
import type { Plugin } from './plugin.js'
import { validClientId } from '../topic.js'
import type { RouteDeclaration } from '../options/read.js'
import type { StreamOwner } from '../stream/contracts.js'
import { compileEvents, declaredText } from '../event/serializers.js'
import { type ItemKind, Source } from './source.js'
import { SourceDelivery } from './source-delivery.js'
import { EventStream } from '../stream/event-stream.js'
import { type CompiledSettings, compileSettings, type StreamSettings } from '../stream/settings.js'
import { RouteTopics } from './route-topics.js'
import { RunReader } from '../runs/reader.js'
import { openRun } from './open-run.js'
import { sendRun } from './reply-run.js'
import { runSource } from './run-source.js'
import { RunStream } from './run-stream.js'
import type { RunSource } from '../runs/producer.js'
import { readLastEventId } from '../stream/headers.js'
import { isThenable } from './thenable.js'

const EVENT_STREAM = 'text/event-stream'
/** Content types that a request's Accept header may allow. UTF-8 is the only charset (https://html.spec.whatwg.org/multipage/iana.html#text/event-stream). */
const ACCEPTABLE = [EVENT_STREAM, `${EVENT_STREAM};charset=utf-8`]

/** A route that `app.sseRoute` declared. Makes a stream for each request, fed by the interval, source or topics in the route's options. */
export class Route implements StreamOwner<EventStream>, PayloadCaller {
  readonly declared: RouteDeclaration
  /** The async context in which the route was declared. If several streams share the result of `payload`, `payload` is called in this context. */
  readonly scope = new AsyncResource('fastify-sse-routes.route')
  readonly onGap: StreamOwner<EventStream>['onGap']
  readonly #app: FastifyInstance
  readonly #plugin: Plugin
  readonly #callbacks: Callbacks
  readonly #limits: Limits
  readonly #shared = new Map<string | number, SharedInterval>()
  readonly #topics: RouteTopics | undefined
  #streamSettings: CompiledSettings

  constructor (app: FastifyInstance, plugin: Plugin, declared: RouteDeclaration, streamSettings: StreamSettings) {
    this.#app = app
    this.#plugin = plugin
    this.#limits = plugin.limits.ofRoute(declared)
    this.declared = declared
    this.#callbacks = new Callbacks(plugin.settings.callbacks, app, declared)
    this.#streamSettings = compileSettings(streamSettings)
    const { onGap } = declared
    this.onGap = onGap && ((gap, stream) => this.#callbacks.inPlaceOfGap(() => onGap.call(app, gap, stream.request, stream), stream))
    if (declared.topics !== undefined) this.#topics = new RouteTopics(app, declared.topics)
  }

  /** Whether the route may send the event `gap`, which tells a client that it has missed events. */
  get gaps (): boolean {
    const { topics, clientId = this.#plugin.settings.clientId } = this.declared
    return topics !== undefined || clientId !== undefined || this.#streamSettings.overflow === 'drop'
  }

  /** Descriptions of the responses without an event stream, by status, for the OpenAPI document. */
  get otherResponses (): Record<string, string> {
    const { resumable, resume } = this.declared
    if (resumable === undefined && resume === undefined) return {}
    const none = resume === undefined ? 'The client has read all events of the run' : 'There is no run, or the client has read all its events'
    return resumable?.onBusy === 'refuse' ? { 204: none, 409: 'A run with this key is going on' } : { 204: none }
  }

  get payloadTimeout (): number { return this.declared.payloadTimeout }

  get items (): ItemKind { return this.declared.items }

  /** Compiles the schemas in `events` to serializers. Called by the plugin's onReady hook. @throws SSE_ERR_SCHEMA */
  compile (route: RouteOptions): void {
    const { events } = this.declared
    if (events !== undefined) this.#streamSettings = { ...this.#streamSettings, writeData: compileEvents(this.#app, route, events), writeText: declaredText(events) }
  }

  /** Handles a request of the route: opens a stream. If an error is thrown before the stream opens, the client gets an ordinary HTTP error response. */
  handle (request: FastifyRequest, reply: FastifyReply): void {
    const { method, headers: { accept } } = request
    if (accept && accept !== EVENT_STREAM && this.#isStrict(method) && new Negotiator(request.raw).mediaTypes(ACCEPTABLE).length === 0) throw new SSE_ERR_NOT_ACCEPTABLE()
    if (method === 'HEAD') {
      new EventStream(this.#plugin.registry, this, reply, this.#streamSettings).respond()
      return
    }
    this.#limits.admit(reply)
    if (this.declared.resumable ?? this.declared.resume) {
      this.#openRun(request, reply)
      return
    }
    const topics = this.#topics?.of(request)
    if (isThenable(topics)) this.#awaitTopics(topics, request, reply)
    else this.#respond(request, reply, topics)
  }

  #isStrict (method: string): boolean {
    const { accept = method === 'GET' || method === 'HEAD' ? 'strict' : 'any' } = this.declared
    return accept === 'strict'
  }

  async #awaitTopics (topics: Promise<ReadonlySet<string>>, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    try {
      // `settled` resolves to false if the client has disconnected, or Fastify's handlerTimeout has replied
      if (await this.#plugin.pendingRequests.settled(topics, reply) && !reply.sent) this.#respond(request, reply, await topics)
    } catch (error) {
      reply.send(toError(error))
    }
  }

  /** Opens a stream that reads a run. Replies 204, with which an EventSource does not reconnect, if there is nothing to read. */
  async #openRun (request: FastifyRequest, reply: FastifyReply): Promise<void> {
    try {
      const { resume, resumable } = this.declared
      const opening = openRun(this.#plugin.runs, {
        key: (resume ?? resumable?.key)?.call(this.#app, request),
        lastEventId: readLastEventId(request),
        createStream: this.#streamFor(request, reply),
        settings: resumable ?? null,
        sourceOf: (stream) => this.#runSource(request, stream)
      })
      if (!await this.#plugin.pendingRequests.settled(opening, reply) || reply.sent) return
      const stream = await opening
      if (stream === null) reply.code(204).send()
      else stream.respond()
    } catch (error) {
      reply.send(toError(error))
    }
  }

  #runSource (request: FastifyRequest, stream: EventStream): RunSource {
    return runSource(this.declared, stream.settings, {
      open: (run) => new Source(this.declared.source?.call(this.#app, request, new RunStream(run, stream)), request),
      onError: (error) => this.#callbacks.lastOfRun(error, stream)
    })
  }

  /** Calls the functions of the application that a stream needs. Returns a function that creates the stream. */
  #streamFor (request: FastifyRequest, reply: FastifyReply): () => EventStream {
    const { clientId = this.#plugin.settings.clientId, expires } = this.declared
    const id = clientId === undefined ? clientId : validClientId(clientId.call(this.#app, request))
    const expiresAt = validTime(expires?.call(this.#app, request))
    return () => {
      const stream = new EventStream(this.#plugin.registry, this, reply, this.#streamSettings, id)
      stream.expiresAt = expiresAt
      return stream
    }
  }

  #respond (request: FastifyRequest, reply: FastifyReply, topics: ReadonlySet<string> | undefined): void {
    const { registry } = this.#plugin
    const { shared, source, openOn } = this.declared
    const key = typeof shared === 'function' ? shared.call(this.#app, request) : ''
    if (typeof key !== 'string' && typeof key !== 'number') throw new SSE_ERR_OPTION('shared', 'a function that returns a string or a number', `one that returned ${describeValue(key)}`)
    const stream = this.#streamFor(request, reply)()
    if (topics !== undefined) stream.addTopics(topics, this.declared.rewind === 'all' ? Infinity : this.declared.rewind)
    // starts no source or interval for a client that has disconnected, because nothing would stop it
    if (!stream.closed) {
      if (source !== undefined) {
        const delivery = new SourceDelivery((stream) => new Source(source.call(this.#app, request, stream), request), this.declared, this.#callbacks)
        stream.producer = delivery
        if (openOn === 'first-event') {
          delivery.startOnFirst(stream, reply, registry)
          return
        }
      } else if (shared) {
        this.#sharedBy(key).reserve(stream)
      }
    }
    stream.respond()
  }

  onOpen (stream: EventStream): void {
    this.#callbacks.connected(stream, this.#startDelivery)
  }

  onClose (stream: EventStream): Promise<unknown> | undefined {
    return this.#callbacks.disconnected(stream)
  }

  payload (stream: EventStream, call: PayloadCall): unknown {
    return this.declared.payload?.call(this.#app, stream.request, stream, call)
  }

  /** Calls `onError` with an error of `payload`. If `stream` has closed, does so only with `shared`, because the error concerns other streams too. */
  failed (error: unknown, stream: EventStream): void {
    if (this.declared.shared) this.#callbacks.report(error, stream)
    else this.#callbacks.reportIfOpen(error, stream)
  }

  #startDelivery = (stream: EventStream): void => {
    const replay = stream.startDelivery()
    if (replay === null) this.#produce(stream)
    else this.#produceAfter(replay, stream)
  }

  async #produceAfter (replay: Promise<void>, stream: EventStream): Promise<void> {
    await replay
    if (!stream.closed) this.#produce(stream)
  }

  #produce (stream: EventStream): void {
    const { interval, payload, immediate = true } = this.declared
    const { producer } = stream
    if (producer instanceof SourceDelivery) {
      producer.run(stream)
    } else if (producer instanceof RunReader) {
      sendRun(stream, this.#callbacks)
    } else if (producer instanceof SharedInterval) {
      producer.join(stream)
    } else if (payload !== undefined && interval !== undefined) {
      const own = new OwnInterval(this, this.#plugin.registry.timers, interval, stream)
      stream.producer = own
      own.start(immediate)
    }
  }

  #sharedBy (key: string | number): SharedInterval {
    const { interval = 0, immediate = true } = this.declared
    let shared = this.#shared.get(key)
    if (shared === undefined) {
      shared = new SharedInterval(this, this.#plugin.registry.timers, interval, immediate, () => this.#shared.delete(key))
      this.#shared.set(key, shared)
    }
    return shared
  }
}

/** Returns the result of the option `expires` in ms since the epoch. @throws SSE_ERR_OPTION if it is no time */
function validTime (time: unknown): number | null {
  if (time === undefined) return null
  const ms = time instanceof Date ? time.getTime() : time
  if (typeof ms !== 'number' || Number.isNaN(ms)) throw new SSE_ERR_OPTION('expires', 'a function that returns a Date, ms since the epoch or undefined', `one that returned ${describeValue(time)}`)
  return ms
}
