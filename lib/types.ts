import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, HTTPMethods, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase,
  RawServerDefault, RouteGenericInterface, RouteOptions, RouteShorthandOptions
} from 'fastify'
import type { BackplaneFactory } from './backplane.js'
import type { SSEInput, SSEPayload } from './event/encode.js'
import type {
  EventSchemas, Expected, FetchResponse, ItemOf, ItemsOf, OnlyFields, PayloadOf, SSEItems, UninferredItemOf, WebStream
} from './event/types.js'
import type { CloseReason, SSEStats } from './stats.js'

export type { CloseReason, ItemOf, PayloadOf, SSEStats }

/**
 * A source that is streamed to its end with backpressure: an iterable, an async iterable, a Readable, or a web stream, of items
 * or of UTF-8 bytes. Also the `Response` of `fetch` to a request for an event stream; its events are passed on.
 */
export type SSESource<Item = SSEInput> = AsyncIterable<Item> | Iterable<Item> | WebStream<Item | Uint8Array> | FetchResponse

/** The event stream of one client. */
export interface SSEStream<Payload = SSEInput> {
  /** Unique among all streams. */
  readonly id: string
  /** The result of the option `clientId`. Default: `id`. */
  readonly clientId: string
  /** The Last-Event-ID header, decoded as UTF-8, or as Latin-1 if it is not UTF-8; else the query's `lastEventId`; else null. */
  readonly lastEventId: string | null
  /** Aborted when the stream closes. */
  readonly signal: AbortSignal
  /** Whether the stream is closed: nothing is sent any more. */
  readonly closed: boolean
  /** Null while the stream is open. */
  readonly closeReason: CloseReason | null
  /** The request that opened the stream. */
  readonly request: FastifyRequest
  /**
   * Sends one event. Resolves to true once the client can take more, so that `await` applies backpressure. Resolves to false
   * if the stream is closed or closes meanwhile. Always settles.
   *
   * Rejects before anything is written: with SSE_ERR_PAYLOAD, SSE_ERR_FIELD, SSE_ERR_SERIALIZATION, SSE_ERR_UNKNOWN_EVENT,
   * with SSE_ERR_NOT_OPEN before the first item of `openOn: 'first-event'`, and with SSE_ERR_OWN_ID for an id on a stream with topics.
   */
  send (payload: Payload): Promise<boolean>
  /**
   * Subscribes the stream to topics. In `onConnect`, and in a handler right after `reply.sse()`, the stream also gets the events
   * that its client missed; later it gets events from now on, or from the position of its replay. @throws SSE_ERR_TOPIC
   */
  subscribe (...topics: string[]): void
  /** Removes subscriptions. Topics without one are ignored. */
  unsubscribe (...topics: string[]): void
  /** Ends the response. A client that has not taken all of it after 5 s is disconnected. A second call does nothing. */
  close (): void
}

/** The options of a stream. `register` sets them for all streams, `sseRoute` for those of a route, `reply.sse()` for one. */
export interface SSEStreamOptions {
  /** Time without a byte after which a comment is sent, ms, so that proxies keep the connection. `false` or `0`: never. Default 15000. */
  heartbeat?: number | false
  /** Time that a client waits before it reconnects, whole ms; sent as `retry:` when the stream opens. Default: not sent. */
  retry?: number
  /** Headers of the response. They take precedence over those of the plugin, but for `content-type`. Default: none. */
  headers?: Readonly<Record<string, string>>
  /** Converts data that is not a string to text. A route with `events` has other serializers. Default `JSON.stringify`. */
  serializer?: (data: unknown) => string
  /** Bytes that may be buffered for one client; with more, `overflow` decides. Default 1048576. */
  maxBufferedBytes?: number
  /** `'disconnect'` (default) aborts the stream of a slow client. `'drop'` drops events until the client has caught up, then sends the event `gap`. */
  overflow?: 'disconnect' | 'drop'
  /** Time without an event after which a stream is closed, ms. Default 0: never. */
  idleTimeout?: number
  /** Time after which a stream is closed, ms, give or take 10 %. Default 0: never. */
  maxLifetime?: number
  /** Time within which events are collected into one write, ms. Default 0: one tick of the event loop. */
  flushInterval?: number
}

/** The options of `reply.sse()` without a source: the handler writes to the stream. */
export interface SSEManualOptions extends SSEStreamOptions {
  /** Called for an error that the handler throws after `reply.sse()`, and for one of the source, the serializer or a callback. Default: `request.log.error`. */
  onError?: (error: Error, request: FastifyRequest, stream: SSEStream) => unknown
  /** Called once after a stream that opened has closed, for any reason. */
  onDisconnect?: (request: FastifyRequest, stream: SSEStream) => unknown
}

