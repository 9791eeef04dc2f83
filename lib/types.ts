import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, HTTPMethods, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase,
  RawServerDefault, RouteGenericInterface, RouteOptions, RouteShorthandOptions
} from 'fastify'
import type { BackplaneFactory } from './backplane.js'
import type { SSEInput, SSEPayload } from './event/encode.js'
import type { FetchResponse } from './event/fetch-response.js'
import type {
  EventDataMap, EventSchemas, Expected, ItemDataOf, ItemsOf, OnlyFields, PayloadWith, SSEItems, UninferredDataMap, WebStream
} from './event/types.js'

/** What a route that declares `Events` sends; any event where it declares none. */
export type PayloadOf<Provider extends FastifyTypeProvider, Events extends EventSchemas> =
  PayloadWith<EventDataMap<Provider, Events>, Events>

/** One item of a source, or what one call of `payload` returns: a payload of the route, or with `items: 'data'` its data. */
export type ItemOf<Provider extends FastifyTypeProvider, Events extends EventSchemas, Items extends SSEItems = 'payload'> =
  'data' extends Items ? ItemDataOf<Provider, Events> | ('payload' extends Items ? PayloadOf<Provider, Events> : never) : PayloadOf<Provider, Events>

type UninferredItemOf<Provider extends FastifyTypeProvider, Events extends EventSchemas, Items> =
  PayloadWith<UninferredDataMap<Provider, Events>, Events> | ('data' extends Items ? ItemDataOf<Provider, Events> : never)

/**
 * What can be streamed to its end, at the client's pace: an iterable, a Readable, a web stream of items or of bytes that
 * are UTF-8, or the answer of `fetch` to a request for an event stream, whose events are passed on.
 */
export type SSESource<Item = SSEInput> = AsyncIterable<Item> | Iterable<Item> | WebStream<Item | Uint8Array> | FetchResponse

/** Why a stream was closed; `'error'` is a source or hook that failed. */
export type CloseReason = 'client' | 'server' | 'drain' | 'overflow' | 'idle' | 'lifetime' | 'error'

/** One client's open response. */
export interface SSEStream<Payload = SSEInput> {
  /** Unique among all streams. */
  readonly id: string
  /** What the option `clientId` said; the stream's own `id` without it. */
  readonly clientId: string
  /** The Last-Event-ID header, decoded as UTF-8 (as Latin-1 where it is none), or the query's `lastEventId`; null where there is none. */
  readonly lastEventId: string | null
  /** Aborted when the stream closes. */
  readonly signal: AbortSignal
  readonly closed: boolean
  /** Null while the stream is open. */
  readonly closeReason: CloseReason | null
  readonly request: FastifyRequest
  /**
   * Sends one event. Resolves to true once the client takes more, so that `await` paces the sender,
   * and to false if the stream is or gets closed; never stays pending.
   * Rejects with SSE_ERR_PAYLOAD, SSE_ERR_FIELD, SSE_ERR_SERIALIZATION or SSE_ERR_UNKNOWN_EVENT, and with
   * SSE_ERR_CUSTOM_ID for an id on a stream with topics, before anything is written.
   */
  send (payload: Payload): Promise<boolean>
  /**
   * Has the stream get what is published to these topics. In `onConnect`, and in a handler right after `reply.sse()`,
   * that includes what its client missed; later it is what comes from now on, or from where its replay is. @throws SSE_ERR_TOPIC
   */
  subscribe (...topics: string[]): void
  unsubscribe (...topics: string[]): void
  /** Ends the response; what the client has not taken 5 s later is cut. A second call does nothing. */
  close (): void
}

/** The options of one stream: set for all at `register`, for a route's in `sseRoute`, for one in `reply.sse`. */
export interface SSEStreamOptions {
  /** After so many ms without a byte a comment is sent; `false` or `0`: never. Default 15000. */
  heartbeat?: number | false
  /** Sent as `retry:` when the stream opens, ms. Default: not sent. */
  retry?: number
  /** Added to the response; they win over the plugin's own, but for content-type. */
  headers?: Readonly<Record<string, string>>
  /** Makes text of data that is not a string. Default `JSON.stringify`. */
  serializer?: (data: unknown) => string
  /** Bytes that may wait for one client before `overflow` acts. Default 1048576. */
  maxBufferedBytes?: number
  /** `'disconnect'` (default): close the stream; `'drop'`: leave events out till the client has caught up, then send `gap`. */
  overflow?: 'disconnect' | 'drop'
  /** Closes a stream that was sent no event for so many ms. Default 0: never. */
  idleTimeout?: number
  /** Closes a stream after so many ms, give or take 10 %. Default 0: never. */
  maxLifetime?: number
  /** Events that are sent within so many ms go out in one write. Default 0: within a tick of the event loop. */
  flushInterval?: number
}

