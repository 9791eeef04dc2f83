// Tested by test/types/options.tst.ts
import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, HTTPMethods, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase,
  RawServerDefault, RouteGenericInterface, RouteOptions, RouteShorthandOptions
} from 'fastify'
import type { BackplaneFactory } from './backplane.js'
import type { SSEInput, SSEPayload } from './event/encode.js'
import type { FetchResponse } from './event/fetch-response.js'
import type { CloseReason, SSEStats } from './stats.js'
import type {
  EventDataMap, EventSchemas, Expected, ItemDataOf, ItemsOf, OnlyFields, PayloadWith, SSEItems, UninferredDataMap, WebStream
} from './event/types.js'

/** The events that a route with the schemas `Events` sends; any event for a route without `events`. */
export type PayloadOf<Provider extends FastifyTypeProvider, Events extends EventSchemas> =
  PayloadWith<EventDataMap<Provider, Events>, Events>

/** One item of a source, or the result of one call of `payload`: a payload of the route, or with `items: 'data'` its data. */
export type ItemOf<Provider extends FastifyTypeProvider, Events extends EventSchemas, Items extends SSEItems = 'payload'> =
  'data' extends Items ? ItemDataOf<Provider, Events> | ('payload' extends Items ? PayloadOf<Provider, Events> : never) : PayloadOf<Provider, Events>

type UninferredItemOf<Provider extends FastifyTypeProvider, Events extends EventSchemas, Items> =
  PayloadWith<UninferredDataMap<Provider, Events>, Events> | ('data' extends Items ? ItemDataOf<Provider, Events> : never)

/**
 * A source, which is read to its end at the pace of the client: an iterable, a Readable, a web stream of items or of UTF-8
 * bytes, or the Response of `fetch` to a request for an event stream, whose events are passed on.
 */
export type SSESource<Item = SSEInput> = AsyncIterable<Item> | Iterable<Item> | WebStream<Item | Uint8Array> | FetchResponse

/** The event stream of one client. */
export interface SSEStream<Payload = SSEInput> {
  /** Unique among all streams. */
  readonly id: string
  /** The result of the option `clientId`. Default: the `id` of the stream. */
  readonly clientId: string
  /** The Last-Event-ID header, decoded as UTF-8 (as Latin-1 if it is not valid UTF-8), or the query parameter `lastEventId`; null without both. */
  readonly lastEventId: string | null
  /** Aborts when the stream closes. */
  readonly signal: AbortSignal
  /** Whether the stream is closed: nothing is sent any more. */
  readonly closed: boolean
  /** Null while the stream is open. */
  readonly closeReason: CloseReason | null
  /** The request that opened the stream. */
  readonly request: FastifyRequest
  /**
   * Sends one event. Resolves to true once the client takes more, so that `await` applies backpressure to the sender.
   * Resolves to false if the stream is closed, or closes before.
   * Rejects with SSE_ERR_PAYLOAD, SSE_ERR_FIELD, SSE_ERR_SERIALIZATION or SSE_ERR_UNKNOWN_EVENT, and with
   * SSE_ERR_CUSTOM_ID for an id on a stream with topics, before anything is written.
   */
  send (payload: Payload): Promise<boolean>
  /**
   * Subscribes the stream to topics. Calls in `onConnect`, and in a handler in the same tick as `reply.sse()`, include
   * the events that the client missed. Later calls start with the next event, or at the position of a running replay.
   * @throws SSE_ERR_TOPIC
   */
  subscribe (...topics: string[]): void
  /** Ends subscriptions to topics. */
  unsubscribe (...topics: string[]): void
  /** Ends the response. Disconnects the client if it has not taken the rest after 5 s. A second call does nothing. */
  close (): void
}

/** The options of a stream: of all streams at `register`, of a route's streams in `sseRoute`, of one stream in `reply.sse()`. */
export interface SSEStreamOptions {
  /** Time without a byte after which a comment is sent, ms; `false` or `0`: never. Default 15000. */
  heartbeat?: number | false
  /** Value of the `retry:` line at the start of the stream, ms. Default: no line. */
  retry?: number
  /** Headers of the response. They replace the plugin's headers, except content-type. */
  headers?: Readonly<Record<string, string>>
  /** Converts data that is not a string to text. Default `JSON.stringify`. */
  serializer?: (data: unknown) => string
  /** Bytes that may wait for one client; above it `overflow` applies. Default 1048576. */
  maxBufferedBytes?: number
  /** `'disconnect'` (default): aborts the stream; `'drop'`: drops events until the client has caught up, then sends `gap`. */
  overflow?: 'disconnect' | 'drop'
  /** Time without an event after which the stream is closed, ms. Default 0: never. */
  idleTimeout?: number
  /** Time after which the stream is closed, ms, plus or minus 10 %. Default 0: never. */
  maxLifetime?: number
  /** Time within which events are collected into one write, ms. Default 0: one tick of the event loop. */
  flushInterval?: number
}

