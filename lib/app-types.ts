// Tested by test/types/publish.tst.ts
// `FastifySchema` has another name here, because with a package that augments it, such as @fastify/swagger, an import of that name counts as unused
import type {
  ContextConfigDefault, FastifyBaseLogger, FastifySchema as Schema, FastifyTypeProvider, RawReplyDefaultExpression, RawRequestDefaultExpression,
  RawServerBase, RouteGenericInterface
} from 'fastify'
import type { EventSchemas, ItemOf, ItemsOf, OnlyFields, SSEItems } from './event/types.js'
import type { SSEStats } from './stats.js'
import type {
  PublicationFor, RouteTopic, SSEPublication, SSEPublishOptions, Target, TopicsOf, WithTopics
} from './topics/types.js'
import type { SSEInput } from './event/encode.js'
import type { SSERun, SSERunContext } from './runs/store.js'
import type { MaybePromise, SSEManualOptions, SSEReplyOptions, SSERouteOptions, SSESource, SSEStartOptions, SSEStream } from './types.js'

/** A source of `app.sse.start`. With `items: 'data'` its items are the data of events. */
type StartedSource<Items extends SSEItems> = SSESource<Items extends 'data' ? unknown : SSEInput>

/** `app.sse`: publishes events to the streams of all processes that share the backplane. */
export interface SSE {
  /**
   * Publishes an event to all streams that are subscribed to a topic, or to at least one of several topics, in all processes that share
   * the backplane. A stream gets the event once. Resolves to the event's id once the event is stored in the log of published events.
   * For a topic of a definition (`defineTopic`) the serializers of its schemas convert the data, otherwise the plugin's `serializer`. Rejects with SSE_ERR_TOPIC, SSE_ERR_CLIENT_ID (`except`), SSE_ERR_OPTION, SSE_ERR_PAYLOAD
   * (also for an event with nothing in it), SSE_ERR_FIELD, SSE_ERR_UNKNOWN_EVENT, SSE_ERR_SERIALIZATION, SSE_ERR_SCHEMA, SSE_ERR_CUSTOM_ID, and after `app.close()` with
   * SSE_ERR_CLOSING. In these cases no stream sends the event.
   */
  publish<const Targets extends Target | readonly Target[]> (topics: Targets, payload: PublicationFor<Targets>, options?: SSEPublishOptions): Promise<string>
  /** Publishes an event to all open streams of all processes, whatever their topics. Resolves and rejects like `publish`. */
  broadcast (payload: SSEPublication): Promise<string>
  /** Publishes an event to all streams with a client id, like `publish`. Rejects with SSE_ERR_CLIENT_ID in place of SSE_ERR_TOPIC. */
  sendTo (clientId: string, payload: SSEPublication): Promise<string>
  /**
   * Closes all streams with a client id, in all processes that share the backplane. They get the events that were published before.
   * Resolves once the message is stored. Rejects with SSE_ERR_CLIENT_ID, and after `app.close()` with SSE_ERR_CLOSING.
   */
  close (clientId: string): Promise<void>
  /** Removes a topic from all streams with a client id, as `close` closes them. Rejects like `close`, and with SSE_ERR_TOPIC. */
  unsubscribe (clientId: string, topic: Target): Promise<void>
  /** The id of the newest entry in the log. A client that opens with it as `lastEventId` gets all later events. */
  readonly lastEventId: string
  /**
   * Starts a run, a source that runs without a client, or joins the one that is going on (`onBusy`). Routes with `resume` read it.
   * Resolves to the run. Rejects with SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_RUN_BUSY, SSE_ERR_BACKPLANE and SSE_ERR_CLOSING.
   * @param key names the run: a string that is not empty
   * @param source a source, or a function that returns one and receives the run with its `signal`
   */
  start<Items extends SSEItems = 'payload'> (
    key: string, source: StartedSource<Items> | ((run: SSERunContext<SSEInput>) => MaybePromise<StartedSource<Items>>), options?: SSEStartOptions<Items>
  ): Promise<SSERun>
  /** Stops the run of a key, in whatever process its source runs. Resolves to whether a run was going on. Rejects with SSE_ERR_OPTION and SSE_ERR_BACKPLANE. */
  stop (key: string): Promise<boolean>
  /** Resolves to the newest run of a key, which may have ended; null if there is none, or it is no longer kept. Rejects like `stop`. */
  run (key: string): Promise<SSERun | null>
  /** The open streams of this process, by `id`. */
  readonly streams: ReadonlyMap<string, SSEStream>
  /** Returns counts of this process since its start, such as open streams and events sent, as sums over all routes. */
  stats (): SSEStats
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /**
     * Set `true` on a route whose handler calls `reply.sse()` to save about 1.8 KB of memory per stream. Routes of `sseRoute`
     * save it without this option. Default: false. Other replies of the route do not change.
     */
    sse?: boolean
  }

  interface FastifyInstance<
    RawServer extends RawServerBase, RawRequest extends RawRequestDefaultExpression<RawServer>,
    RawReply extends RawReplyDefaultExpression<RawServer>, Logger extends FastifyBaseLogger, TypeProvider extends FastifyTypeProvider
  > {
    /** The plugin's object on the app: publishes events, lists open streams, returns counts. */
    readonly sse: SSE
    /** Declares a route that responds with an event stream. @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_ROUTE */
    sseRoute<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface, ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends Schema = Schema, const Events extends EventSchemas = {},
      const Topics extends readonly RouteTopic[] = TopicsOf<RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>,
      Items extends ItemsOf<WithTopics<Events, Topics>> = RouteGenericInterface extends RouteGeneric ? 'payload' : ItemsOf<WithTopics<Events, Topics>>,
      Sent extends ItemOf<TypeProvider, WithTopics<Events, Topics>, Items> & OnlyFields<Sent, Items> = never
    > (options: SSERouteOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger, Events, Items, Topics, WithTopics<Events, Topics>, Sent>):
    FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
    sseRoute<
      RouteGeneric extends RouteGenericInterface = RouteGenericInterface, ContextConfig = ContextConfigDefault,
      const SchemaCompiler extends Schema = Schema, const Events extends EventSchemas = {},
      const Topics extends readonly RouteTopic[] = TopicsOf<RouteGeneric, RawServer, RawRequest, SchemaCompiler, TypeProvider, ContextConfig, Logger>,
      Items extends ItemsOf<WithTopics<Events, Topics>> = RouteGenericInterface extends RouteGeneric ? 'payload' : ItemsOf<WithTopics<Events, Topics>>,
      Sent extends ItemOf<TypeProvider, WithTopics<Events, Topics>, Items> & OnlyFields<Sent, Items> = never
    > (url: string, options: Omit<SSERouteOptions<RawServer, RawRequest, RawReply, RouteGeneric, ContextConfig, SchemaCompiler, TypeProvider, Logger, Events, Items, Topics, WithTopics<Events, Topics>, Sent>, 'url'>):
    FastifyInstance<RawServer, RawRequest, RawReply, Logger, TypeProvider>
  }

  interface FastifyReply {
    /** Responds with an event stream, and returns it for the handler to write to. @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_SOURCE */
    sse (options?: SSEManualOptions): SSEStream
    /**
     * Responds with an event stream of all items of `source`. The promise resolves once the response has closed for any reason.
     * Return or await it in the handler.
     * @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION, SSE_ERR_SOURCE
     */
    sse<Items extends SSEItems = 'payload', Sent extends ItemOf<FastifyTypeProvider, {}, Items> & OnlyFields<Sent, Items> = never> (
      source: MaybePromise<SSESource<Sent>>, options?: SSEReplyOptions<Items>
    ): Promise<void>
    /**
     * Responds with an event stream of the items of the source that `run` returns or resolves to. If `run` returns no source, closes
     * the stream when `run` has settled. If `run` fails, aborts the stream. The promise resolves once the response has closed.
     * @throws SSE_ERR_REPLY_SENT, SSE_ERR_OPTION
     */
    sse<Items extends SSEItems = 'payload', Sent extends ItemOf<FastifyTypeProvider, {}, Items> & OnlyFields<Sent, Items> = never> (
      run: (stream: SSEStream) => MaybePromise<SSESource<Sent> | void>, options?: SSEReplyOptions<Items>
    ): Promise<void>
  }
}
