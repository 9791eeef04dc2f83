// Tested by test/types/options.tst.ts
import type {
  ContextConfigDefault, FastifyBaseLogger, FastifyInstance, FastifyRequest, FastifySchema, FastifyTypeProvider,
  FastifyTypeProviderDefault, HTTPMethods, RawReplyDefaultExpression, RawRequestDefaultExpression, RawServerBase,
  RawServerDefault, RouteGenericInterface, RouteOptions, RouteShorthandOptions
} from 'fastify'
import type { BackplaneFactory, SSEGap } from './backplane.js'
import type { SSEInput, SSEPayload } from './event/encode.js'
import type { FetchResponse } from './event/fetch-response.js'
import type { CloseReason } from './stats.js'
import type { EventSchemas, Expected, ItemOf, PayloadOf, SSEItems, UninferredItemOf, WebStream } from './event/types.js'
import type { RouteTopic, SSEPublication, Target, WithTopics } from './topics/types.js'

export type { ItemOf, PayloadOf }

/**
 * A source of events: an iterable, a Readable, a web stream of items or of UTF-8 bytes, or the Response of `fetch` to a request
 * for an event stream, whose events are passed on. The source is read to its end. Each item is read when the client can take more.
 */
export type SSESource<Item = SSEInput> = AsyncIterable<Item> | Iterable<Item> | WebStream<Item | Uint8Array> | FetchResponse

/** The event stream of one client. */
export interface SSEStream<Payload = SSEInput> {
  /** The id of the stream, unique among all streams of all processes. */
  readonly id: string
  /** The client id, by which `app.sse.sendTo` finds the stream: the result of the option `clientId`, or by default the `id` of the stream. */
  readonly clientId: string
  /** The header Last-Event-ID, decoded as UTF-8 (Latin-1 if not valid UTF-8), or the query parameter `lastEventId`; null without both. */
  readonly lastEventId: string | null
  /** Whether the client came with an id of the log of published events, so that the events that it missed are replayed. */
  readonly resumed: boolean
  /** The topics that the stream is subscribed to now. */
  readonly topics: ReadonlySet<string>
  /** A signal that aborts when the stream closes for any reason, so that the application's code can stop its work. */
  readonly signal: AbortSignal
  /** Whether the stream is closed. A closed stream sends nothing, and does not open again. */
  readonly closed: boolean
  /** The reason why the stream closed; null until it closes. */
  readonly closeReason: CloseReason | null
  /** The request that opened the stream. */
  readonly request: FastifyRequest
  /**
   * Sends one event. Resolves to true once the client can take more, so that a sender that awaits this is not faster than the
   * client. Resolves to false if the stream is closed, or closes before then.
   * Rejects with SSE_ERR_PAYLOAD, SSE_ERR_FIELD, SSE_ERR_SERIALIZATION or SSE_ERR_UNKNOWN_EVENT, and with
   * SSE_ERR_CUSTOM_ID for an id on a stream with topics, before anything is written.
   */
  send (payload: Payload): Promise<boolean>
  /**
   * Subscribes the stream to topics. If called in `onConnect`, or in a handler in the same tick as `reply.sse()`, the stream is also
   * sent events that its client missed. A later call adds only the next events, and missed events that a running replay has not read yet.
   * @throws SSE_ERR_TOPIC
   */
  subscribe (...topics: Target[]): void
  /** Ends the stream's subscriptions to topics, so that it is sent no more of their events. */
  unsubscribe (...topics: Target[]): void
  /** Closes the stream: ends its response after the buffered text. Disconnects a client that has not taken this text within 5 s. */
  close (): void
}