/** The options of `reply.sse()` without a source, for a stream that the handler writes to. */
export interface SSEManualOptions extends SSEStreamOptions {
  /** Called if the handler throws after `reply.sse()`, or a source, serializer or callback fails. Default: `request.log.error`. */
  onError?: (error: Error, request: FastifyRequest, stream: SSEStream) => unknown
  /** Called once after an open stream has closed, for any reason. */
  onDisconnect?: (request: FastifyRequest, stream: SSEStream) => unknown
}

/** The options of `reply.sse()` with a source or a function. */
export interface SSEReplyOptions<Items extends SSEItems = SSEItems> extends SSEManualOptions {
  /** `'request'` (default): sends the headers at once; `'first-event'`: with the first item of the source. */
  openOn?: 'request' | 'first-event'
  /** `'payload'` (default): each item is a payload; `'data'`: each item is the data of an event. */
  items?: Items
  /** Event after the last item of a source that ended normally; not sent if the source failed or the client disconnected. */
  end?: SSEPayload | string
}

/** A limit of open streams per `key`. */
export interface SSEClientLimit<Request = FastifyRequest> {
  /** Open streams per key: a whole number above 0. */
  max: number
  /** Returns a non-empty string; any other result fails the request with SSE_ERR_OPTION. Default: `request.ip`, for IPv6 its /64 network. */
  key?: (request: Request) => string
}

/** A route as @fastify/swagger passes it to a transform, with the document that it builds. */
type SwaggerRoute = { schema: FastifySchema, url: string, route: RouteOptions } & ({ openapiObject: { openapi: string } } | { swaggerObject: { swagger: string } })

/** Declares a method, because TypeScript takes for it also a function whose parameter has the narrower types of @fastify/swagger. */
interface Transforming { transform (route: SwaggerRoute): { schema: FastifySchema, url: string } }

/** A `transform` of @fastify/swagger. Changes the description of a route in a document. */
export type SSESwaggerTransform = Transforming['transform']

/** The options of the plugin. */
export interface SSEPluginOptions extends SSEStreamOptions {
  /** Returns the client id, to which `app.sse.sendTo` sends. Default: the id of the stream. */
  clientId?: (request: FastifyRequest) => string
  /** Streams that may be open; further requests get 503 with Retry-After. Default: no limit. */
  maxStreams?: number
  /** Streams that one client may have open; further requests get 429 with Retry-After. A list limits by several keys. Default: no limit. */
  maxStreamsPerClient?: SSEClientLimit | readonly SSEClientLimit[]
  /**
   * Published events that are retained for replay to reconnecting clients: at most `size` events, none older than `maxAge`
   * ms (0: no limit). `false`: none. Default `{ size: 1000, maxAge: 0 }`.
   */
  history?: { size?: number, maxAge?: number } | false
  /** The log of published events. Default: in the memory of this process. */
  backplane?: BackplaneFactory
  /**
   * At `app.close()` each stream ends with `event`, if it is set, and a `retry:` line with a random time of up to `spread`
   * ms (default 3000). `app.close()` waits up to `timeout` ms (default 5000) for `onDisconnect` callbacks and sources.
   */
  drain?: { spread?: number, event?: SSEPublication, timeout?: number }
  /**
   * Whether SSE routes are described in the documents of @fastify/swagger. Default `true`.
   *
   * `{ transform }` also describes them. Give it the function that @fastify/swagger has as its global `transform`, such as the
   * `jsonSchemaTransform` of fastify-type-provider-zod, because @fastify/swagger does not call its own for SSE routes.
   * `app.ready()` rejects with SSE_ERR_OPENAPI for a schema that needs a transform and has none.
   */
  openapi?: boolean | { transform?: SSESwaggerTransform }
  /** Called when any stream has opened. Awaited before the `onConnect` of the route, and before any payload, item or replay. */
  onConnect?: (request: FastifyRequest, stream: SSEStream) => unknown
  /** Called once after any open stream has closed, before the `onDisconnect` of the route. */
  onDisconnect?: (request: FastifyRequest, stream: SSEStream) => unknown
  /** Called with failures of streams whose route or `reply.sse()` has no `onError`. Default: `request.log.error`. */
  onError?: (error: Error, request: FastifyRequest, stream: SSEStream) => unknown
}