/** The options of `reply.sse()` with a source or a function. */
export interface SSEReplyOptions<Items extends SSEItems = SSEItems> extends SSEManualOptions {
  /** When the headers are sent: immediately (`'request'`, default), or with the first item of the source, so that an earlier error is an HTTP error. */
  openOn?: 'request' | 'first-event'
  /** `'payload'` (default): each item is a payload; `'data'`: each item is the data of an event. */
  items?: Items
  /** Sent after the last item of a source. Not sent if the source fails or the client disconnects. Default: nothing. */
  end?: SSEPayload | string
}

/** A limit of open streams for each `key`. */
export interface SSEClientLimit<Request = FastifyRequest> {
  /** The most streams that may be open at once for one key: a whole number above 0. */
  max: number
  /** Returns the key of a request: a non-empty string, else the request fails with SSE_ERR_OPTION. Default: `request.ip`; for an IPv6 address its /64 network. */
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
  /** Returns the id by which `app.sse.sendTo` addresses a client: a non-empty string, else the request fails with SSE_ERR_CLIENT_ID. Default: the `id` of the stream. */
  clientId?: (request: FastifyRequest) => string
  /** The most streams that may be open: a whole number above 0. Further requests are answered with 503 and Retry-After. Default: no limit. */
  maxStreams?: number
  /** The most streams that one client may have open. Further requests are answered with 429 and Retry-After. A list limits by several keys. Default: no limit. */
  maxStreamsPerClient?: SSEClientLimit | readonly SSEClientLimit[]
  /**
   * How many published events are retained for clients that reconnect, all topics together, and for how many ms (0: no limit).
   * `false`: none. Default `{ size: 1000, maxAge: 0 }`.
   */
  history?: { size?: number, maxAge?: number } | false
  /** The log of published events, shared by all processes with it: `redisBackplane()`, or a custom one. Default: the memory of this process. */
  backplane?: BackplaneFactory
  /**
   * `app.close()` sends each stream `event`, if given, and `retry:` with a random time of up to `spread` ms (default 3000), so
   * that clients do not all reconnect at once. Then it waits up to `timeout` ms (default 5000) for `onDisconnect` callbacks and sources.
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
  /** Called when a stream opens, also by `reply.sse()`. Awaited before the route's `onConnect`, the first payload, the first item and the replay. */
  onConnect?: (request: FastifyRequest, stream: SSEStream) => unknown
  /** Called once after a stream that opened has closed, for any reason, before the route's `onDisconnect`. */
  onDisconnect?: (request: FastifyRequest, stream: SSEStream) => unknown
  /** Called for errors of streams whose route, or call of `reply.sse()`, has no `onError`. Default: `request.log.error`. */
  onError?: (error: Error, request: FastifyRequest, stream: SSEStream) => unknown
}

type MaybePromise<T> = T | Promise<T>

