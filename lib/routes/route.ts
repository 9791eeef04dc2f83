import { AsyncResource } from 'node:async_hooks'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import Negotiator from 'negotiator'
import { Callbacks } from './callbacks.js'
import { toError, SSE_ERR_NOT_ACCEPTABLE, SSE_ERR_OPTION, describeValue } from '../errors.js'
import type { Hub } from '../pubsub/hub.js'
import { isThenable, OwnInterval, type PayloadCaller, SharedInterval } from './interval.js'
import type { PayloadCall } from './payload-call.js'
import type { Limits } from './limits.js'
import type { ManualStreamOwner } from './reply.js'
import { validClientId, validTopics } from '../topic.js'
import { type PluginSettings, type RouteDeclaration, type StreamOptions, streamOptions } from '../options/read.js'
import type { StreamOwner } from '../stream/contracts.js'
import { compileEvents, declaredText } from '../event/serializers.js'
import { type ItemKind, Source } from './source.js'
import { SourceDelivery } from './source-delivery.js'
import { EventStream } from '../stream/event-stream.js'

/** The plugin that a route belongs to. */
export interface Plugin {
  hub: Hub
  limits: Limits
  settings: PluginSettings
  /** The options of a stream that has none of its own. */
  stream: StreamOptions
  /** Owner of the streams that handlers write to without options. */
  manualStreamOwner: ManualStreamOwner
}

const EVENT_STREAM = 'text/event-stream'
/** The standard's only encoding may be named (https://html.spec.whatwg.org/multipage/iana.html#text/event-stream). */
const ACCEPTABLE = [EVENT_STREAM, `${EVENT_STREAM};charset=utf-8`]

/** A route that answers with event streams: asks its callbacks for what it sends, and tells them what fails. */
export class Route implements StreamOwner<EventStream>, PayloadCaller {
  readonly declared: RouteDeclaration
  /** The async context in which the route was declared: that of payloads that many clients share. */
  readonly scope = new AsyncResource('fastify-sse-routes.route')
  readonly #app: FastifyInstance
  readonly #plugin: Plugin
  readonly #callbacks: Callbacks
  readonly #limits: Limits
  readonly #shared = new Map<string | number, SharedInterval>()
  readonly #topics: ReadonlySet<string> | undefined
  #stream: StreamOptions

  constructor (app: FastifyInstance, plugin: Plugin, declared: RouteDeclaration, stream: PluginSettings['stream']) {
    this.#app = app
    this.#plugin = plugin
    this.#limits = plugin.limits.ofRoute(declared)
    this.declared = declared
    this.#callbacks = new Callbacks(plugin.settings.callbacks, app, declared)
    this.#stream = streamOptions(stream)
    if (Array.isArray(declared.topics)) this.#topics = validTopics(declared.topics)
  }

  /** Whether its streams may be sent a `gap`, which it does not declare. */
  get gaps (): boolean {
    const { topics, clientId = this.#plugin.settings.clientId } = this.declared
    return topics !== undefined || clientId !== undefined || this.#stream.overflow === 'drop'
  }

  get payloadTimeout (): number { return this.declared.payloadTimeout }

  get items (): ItemKind { return this.declared.items }

  /** The app is ready: compiles the schemas of the declared events. @throws SSE_ERR_SCHEMA */
  compile (route: RouteOptions): void {
    const { events } = this.declared
    if (events !== undefined) this.#stream = { ...this.#stream, writeData: compileEvents(this.#app, route, events), writeText: declaredText(events) }
  }

  /** Fastify's handler: whatever is thrown before the stream opens is an ordinary HTTP error. */
  handle (request: FastifyRequest, reply: FastifyReply): void {
    const { hub } = this.#plugin
    const { method, headers: { accept } } = request
    if (accept && accept !== EVENT_STREAM && this.#isStrict(method) && new Negotiator(request.raw).mediaTypes(ACCEPTABLE).length === 0) throw new SSE_ERR_NOT_ACCEPTABLE()
    if (method === 'HEAD') {
      new EventStream(hub, this, reply, this.#stream).respond()
      return
    }
    this.#limits.admit(reply)
    const { topics } = this.declared
    if (typeof topics !== 'function') {
      this.#respond(request, reply, this.#topics)
      return
    }
    const given = topics.call(this.#app, request)
    if (isThenable(given)) this.#awaitTopics(given, request, reply)
    else this.#respond(request, reply, validTopics(given))
  }

  #isStrict (method: string): boolean {
    const { accept = method === 'GET' || method === 'HEAD' ? 'strict' : 'any' } = this.declared
    return accept === 'strict'
  }

  async #awaitTopics (given: PromiseLike<readonly string[]>, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    try {
      const topics = Promise.resolve(given)
      // false: the client has left, or Fastify's handlerTimeout has answered
      if (await this.#plugin.hub.pending.settled(topics, reply) && !reply.sent) this.#respond(request, reply, validTopics(await topics))
    } catch (error) {
      reply.send(toError(error))
    }
  }

  #respond (request: FastifyRequest, reply: FastifyReply, topics: ReadonlySet<string> | undefined): void {
    const { hub, settings } = this.#plugin
    const { clientId = settings.clientId, shared, source, openOn, items, end } = this.declared
    const id = clientId === undefined ? clientId : validClientId(clientId.call(this.#app, request))
    const key = typeof shared === 'function' ? shared.call(this.#app, request) : ''
    if (typeof key !== 'string' && typeof key !== 'number') throw new SSE_ERR_OPTION('shared', 'a function that returns a string or a number', `one that returned ${describeValue(key)}`)
    const stream = new EventStream(hub, this, reply, this.#stream, id)
    if (topics !== undefined) stream.follow(topics)
    // a client that has left takes no place among those that are counted, so nothing is begun for it
    if (!stream.closed) {
      if (source !== undefined) {
        const delivery = new SourceDelivery((stream) => new Source(source.call(this.#app, request, stream), request), { items, end }, this.#callbacks)
        stream.producer = delivery
        if (openOn === 'first-event') {
          delivery.startOnFirst(stream, reply, hub)
          return
        }
      } else if (shared) {
        this.#sharedBy(key).reserve(stream)
      }
    }
    stream.respond()
  }

  opened (stream: EventStream): void {
    this.#callbacks.connected(stream, this.#begin)
  }

  closed (stream: EventStream): Promise<unknown> | undefined {
    return this.#callbacks.disconnected(stream)
  }

  payload (stream: EventStream, call: PayloadCall): unknown {
    return this.declared.payload?.call(this.#app, stream.request, stream, call)
  }

  /** A payload failed; a shared one may have been called for a stream that has closed since. */
  failed (error: unknown, stream: EventStream): void {
    if (this.declared.shared) this.#callbacks.report(error, stream)
    else this.#callbacks.reportIfOpen(error, stream)
  }

  #begin = (stream: EventStream): void => {
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
    } else if (producer instanceof SharedInterval) {
      producer.join(stream)
    } else if (payload !== undefined && interval !== undefined) {
      const own = new OwnInterval(this, this.#plugin.hub.timers, interval, stream)
      stream.producer = own
      own.start(immediate)
    }
  }

  #sharedBy (key: string | number): SharedInterval {
    const { interval = 0, immediate = true } = this.declared
    let shared = this.#shared.get(key)
    if (shared === undefined) {
      shared = new SharedInterval(this, this.#plugin.hub.timers, interval, immediate, () => this.#shared.delete(key))
      this.#shared.set(key, shared)
    }
    return shared
  }
}