type MaybePromise<T> = T | Promise<T>
/** The options of `app.sseRoute`: those of a Fastify route without `handler` and the hook `onError`, and these. */
export interface SSERouteOptions<
  RawServer extends RawServerBase = RawServerDefault,
  RawRequest extends RawRequestDefaultExpression<RawServer> = RawRequestDefaultExpression<RawServer>,
  RawReply extends RawReplyDefaultExpression<RawServer> = RawReplyDefaultExpression<RawServer>,
  RouteGeneric extends RouteGenericInterface = RouteGenericInterface,
  ContextConfig = ContextConfigDefault,
  SchemaCompiler extends FastifySchema = FastifySchema,
  TypeProvider extends FastifyTypeProvider = FastifyTypeProviderDefault,
  Logger extends FastifyBaseLogger = FastifyBaseLogger,
  Events extends EventSchemas = EventSchemas,
  Items extends SSEItems = SSEItems,
  Sent = ItemOf<TypeProvider, NoInfer<Events>, Items>,
  Instance = FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>,
  Request = FastifyRequest<RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>,
  Payload = PayloadOf<TypeProvider, NoInfer<Events>>
> extends SSEStreamOptions, Omit<RouteShorthandOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>, 'onError'> {
  /** As Fastify's. */
  url: string
  /** As Fastify's. Default GET. */
  method?: HTTPMethods | HTTPMethods[]
  /**
   * Whether a request whose Accept header excludes text/event-stream gets 406 (`'strict'`) or a stream (`'any'`).
   * Default: `'strict'` for GET and HEAD requests, `'any'` for others, because the official OpenAI and Anthropic SDKs ask POST routes for JSON.
   */
  accept?: 'strict' | 'any'
  /** Returns the client id, in place of the plugin's option. */
  clientId?: (this: Instance, request: Request) => string
  /** Streams of this route that may be open, in addition to the plugin's limit. */
  maxStreams?: number
  /** Streams of this route that one client may have open, in addition to the plugin's limits. */
  maxStreamsPerClient?: SSEClientLimit<Request> | ReadonlyArray<SSEClientLimit<Request>>
  /** Schemas of the data of the events that this route sends, by event name. They type, serialize and document the events. */
  events?: Events
  /** Time between the starts of two calls of `payload`, ms: above 0, at most 2147483647. */
  interval?: number
  /** Returns the next event, or nothing to skip a tick. `signal` aborts after `payloadTimeout`, and when the (last) stream closes. */
  payload?: (this: Instance, request: Request, stream: SSEStream<Payload>, context: { signal: AbortSignal }) =>
  MaybePromise<Sent | Expected<Sent, UninferredItemOf<TypeProvider, NoInfer<Events>, Items>, Events, Items> | void>
  /** Time after which a call of `payload` fails with SSE_ERR_PAYLOAD_TIMEOUT, ms; 0: never. Default 30000. */
  payloadTimeout?: number
  /** `true` (default): calls `payload` at once when the stream opens; `false`: after one interval. */
  immediate?: boolean
  /** `true`: one call of `payload` per tick for all streams; a function: for all streams with the same key. Default `false`. */
  shared?: boolean | ((this: Instance, request: Request) => string | number)
  /** Returns the source of the stream, which closes at the end of the source. */
  source?: (this: Instance, request: Request, stream: SSEStream<Payload>) =>
  MaybePromise<SSESource<Sent | Expected<Sent, UninferredItemOf<TypeProvider, NoInfer<Events>, Items>, Events, Items>>>
  /** `'payload'` (default): each item or result is a payload; `'data'`: the data of an event (`message`, if `events` are declared). */
  items?: Items
  /** Event after the last item of a `source` that ended normally; not sent if it failed or the client disconnected. */
  end?: NonNullable<Payload>
  /** `'request'` (default): sends the headers at once; `'first-event'`: with the first item of the source. */
  openOn?: 'request' | 'first-event'
  /** Topics to which the stream is subscribed: it is sent their events, and those that its client missed. */
  topics?: readonly string[] | ((this: Instance, request: Request) => MaybePromise<readonly string[]>)
  /** Called when the stream has opened. Awaited before the first payload, item or replayed event. */
  onConnect?: (this: Instance, request: Request, stream: SSEStream<Payload>) => unknown
  /** Called once after an open stream has closed, for any reason. */
  onDisconnect?: (this: Instance, request: Request, stream: SSEStream<Payload>) => unknown
  /** Called when a payload, source, serializer or callback fails. Default: `request.log.error`. */
  onError?: (this: Instance, error: Error, request: Request, stream: SSEStream<Payload>) => unknown
}