/** The options of `app.sseRoute`: Fastify's route options without `handler` and the hook `onError`, and these. */
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
   * `'strict'` answers 406 to a request whose Accept header rules out text/event-stream; `'any'` ignores the header.
   * Default: `'strict'` for GET and HEAD requests, `'any'` for others, because official SDKs ask a POST route for JSON.
   */
  accept?: 'strict' | 'any'
  /** As the plugin's `clientId`, for the streams of this route. */
  clientId?: (this: Instance, request: Request) => string
  /** The most streams of this route that may be open. The plugin's limit holds as well. */
  maxStreams?: number
  /** The most streams of this route that one client may have open. The plugin's limits hold as well. */
  maxStreamsPerClient?: SSEClientLimit<Request> | ReadonlyArray<SSEClientLimit<Request>>
  /** The schemas of the events that this route sends, by name. They give the types, the serializers and the OpenAPI description. Any other event is SSE_ERR_UNKNOWN_EVENT. */
  events?: Events
  /** Time from start to start of the calls of `payload`, ms: above 0, at most 2147483647. */
  interval?: number
  /**
   * Called every `interval` ms. Returns the next event, or nothing to send none. `signal` is aborted after `payloadTimeout`, and
   * when the stream closes; for a `shared` payload, when the last of its streams closes.
   */
  payload?: (this: Instance, request: Request, stream: SSEStream<Payload>, context: { signal: AbortSignal }) =>
  MaybePromise<Sent | Expected<Sent, UninferredItemOf<TypeProvider, NoInfer<Events>, Items>, Events, Items> | void>
  /** Time after which a call of `payload` that has not settled fails with SSE_ERR_PAYLOAD_TIMEOUT, ms. Default 30000. 0: never. */
  payloadTimeout?: number
  /** Whether the first payload is sent immediately (default), or after one interval. */
  immediate?: boolean
  /** `true`: one call of `payload` for all streams of the route. A function: one call for all streams of the same key. Default false. */
  shared?: boolean | ((this: Instance, request: Request) => string | number)
  /** Returns the source that is streamed to its end; then the stream closes. */
  source?: (this: Instance, request: Request, stream: SSEStream<Payload>) =>
  MaybePromise<SSESource<Sent | Expected<Sent, UninferredItemOf<TypeProvider, NoInfer<Events>, Items>, Events, Items>>>
  /**
   * `'payload'` (default): items of `source` and results of `payload` are payloads; `'data'`: each is the data of an event,
   * of `message` where the route declares `events`.
   */
  items?: Items
  /** Sent after the last item of `source`. Not sent if the source fails or the client disconnects. Default: nothing. */
  end?: NonNullable<Payload>
  /** When the headers are sent: immediately (`'request'`, default), or with the first item of the source, so that an earlier error is an HTTP error. */
  openOn?: 'request' | 'first-event'
  /** The topics that each stream is subscribed to. It gets the events published to them, and after a reconnect those that it missed. */
  topics?: readonly string[] | ((this: Instance, request: Request) => MaybePromise<readonly string[]>)
  /** Called when a stream opens. Awaited before the first payload, the first item and the replay. */
  onConnect?: (this: Instance, request: Request, stream: SSEStream<Payload>) => unknown
  /** Called once after a stream that opened has closed, for any reason. */
  onDisconnect?: (this: Instance, request: Request, stream: SSEStream<Payload>) => unknown
  /** Called for an error of a payload, the source, a serializer or a callback. Default: the plugin's `onError`. */
  onError?: (this: Instance, error: Error, request: Request, stream: SSEStream<Payload>) => unknown
}

/** An event to publish: a payload without an id, because the log gives the id. A string is the data of a `message`. */
export type SSEPublication = Omit<SSEPayload, 'id'> & { id?: never } | string

/** The type of `app.sse`. */
export interface SSE {
  /**
   * Publishes an event to all streams that are subscribed to a topic, in this process and in all that share the backplane.
   * Resolves to the id of the event once the log has it. The plugin's `serializer` converts the data.
   *
   * Rejects with SSE_ERR_TOPIC, SSE_ERR_PAYLOAD (also for an empty event), SSE_ERR_FIELD, SSE_ERR_SERIALIZATION, SSE_ERR_OWN_ID,
   * and after `app.close()` with SSE_ERR_CLOSING; in all these cases no stream gets the event. Rejects with SSE_ERR_BACKPLANE
   * if the backplane fails.
   */
  publish (topic: string, payload: SSEPublication): Promise<string>
  /** As `publish`, for all open streams. */
  broadcast (payload: SSEPublication): Promise<string>
  /** As `publish`, for the streams of one client id. Rejects with SSE_ERR_CLIENT_ID in place of SSE_ERR_TOPIC. */
  sendTo (clientId: string, payload: SSEPublication): Promise<string>
  /** The open streams of this process, by `id`. */
  readonly streams: ReadonlyMap<string, SSEStream>
  /** Returns the counts of this process. */
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
    /** Declares a route that answers with an event stream. @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_ROUTE, SSE_ERR_TOPIC */
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
    /** Answers with an event stream that the handler writes to. @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_SOURCE */
    sse (options?: SSEManualOptions): SSEStream
    /**
     * Streams `source` to its end. The promise resolves when the response is over, for any reason. Return or await it in the handler.
     * @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_SOURCE
     */
    sse<Items extends SSEItems = 'payload', Sent extends ItemOf<FastifyTypeProvider, {}, Items> & OnlyFields<Sent, Items> = never> (
      source: MaybePromise<SSESource<Sent>>, options?: SSEReplyOptions<Items>
    ): Promise<void>
    /**
     * Calls `run` and streams the source that it returns or resolves to. If it returns none, the stream is closed when `run` has
     * settled, and aborted if `run` has failed. The promise resolves when the response is over, for any reason.
     * @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION
     */
    sse<Items extends SSEItems = 'payload', Sent extends ItemOf<FastifyTypeProvider, {}, Items> & OnlyFields<Sent, Items> = never> (
      run: (stream: SSEStream) => MaybePromise<SSESource<Sent> | void>, options?: SSEReplyOptions<Items>
    ): Promise<void>
  }
}