/** The stream options: at `register` for all streams, in `sseRoute` for the streams of a route, in `reply.sse()` for one stream. */
export interface SSEStreamOptions {
  /** Time without a byte sent, ms, after which a comment is sent so that proxies keep the connection; `false` or 0: never. Default 15000. */
  heartbeat?: number | false
  /** Time after which a disconnected client reconnects, ms: the `retry:` line at the start of the stream. Default: no line. */
  retry?: number
  /** Headers of the response. They replace headers of the same name that the plugin sets, except content-type. */
  headers?: Readonly<Record<string, string>>
  /** Converts the data of an event to text if it is not a string. Default `JSON.stringify`. */
  serializer?: (data: unknown) => string
  /** Number of bytes that may be buffered in memory for a slow client. With more bytes `overflow` applies. Default 1048576. */
  maxBufferedBytes?: number
  /**
   * Applies if `maxBufferedBytes` is exceeded. `'replay'` (default): published events are read from the log once the client has caught
   * up; other events, and streams without ids of the log, are treated as with `'disconnect'`. `'disconnect'`: aborts the stream.
   * `'drop'`: drops events until the client catches up, then sends an event `gap`.
   */
  overflow?: 'replay' | 'disconnect' | 'drop'
  /** Time after which a client that takes no byte of the bytes that wait for it is disconnected, ms; 0: never. Default 60000. */
  stallTimeout?: number
  /** Time without an event after which the stream is closed, ms. Default 0: never. */
  idleTimeout?: number
  /** Time after which the stream is closed, ms, plus or minus 10 %. Default 0: never. */
  maxLifetime?: number
  /** Time for which events are collected and then written to the socket at once, ms. Default 0: until the end of the tick. */
  flushInterval?: number
}

/** The options of `reply.sse()` without a source, for a stream that the handler writes to. */
export interface SSEManualOptions extends SSEStreamOptions {
  /** Called if the handler throws after `reply.sse()`, or a source, serializer or callback fails. Default: `request.log.error`. */
  onError?: (error: Error, request: FastifyRequest, stream: SSEStream) => unknown
  /** Called once after an open stream has closed, for any reason. */
  onDisconnect?: (request: FastifyRequest, stream: SSEStream) => unknown
}

/** The limits of a run, a source that outlives its client. Options of `resumable`, of `app.sse.start` and of `reply.sse()`. */
export interface SSERunOptions {
  /** Time for which an ended run can still be read, ms. 0: only by streams that are reading it. Default 300000. */
  keep?: number
  /** Greatest number of bytes that the events of a run may have together. Above it the run fails with SSE_ERR_RUN_TOO_LARGE. Default 16777216. */
  maxBytes?: number
  /** Time after which the source is stopped, ms. Default 3600000. */
  maxDuration?: number
  /** Time without a reader after which the source is stopped, ms; 0: never. Default 0. */
  abandonAfter?: number
  /** Applies if a run of the key is going on: `'join'` (default) reads it, `'refuse'` replies 409 (SSE_ERR_RUN_BUSY), `'restart'` stops it and starts a new one. */
  onBusy?: 'join' | 'refuse' | 'restart'
}

/** The options of `reply.sse()` whose first argument is a source, or a function that may return one. */
export interface SSEReplyOptions<Items extends SSEItems = SSEItems> extends SSEManualOptions {
  /** `'request'` (default): sends the headers at once; `'first-event'`: with the first item of the source. */
  openOn?: 'request' | 'first-event'
  /** `'payload'` (default): each item is an event; `'data'`: each item is the data of an event. */
  items?: Items
  /** Event sent after the last item of the source. Not sent if the source failed or the client disconnected. Default: none. */
  end?: SSEPayload | string
  /** Makes the source a run that outlives its client, as the option `resumable` of a route does. `key` names the run. */
  resumable?: SSERunOptions & { key: string }
}

/** The options of `app.sse.start`. */
export interface SSEStartOptions<Items extends SSEItems = SSEItems> extends SSERunOptions {
  /** `'payload'` (default): each item is an event; `'data'`: each item is the data of an event. */
  items?: Items
  /** Event after the last item. Default: none. */
  end?: SSEPayload | string
  /** Called with the error that has ended the run. Returns the last event in place of the event `error`; null: none. Default: logs the error. */
  onError?: (error: Error) => unknown
}

/** The option `resumable` of a route. */
export interface SSEResumable<Request = FastifyRequest> extends SSERunOptions {
  /** Returns the key of a request's run, a string that is not empty. At most one run of a key is going on at a time. */
  key: (request: Request) => string
}

/** A limit on the number of streams that are open for one client. Requests for which `key` returns the same value count as one client. */
export interface SSEClientLimit<Request = FastifyRequest> {
  /** Number of streams that one client, as `key` identifies it, may have open at a time: a whole number above 0. */
  max: number
  /** Returns a non-empty string that names the client of a request. Other results fail with SSE_ERR_OPTION. Default: `request.ip`, of IPv6 its /64. */
  key?: (request: Request) => string
}

/** The argument of a `transform` of @fastify/swagger: a route, and the document in which the route is described. */
type SwaggerRoute = { schema: FastifySchema, url: string, route: RouteOptions } & ({ openapiObject: { openapi: string } } | { swaggerObject: { swagger: string } })