/** The options of `reply.sse()` without a source: of a stream that the handler writes to. */
export interface SSEManualOptions extends SSEStreamOptions {
  /** The handler threw after `reply.sse()`, or the source, the serializer or a callback failed. Default: `request.log.error`. */
  onError?: (error: Error, request: FastifyRequest, stream: SSEStream) => unknown
  /** Called once for a stream that opened, after it closed for any reason. */
  onDisconnect?: (request: FastifyRequest, stream: SSEStream) => unknown
}

/** The options of `reply.sse` with a source or a function. */
export interface SSEReplyOptions<Items extends SSEItems = SSEItems> extends SSEManualOptions {
  /** When the headers are sent: at once (default), or with the source's first item. */
  openOn?: 'request' | 'first-event'
  /** `'payload'` (default): each item is a payload; `'data'`: each item is the data of an event. */
  items?: Items
  /** Sent after the last item of a source that ended normally; not if the source failed or the client left. */
  end?: SSEPayload | string
}

/** How many streams may be open at once for each `key`. */
export interface SSEClientLimit<Request = FastifyRequest> {
  /** A whole number above 0. */
  max: number
  /** A string that is not empty; anything else fails the request with SSE_ERR_OPTION. Default: `request.ip`, of an IPv6 address its /64 network. */
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
  /** The id by which a client is addressed. Default: the stream's own. */
  clientId?: (request: FastifyRequest) => string
  /** How many streams may be open; more are answered 503 with Retry-After. Default: no limit. */
  maxStreams?: number
  /** How many streams one client may have open; more are answered 429 with Retry-After. A list limits by several keys. */
  maxStreamsPerClient?: SSEClientLimit | readonly SSEClientLimit[]
  /**
   * How many published events, and for how many ms (0: no limit), a client that comes back can be sent again;
   * `false`: none. Default `{ size: 1000, maxAge: 0 }`.
   */
  history?: { size?: number, maxAge?: number } | false
  /** Where published events go. Default: the memory of this process. */
  backplane?: BackplaneFactory
  /**
   * At `app.close()` each stream is sent `event`, if there is one, then `retry:` with a random time of up to `spread` ms (default 3000).
   * `app.close()` waits up to `timeout` ms (default 5000) for `onDisconnect` callbacks and sources to finish.
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
  /** A stream has opened, of a route or by `reply.sse()`; awaited before the route's own, and before what a source or interval sends or is replayed. */
  onConnect?: (request: FastifyRequest, stream: SSEStream) => unknown
  /** Called once for every stream that opened, after it closed for any reason, before the route's own. */
  onDisconnect?: (request: FastifyRequest, stream: SSEStream) => unknown
  /** Called for the failures of streams whose route, or call of `reply.sse()`, has no `onError`. Default: `request.log.error`. */
  onError?: (error: Error, request: FastifyRequest, stream: SSEStream) => unknown
}

type MaybePromise<T> = T | Promise<T>

/** The options of `app.sseRoute`: all of Fastify's for a route but `handler` and the hook `onError`, and these. */
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
  url: string
  /** Default GET. */
  method?: HTTPMethods | HTTPMethods[]
  /**
   * Whether an Accept header that rules out text/event-stream is answered 406 (`'strict'`) or ignored (`'any'`).
   * Default: `'strict'` for GET and HEAD requests, `'any'` for others, because official SDKs ask a POST route for JSON.
   */
  accept?: 'strict' | 'any'
  clientId?: (this: Instance, request: Request) => string
  /** How many streams of this route may be open, besides the plugin's limit. */
  maxStreams?: number
  /** How many streams of this route one client may have open, besides the plugin's limits. */
  maxStreamsPerClient?: SSEClientLimit<Request> | ReadonlyArray<SSEClientLimit<Request>>
  /** The events this route sends, by name; see README for what it checks, compiles and documents. */
  events?: Events
  /** ms from start to start of `payload`'s calls: above 0, at most 2147483647. */
  interval?: number
  /**
   * Returns the next event, or nothing to skip a tick. `signal` is aborted after `payloadTimeout`, and when the stream
   * closes; of a `shared` payload, when the last of its streams closes.
   */
  payload?: (this: Instance, request: Request, stream: SSEStream<Payload>, context: { signal: AbortSignal }) =>
  MaybePromise<Sent | Expected<Sent, UninferredItemOf<TypeProvider, NoInfer<Events>, Items>, Events, Items> | void>
  /** A call of `payload` that has not settled after so many ms fails with SSE_ERR_PAYLOAD_TIMEOUT. Default 30000, 0: never. */
  payloadTimeout?: number
  /** Whether the first payload comes at once (default), or after one interval. */
  immediate?: boolean
  /** One call of `payload` per tick for all streams, or for all of the same key. Default false. */
  shared?: boolean | ((this: Instance, request: Request) => string | number)
  /** Returns what is streamed to its end. */
  source?: (this: Instance, request: Request, stream: SSEStream<Payload>) =>
  MaybePromise<SSESource<Sent | Expected<Sent, UninferredItemOf<TypeProvider, NoInfer<Events>, Items>, Events, Items>>>
  /**
   * `'payload'` (default): items of `source` and results of `payload` are payloads; `'data'`: each is the data of an event,
   * of `message` where the route declares `events`.
   */
  items?: Items
  /** Sent after the last item of a `source` that ended normally; not if it failed or the client left. */
  end?: NonNullable<Payload>
  /** When the headers are sent: at once (default), or with the source's first item. */
  openOn?: 'request' | 'first-event'
  /** What the stream is subscribed to: it gets what is published to these topics, and what it missed of them. */
  topics?: readonly string[] | ((this: Instance, request: Request) => MaybePromise<readonly string[]>)
  /** The stream is open; awaited before the first payload, item or replayed event. */
  onConnect?: (this: Instance, request: Request, stream: SSEStream<Payload>) => unknown
  /** Once for every stream that opened, whatever ended it. */
  onDisconnect?: (this: Instance, request: Request, stream: SSEStream<Payload>) => unknown
  /** A payload, source, serializer or hook failed. Default: `request.log.error`. */
  onError?: (this: Instance, error: Error, request: Request, stream: SSEStream<Payload>) => unknown
}