/** An event to publish. It has no `id`, because the log sets it. */
export type SSEPublication = Omit<SSEPayload, 'id'> & { id?: never } | string

/** `app.sse`: publishes events to the streams of all processes that share the backplane. */
export interface SSE {
  /**
   * Publishes an event to all streams that are subscribed to a topic, in all processes that share the backplane. Resolves
   * to the event's id once the log has it. The plugin's `serializer` converts the data.
   * Rejects with SSE_ERR_TOPIC, SSE_ERR_PAYLOAD (also for an event with nothing in it), SSE_ERR_FIELD,
   * SSE_ERR_SERIALIZATION, SSE_ERR_CUSTOM_ID, and after `app.close()` with SSE_ERR_CLOSING; then no stream is sent the event.
   */
  publish (topic: string, payload: SSEPublication): Promise<string>
  /** Publishes an event to all open streams, like `publish`. */
  broadcast (payload: SSEPublication): Promise<string>
  /** Publishes an event to the streams of one client id, like `publish`. Rejects with SSE_ERR_CLIENT_ID in place of SSE_ERR_TOPIC. */
  sendTo (clientId: string, payload: SSEPublication): Promise<string>
  /** The open streams of this process, by `id`. */
  readonly streams: ReadonlyMap<string, SSEStream>
  /** Returns the counts of all routes together. */
  stats (): SSEStats
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * `true` on a route whose handler calls `reply.sse()`: saves about 1.8 KB of memory for each stream, as on routes of
     * `sseRoute`. Default: off. Any other reply of the route is sent as without it.
     */
    sse?: boolean
  }

  interface FastifyInstance<
    RawServer extends RawServerBase, RawRequest extends RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer>, Logger extends FastifyBaseLogger, TypeProvider extends FastifyTypeProvider
  > {
    /** Publishes events, lists open streams and counts. */
    readonly sse: SSE
    /** Declares a route that responds with an event stream. @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_ROUTE */
    sseRoute<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface, ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema, const Events extends EventSchemas = {},
      Items extends ItemsOf<Events> = RouteGenericInterface extends RouteGeneric ? 'payload' : ItemsOf<Events>,
      Sent extends ItemOf<TypeProvider, Events, Items> & OnlyFields<Sent, Items> = never
    > (options: SSERouteOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger, Events, Items, Sent>):
    FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
    sseRoute<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface, ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends FastifySchema = FastifySchema, const Events extends EventSchemas = {},
      Items extends ItemsOf<Events> = RouteGenericInterface extends RouteGeneric ? 'payload' : ItemsOf<Events>,
      Sent extends ItemOf<TypeProvider, Events, Items> & OnlyFields<Sent, Items> = never
    > (url: string, options: Omit<SSERouteOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger, Events, Items, Sent>, 'url'>):
    FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }

  interface FastifyReply {
    /** Responds with an event stream that the handler writes to. @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_SOURCE */
    sse (options?: SSEManualOptions): SSEStream
    /**
     * Streams `source` to its end. The promise resolves when the response has closed, for any reason. Return or await it in the handler.
     * @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_SOURCE
     */
    sse<Items extends SSEItems = 'payload', Sent extends ItemOf<FastifyTypeProvider, {}, Items> & OnlyFields<Sent, Items> = never> (
      source: MaybePromise<SSESource<Sent>>, options?: SSEReplyOptions<Items>
    ): Promise<void>
    /**
     * Streams the source that `run` returns or resolves to. Without a source, closes the stream when `run` has settled, and
     * aborts it if `run` has failed. The promise resolves when the response has closed, for any reason.
     * @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION
     */
    sse<Items extends SSEItems = 'payload', Sent extends ItemOf<FastifyTypeProvider, {}, Items> & OnlyFields<Sent, Items> = never> (
      run: (stream: SSEStream) => MaybePromise<SSESource<Sent> | void>, options?: SSEReplyOptions<Items>
    ): Promise<void>
  }
}