/** Has a method, not a function type, so that TypeScript also allows functions whose parameter has the narrower types of @fastify/swagger. */
interface Transforming { transform (route: SwaggerRoute): { schema: FastifySchema, url: string } }

/** A function for the option `transform` of @fastify/swagger: returns the schema and URL by which a document describes a route. */
export type SSESwaggerTransform = Transforming['transform']

/** The options of the plugin, given at `register`. The stream options among them apply to every stream that does not set its own. */
export interface SSEPluginOptions extends SSEStreamOptions {
  /** Returns the client id, to which `app.sse.sendTo` sends. Default: the id of the stream. */
  clientId?: (request: FastifyRequest) => string
  /** Number of streams that may be open at a time; further requests get 503 with Retry-After. Default: no limit. */
  maxStreams?: number
  /** Limit of the open streams of one client, or several limits; further requests get 429 with Retry-After. Default: no limit. */
  maxStreamsPerClient?: SSEClientLimit | readonly SSEClientLimit[]
  /**
   * Limits of the events that are kept for clients that reconnect: of each topic, each client id and the broadcasts at most `size`
   * events, none older than `maxAge` ms (0: of any age); of all at most `maxBytes` of memory. `false`: keeps none.
   * Default `{ size: 1000, maxAge: 3600000, maxBytes: 67108864 }`.
   */
  history?: { size?: number, maxAge?: number, maxBytes?: number } | false
  /** Makes the backplane, which stores published events and passes them to other processes. Default: memory of this process only. */
  backplane?: BackplaneFactory
  /**
   * At `app.close()` each stream sends `event`, if set, and a `retry:` line with a random time up to `spread` ms (default 3000),
   * so that not all clients reconnect at once. `app.close()` waits up to `timeout` ms (default 5000) for `onDisconnect` callbacks and sources.
   */
  drain?: { spread?: number, event?: SSEPublication, timeout?: number }
  /**
   * Whether SSE routes are described in the documents of @fastify/swagger. Default `true`.
   *
   * `{ transform }` describes them as well. Give it the function that @fastify/swagger has as its global `transform`, such as the
   * `jsonSchemaTransform` of fastify-type-provider-zod, because @fastify/swagger does not call it for SSE routes.
   * `app.ready()` rejects with SSE_ERR_OPENAPI for a schema that needs a transform and has none.
   */
  openapi?: boolean | { transform?: SSESwaggerTransform }
  /** Called when any stream has opened. Awaited before the route's `onConnect`, and before any payload, item or published event. */
  onConnect?: (request: FastifyRequest, stream: SSEStream) => unknown
  /** Called once after any open stream has closed, before the `onDisconnect` of the route. */
  onDisconnect?: (request: FastifyRequest, stream: SSEStream) => unknown
  /** Called with each error of a stream whose route or call of `reply.sse()` has no `onError`. Default: `request.log.error`. */
  onError?: (error: Error, request: FastifyRequest, stream: SSEStream) => unknown
}

export type MaybePromise<T> = T | Promise<T>
/** The options of `app.sseRoute`: those of a Fastify route except `handler` and the hook `onError`, the stream options, and the options below. */
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
  Topics extends readonly RouteTopic[] = readonly RouteTopic[],
  Declared extends EventSchemas = WithTopics<Events, Topics>,
  Sent = ItemOf<TypeProvider, NoInfer<Declared>, Items>,
  Instance = FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>,
  Request = FastifyRequest<RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>,
  Payload = PayloadOf<TypeProvider, NoInfer<Declared>>