/** What `app.sse.stats()` tells of this process since it started. */
export interface SSEStats {
  /** Streams open now. */
  active: number
  /** Streams opened. */
  opened: number
  /** Requests that `maxStreams` or `maxStreamsPerClient` refused. */
  rejected: number
  /** Streams opened whose client came back with an id of the log. */
  resumed: number
  /** Events written. */
  sent: number
  /** Events left out by `overflow: 'drop'`. */
  dropped: number
  /** Published events written that the client had missed; they count as sent, too. */
  replayed: number
  /** Ticks of an interval that a stream did not get, since its client was behind or its payload slow. */
  skipped: number
  /** Gap events sent. */
  gaps: number
  /** Bytes written, without HTTP's own. */
  bytes: number
  /** Streams closed, by reason. */
  closed: Record<CloseReason, number>
}

/** An event that is published: its id comes from the log. */
export type SSEPublication = Omit<SSEPayload, 'id'> & { id?: never } | string

/** `app.sse`. */
export interface SSE {
  /**
   * Publishes an event to all streams that are subscribed to a topic, here and in all processes that share the
   * backplane; resolves to the event's id once the log has it. The data goes through the plugin's `serializer`.
   * Rejects with SSE_ERR_TOPIC, SSE_ERR_PAYLOAD (also for an event with nothing in it), SSE_ERR_FIELD,
   * SSE_ERR_SERIALIZATION, SSE_ERR_CUSTOM_ID, after `app.close()` with SSE_ERR_CLOSING; then nobody gets anything.
   */
  publish (topic: string, payload: SSEPublication): Promise<string>
  /** As `publish`, to all open streams. */
  broadcast (payload: SSEPublication): Promise<string>
  /** As `publish`, to the streams of one client id. Rejects with SSE_ERR_CLIENT_ID in place of SSE_ERR_TOPIC. */
  sendTo (clientId: string, payload: SSEPublication): Promise<string>
  /** The streams that are open in this process, by `id`. */
  readonly streams: ReadonlyMap<string, SSEStream>
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
    readonly sse: SSE
    /** Declares a route that answers with an event stream. @throws SSE_ERR_OPTION, SSE_ERR_ROUTE */
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
    /** Makes this reply an event stream that the handler writes to. @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_SOURCE */
    sse (options?: SSEManualOptions): SSEStream
    /**
     * Streams `source` to its end. The promise resolves when the response is over, for any reason: return or await it in the handler.
     * @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_SOURCE
     */
    sse<Items extends SSEItems = 'payload', Sent extends ItemOf<FastifyTypeProvider, {}, Items> & OnlyFields<Sent, Items> = never> (
      source: MaybePromise<SSESource<Sent>>, options?: SSEReplyOptions<Items>
    ): Promise<void>
    /**
     * Streams the source that `run` returns or resolves to. Without one, closes the stream when `run` has settled, and aborts it
     * if `run` has failed. The promise resolves when the response is over, for any reason.
     * @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION
     */
    sse<Items extends SSEItems = 'payload', Sent extends ItemOf<FastifyTypeProvider, {}, Items> & OnlyFields<Sent, Items> = never> (
      run: (stream: SSEStream) => MaybePromise<SSESource<Sent> | void>, options?: SSEReplyOptions<Items>
    ): Promise<void>
  }
}
