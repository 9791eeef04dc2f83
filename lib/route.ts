import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import Negotiator from 'negotiator'
import { asError, SSE_ERR_CLOSING, SSE_ERR_NOT_ACCEPTABLE, SSE_ERR_OPTION, show } from './errors.js'
import type { Hub } from './hub.js'
import { isThenable, OwnInterval, type PayloadCaller, SharedInterval } from './interval.js'
import type { Limits } from './limits.js'
import { validClientId, validTopics } from './names.js'
import { type PluginSettings, type RouteDeclaration, type StreamOptions, streamOptions } from './options.js'
import type { Owner } from './roles.js'
import { compileEvents } from './serializer.js'
import { Source } from './source.js'
import { EventStream } from './stream.js'

/** The plugin that a route belongs to. */
export interface Plugin {
  hub: Hub
  limits: Limits
  settings: PluginSettings
  /** The options of a stream that has none of its own. */
  stream: StreamOptions
}

const EVENT_STREAM = 'text/event-stream'
/** The standard's only encoding may be named (https://html.spec.whatwg.org/multipage/iana.html#text/event-stream). */
const ACCEPTABLE = [EVENT_STREAM, `${EVENT_STREAM};charset=utf-8`]

/** A route that answers with event streams: asks its callbacks for what it sends, and tells them what fails. */
export class Route implements Owner<EventStream>, PayloadCaller {
  readonly declared: RouteDeclaration
  readonly #app: FastifyInstance
  readonly #plugin: Plugin
  /** The sources whose first item opened their stream. */
  readonly #started = new WeakMap<EventStream, { source: Source, item: IteratorResult<unknown, undefined> }>()
  readonly #shared = new Map<string | number, SharedInterval>()
  readonly #topics: ReadonlySet<string> | undefined
  #stream: StreamOptions

  constructor (app: FastifyInstance, plugin: Plugin, declared: RouteDeclaration, stream: PluginSettings['stream']) {
    this.#app = app
    this.#plugin = plugin
    this.declared = declared
    this.#stream = streamOptions(stream)
    if (Array.isArray(declared.topics)) this.#topics = validTopics(declared.topics)
  }