> extends SSEStreamOptions, Omit<RouteShorthandOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger>, 'onError'> {
  /** The path of the route, as in Fastify's `route`. */
  url: string
  /** The HTTP method or methods of the route, as in Fastify's `route`. Default GET. */
  method?: HTTPMethods | HTTPMethods[]
  /**
   * Whether a request whose Accept header excludes text/event-stream gets 406 (`'strict'`) or a stream (`'any'`).
   * Default: `'strict'` for GET and HEAD requests, `'any'` for others, because the official OpenAI and Anthropic SDKs ask POST routes for JSON.
   */
  accept?: 'strict' | 'any'
  /** Returns the client id of a request, to which `app.sse.sendTo` sends. Replaces the plugin's `clientId` on this route. */
  clientId?: (this: Instance, request: Request) => string
  /** Number of streams of this route that may be open at a time. The plugin's limit applies as well. Default: no limit. */
  maxStreams?: number
  /** Limit of the open streams of this route for one client, or several limits. The plugin's limits apply as well. Default: none. */
  maxStreamsPerClient?: SSEClientLimit<Request> | ReadonlyArray<SSEClientLimit<Request>>
  /** Schemas of the events' data, by event name, used to type, serialize and document the data. Events of other names are refused. Default: any event. */
  events?: Events
  /** Time between the starts of two calls of `payload`, ms: above 0, at most 2147483647. */
  interval?: number
  /** Called every `interval` ms: returns an event, or nothing. `signal` aborts after `payloadTimeout`, and when the stream (if `shared`: the last one) closes. */
  payload?: (this: Instance, request: Request, stream: SSEStream<Payload>, context: { signal: AbortSignal }) =>
  MaybePromise<Sent | Expected<Sent, UninferredItemOf<TypeProvider, NoInfer<Declared>, Items>, Declared, Items> | void>
  /** Time after which a call of `payload` fails with SSE_ERR_PAYLOAD_TIMEOUT, ms; 0: never. Default 30000. */
  payloadTimeout?: number
  /** `true` (default): `payload` is called first when the stream opens; `false`: first after one `interval`. */
  immediate?: boolean
  /** `true`: each result of `payload` is sent on all streams of the route; a function: on all streams for which it returns the same value. Default `false`. */
  shared?: boolean | ((this: Instance, request: Request) => string | number)
  /**
   * Returns the source of a stream. The stream sends the source's items as events, and closes when the source ends. Called once per stream.
   * With `resumable` it is called once per run. `stream` is then the run: its `signal` aborts when the run is stopped.
   */
  source?: (this: Instance, request: Request, stream: SSEStream<Payload>) =>
  MaybePromise<SSESource<Sent | Expected<Sent, UninferredItemOf<TypeProvider, NoInfer<Declared>, Items>, Declared, Items>>>
  /**
   * Makes `source` a run that outlives its client: all requests with the same key read the same run, from its beginning or from their
   * Last-Event-ID on, until it ends. Replies 204 to a client that has read all of a run.
   */
  resumable?: SSEResumable<Request>
  /**
   * Returns the key of the run that a request reads, of a route with `resumable` or of `app.sse.start`. Replies 204 if there is no such
   * run, or the client has read all of it.
   */
  resume?: (this: Instance, request: Request) => string
  /** `'payload'` (default): each item or result is an event; `'data'`: each is the data of an event without a name, which clients receive as `message`. */
  items?: Items
  /** Event sent after the last item of a `source`. Not sent if the source failed or the client disconnected. Default: none. */
  end?: NonNullable<Payload>
  /** `'request'` (default): sends the headers at once; `'first-event'`: with the first item of the source. */
  openOn?: 'request' | 'first-event'
  /**
   * Topics to which each stream is subscribed: names and typed topics, or a function that returns them. A definition alone takes the values
   * of its placeholders from `request.params`. The stream sends the events published to these topics, first events that its client missed.
   */
  topics?: Topics | ((this: Instance, request: Request) => MaybePromise<readonly RouteTopic[]>)
  /**
   * Number of retained events of each topic that a client without a Last-Event-ID is sent first, in the order of the log; `'all'`: all
   * that are retained. Goes with `topics`. Default 0.
   */
  rewind?: number | 'all'
  /**
   * Returns the event that is sent in place of the event `gap`, which says that events are lost; null: nothing; undefined: the event `gap`.
   * Awaited before the events after the gap. If it fails, the stream is aborted.
   */
  onGap?: (this: Instance, gap: SSEGap, request: Request, stream: SSEStream<Payload>) => MaybePromise<Payload | null | undefined>
  /** Returns the time at which the stream closes, as a Date or in ms since the epoch; undefined: never. For the end of a session or token. */
  expires?: (this: Instance, request: Request) => Date | number | undefined
  /** Called when a stream has opened, and awaited before its first payload, item of the source or published event. */
  onConnect?: (this: Instance, request: Request, stream: SSEStream<Payload>) => unknown
  /** Called once after an open stream has closed, for any reason. */
  onDisconnect?: (this: Instance, request: Request, stream: SSEStream<Payload>) => unknown
  /** Called with the error if `payload`, the source, the serializer or a callback of a stream fails. Default: `request.log.error`. */
  onError?: (this: Instance, error: Error, request: Request, stream: SSEStream<Payload>) => unknown
}