  /** Whether its streams may be sent a `gap`, which it does not declare. */
  get gaps (): boolean {
    const { topics, clientId = this.#plugin.settings.clientId } = this.declared
    return topics !== undefined || clientId !== undefined || this.#stream.overflow === 'drop'
  }

  /** The app is ready: compiles the schemas of the declared events. @throws SSE_ERR_SCHEMA */
  compile (route: RouteOptions): void {
    const { events } = this.declared
    if (events !== undefined) this.#stream = { ...this.#stream, writeData: compileEvents(this.#app, route, events) }
  }

  /** Fastify's handler: whatever is thrown before the stream opens is an ordinary HTTP error. */
  handle (request: FastifyRequest, reply: FastifyReply): void {
    const { hub, limits } = this.#plugin
    const { accept } = request.headers
    if (accept && accept !== EVENT_STREAM && new Negotiator(request.raw).mediaTypes(ACCEPTABLE).length === 0) throw new SSE_ERR_NOT_ACCEPTABLE()
    if (request.method === 'HEAD') {
      new EventStream(hub, this, reply, this.#stream).start()
      return
    }
    limits.admit(reply)
    const { topics } = this.declared
    if (typeof topics !== 'function') {
      this.#respond(request, reply, this.#topics)
      return
    }
    const given = topics.call(this.#app, request)
    if (isThenable(given)) this.#awaitTopics(given, request, reply)
    else this.#respond(request, reply, validTopics(given))
  }

  async #awaitTopics (given: PromiseLike<readonly string[]>, request: FastifyRequest, reply: FastifyReply): Promise<void> {
    try {
      const topics = validTopics(await given)
      // Fastify's handlerTimeout may have answered meanwhile
      if (!reply.sent) this.#respond(request, reply, topics)
    } catch (error) {
      reply.send(asError(error))
    }
  }

  #respond (request: FastifyRequest, reply: FastifyReply, topics: ReadonlySet<string> | undefined): void {
    const { hub, settings } = this.#plugin
    const { clientId = settings.clientId, shared, openOn } = this.declared
    const id = clientId === undefined ? clientId : validClientId(clientId.call(this.#app, request))
    const key = typeof shared === 'function' ? shared.call(this.#app, request) : ''
    if (typeof key !== 'string' && typeof key !== 'number') throw new SSE_ERR_OPTION('shared', 'a function that returns a string or a number', `one that returned ${show(key)}`)
    const stream = new EventStream(hub, this, reply, this.#stream, id)
    if (topics !== undefined) stream.follow(topics)
    if (openOn === 'first-event') {
      this.#startOnFirst(stream, reply)
      return
    }
    if (shared && !stream.closed) this.#sharedBy(key).reserve(stream)
    stream.start()
  }

  opened (stream: EventStream): void {
    if (this.declared.onConnect === undefined) this.#begin(stream)
    else this.#connect(stream)
  }

  closed (stream: EventStream): void {
    if (this.declared.onDisconnect !== undefined) this.#disconnect(stream)
  }

  payload (stream: EventStream): unknown {
    return this.declared.payload?.call(this.#app, stream.request, stream, { signal: stream.signal })
  }

  /** A payload failed; a shared one may have been asked for a stream that has left since. */
  async failed (error: unknown, stream: EventStream): Promise<void> {
    if (this.declared.shared) await this.#tell(error, stream)
    else await this.#tellIfOpen(error, stream)
  }

  /** What fails after its stream has closed is most likely told to by the signal. */
  async #tellIfOpen (error: unknown, stream: EventStream): Promise<void> {
    if (stream.closed) stream.request.log.debug({ err: error }, 'failed after its event stream was closed')
    else await this.#tell(error, stream)
  }

  async #tell (error: unknown, stream: EventStream): Promise<void> {
    const { log } = stream.request
    const { onError } = this.declared
    const err = asError(error)
    if (onError === undefined) {
      log.error(err)
      return
    }
    try {
      await onError.call(this.#app, err, stream.request, stream)
    } catch (second) {
      log.error(err)
      log.error(second, 'onError of an event stream failed')
    }
  }

  /** After a failure that ends the stream: unless onError closed it, it is broken off. */
  async #fail (error: unknown, stream: EventStream): Promise<void> {
    await this.#tellIfOpen(error, stream)
    stream.cut()
  }

  async #connect (stream: EventStream): Promise<void> {
    try {
      await this.declared.onConnect?.call(this.#app, stream.request, stream)
      if (!stream.closed) this.#begin(stream)
    } catch (error) {
      await this.#fail(error, stream)
    }
  }

  async #disconnect (stream: EventStream): Promise<void> {
    try {
      await this.declared.onDisconnect?.call(this.#app, stream.request, stream)
    } catch (error) {
      await this.#tell(error, stream)
    }
  }

  #begin (stream: EventStream): void {
    const replay = stream.begin()
    if (replay === null) this.#produce(stream)
    else this.#produceAfter(replay, stream)
  }

  async #produceAfter (replay: Promise<void>, stream: EventStream): Promise<void> {
    await replay
    if (!stream.closed) this.#produce(stream)
  }

  #produce (stream: EventStream): void {
    const { interval, payload, source, immediate = true } = this.declared
    if (source !== undefined) {
      this.#pump(stream)
    } else if (payload !== undefined && interval !== undefined) {
      if (stream.producer instanceof SharedInterval) {
        stream.producer.join(stream)
      } else {
        const own = new OwnInterval(this, this.#plugin.hub.schedules, interval, stream)
        stream.producer = own
        own.start(immediate)
      }
    }
  }

  async #pump (stream: EventStream): Promise<void> {
    try {
      const { source, item } = this.#started.get(stream) ?? { source: this.#open(stream), item: undefined }
      if (stream.closed) return
      await source.pump(stream, item)
      stream.close()
    } catch (error) {
      await this.#fail(error, stream)
    }
  }

  #open (stream: EventStream): Source {
    const source = new Source(this.declared.source?.call(this.#app, stream.request, stream), (error) => this.#tellIfOpen(error, stream))
    if (stream.closed) source.stop()
    else stream.producer = source
    return source
  }

  /** The stream opens with its source's first item; until then a failure is an ordinary HTTP error. */
  async #startOnFirst (stream: EventStream, reply: FastifyReply): Promise<void> {
    const { hub } = this.#plugin
    const first = this.#first(stream)
    hub.hold(stream)
    try {
      // a source that does not heed the signal keeps neither a client nor app.close() waiting
      await Promise.race([first, stream.ready()])
      if (!stream.closed) this.#started.set(stream, await first)
      else first.catch((error) => this.#tellIfOpen(error, stream))
    } catch (error) {
      if (!reply.sent) reply.send(asError(error))
      return
    } finally {
      hub.release(stream)
    }
    if (stream.closeReason === 'drain') reply.send(new SSE_ERR_CLOSING())
    else if (stream.closeReason !== 'client') stream.start()
  }

  async #first (stream: EventStream): Promise<{ source: Source, item: IteratorResult<unknown, undefined> }> {
    const source = this.#open(stream)
    try {
      const item = await source.next()
      if (!item.done) stream.encode(item.value)
      return { source, item }
    } catch (error) {
      source.stop()
      throw error
    }
  }

  #sharedBy (key: string | number): SharedInterval {
    const { interval = 0, immediate = true } = this.declared
    let shared = this.#shared.get(key)
    if (shared === undefined) {
      shared = new SharedInterval(this, this.#plugin.hub.schedules, interval, immediate, () => this.#shared.delete(key))
      this.#shared.set(key, shared)
    }
    return shared
  }
}
