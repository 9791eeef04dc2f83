// Tested by test/issues/registered-twice.test.ts
/**
 * The plugin, typed topics, and the types of both.
 *
 * @module fastify-sse-routes
 */
import type { FastifyInstance, FastifyReply, FastifySchema, RouteOptions } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import type { Backplane } from './backplane.js'
import { Callbacks } from './routes/callbacks.js'
import { StatsByRoute, STATS } from './stats.js'
import { pipeEventStream } from './stream/reply-payload.js'
import { endLogOf } from './stream/end-log.js'
import { SSE_ERR_REGISTERED } from './errors.js'
import { watchEarlierRoutes, wrapHandler } from './routes/handler.js'
import { encodePublished } from './event/encode.js'
import { Facade } from './pubsub/facade.js'
import { Definitions } from './pubsub/definitions.js'
import { Hub } from './pubsub/hub.js'
import { MemoryBackplane } from './pubsub/memory-backplane.js'
import { MemoryRunStore } from './runs/memory-store.js'
import { Runs } from './runs/runs.js'
import { runMethods } from './routes/run-methods.js'
import { PendingRequests } from './routes/pending-requests.js'
import type { Plugin } from './routes/plugin.js'
import { StreamRegistry } from './stream/registry.js'
import { compileSettings } from './stream/settings.js'
import { Limits } from './routes/limits.js'
import { describeRoute } from './openapi/transform.js'
import { asBackplane, readPluginOptions, readRouteOptions, type RouteDeclaration } from './options/read.js'
import { sendRefusal, ManualStreamOwner, replyWithStream } from './routes/reply.js'
import { Route } from './routes/route.js'
import type { SSEManualOptions, SSEPluginOptions, SSEReplyOptions, SSERouteOptions, SSEStream } from './types.js'

export type {
  Audience, Backplane, BackplaneFactory, BackplaneListener, Control, Gap, HistorySettings, Page, Publication, PublishedEvent, Reader, SSEGap, StartPositions, TopicHistory
} from './backplane.js'
export type { RunLimits, RunLog, RunState, RunStore, RunWriter, SSERun, SSERunContext, StartedRun } from './runs/store.js'
export type { SSEDiagnostics } from './diagnostics.js'
export type { CloseReason, SSEStats } from './stats.js'
export type { SSEInput, SSEPayload } from './event/encode.js'
export type { EventDataMap, EventSchemas, EventsOf, SSEItems } from './event/types.js'
export type { SSE } from './app-types.js'
export { defineTopic } from './topics/define.js'
export type {
  DefinedTopic, RequestTopic, RouteTopic, SSEPublication, SSEPublishOptions, Target, Topic, TopicDefinition, TopicLimits, TopicOptions, TopicValues
} from './topics/types.js'
export type {
  ItemOf, PayloadOf, SSEResumable, SSERunOptions, SSEStartOptions, SSEClientLimit, SSEManualOptions, SSEPluginOptions, SSEReplyOptions, SSERouteOptions,
  SSESource, SSEStream, SSEStreamOptions, SSESwaggerTransform
} from './types.js'

/** A route of `sseRoute`, and the options with which Fastify called the onRoute hooks for it. */
interface Registered {
  route: Route
  options: RouteOptions
  /** Checks that @fastify/swagger can describe the route's schemas. Undefined with `openapi: false`. @throws SSE_ERR_OPENAPI */
  checkSchemas?: () => void
}

/** The property of a route's options that holds its `Route`. The handler cannot hold it, as onRoute hooks of other plugins may wrap the handler. */
const ROUTE = Symbol('fastify-sse-routes.route')

/** Maps a server to its Fastify instances that have the plugin: an app and its children share one server. */
const instances = new WeakMap<object, FastifyInstance[]>()

async function plugin (app: FastifyInstance, options: SSEPluginOptions): Promise<void> {
  const settings = readPluginOptions(options)
  refuseSecond(app)
  const { drain, history } = settings
  const openapi = settings.openapi === true ? {} : settings.openapi
  const streamSettings = compileSettings(settings.stream)
  const { writeData } = streamSettings
  const backplane: Backplane = settings.backplane === undefined ? new MemoryBackplane(history) : asBackplane(settings.backplane(history, app.log))
  const stats = new StatsByRoute()
  const registry = new StreamRegistry({
    stats,
    drain,
    lastEvent: drain.event === undefined ? '' : encodePublished(drain.event, writeData),
    log: app.log,
    logEnd: endLogOf(app),
    createSubscription: (stream, from) => hub.createSubscription(stream, from)
  })
  const hub: Hub = new Hub(backplane, registry, writeData, new Definitions(app, history, writeData), app.log)
  const runs = new Runs(backplane.runs ?? new MemoryRunStore(), app.log, drain.timeout, stats.runs)
  const shared: Plugin = {
    registry,
    limits: new Limits(settings, stats),
    pendingRequests: new PendingRequests(),
    settings,
    runs,
    streamSettings,
    manualStreamOwner: new ManualStreamOwner(new Callbacks(settings.callbacks, app, {}))
  }
  const registered: Registered[] = []

  app.decorate('sse', new Facade(hub, registry, stats, runMethods(runs, streamSettings, app.log)))
  instances.set(app.server, [...instances.get(app.server) ?? [], app])

  app.decorate('sseRoute', function (this: FastifyInstance, url: string | SSERouteOptions, options?: Omit<SSERouteOptions, 'url'>) {
    const { declared, stream, rest } = readRouteOptions(settings, typeof url === 'string' ? { ...options, url } : url, this.prefix)
    const route = new Route(this, shared, declared, stream)
    warnOfEventNames(this, declared, rest)
    const handler: RouteOptions['handler'] = (request, reply) => route.handle(request, reply)
    const schema = declared.events ? forceSerializerSetup(rest.schema) : rest.schema
    const first = registered.length
    this.route(Object.assign({ ...rest, schema, handler }, { [ROUTE]: route }))
    // adds its onSend hook last: here all onRoute hooks have run, which may add onSend hooks
    for (const { options } of registered.slice(first)) appendPipeHook(options)
    return this
  })

  app.decorateReply('sse', replySSE)
  function replySSE (this: FastifyReply, options?: SSEManualOptions): SSEStream
  function replySSE (this: FastifyReply, source: unknown, options?: SSEReplyOptions): Promise<void>
  function replySSE (this: FastifyReply, first?: unknown, second?: unknown): SSEStream | Promise<void> {
    return replyWithStream(shared, this, first, second)
  }

  app.addHook('onRoute', function (options) {
    const route: Route | undefined = Reflect.get(options, ROUTE)
    if (route === undefined) {
      options.handler = wrapHandler(options.handler)
      // waits by `after`, which calls back once all onRoute hooks have run, but before Fastify reads the hooks of the route
      if (options.config?.sse === true && options.method !== 'HEAD') this.after(() => appendPipeHook(options))
    } else if (options.method !== 'HEAD') {
      const events = { events: route.declared.events, gaps: route.gaps, others: route.otherResponses }
      registered.push({ route, options, checkSchemas: openapi === false ? undefined : describeRoute(this, options, events, openapi.transform) })
    }
  })

  app.addHook('onReady', async () => {
    for (const { route, options, checkSchemas } of registered) {
      route.compile(options)
      removeForcedResponse(options)
      checkSchemas?.()
    }
  })

  app.addHook('onError', async (_request, reply, error) => sendRefusal(reply, error))

  app.addHook('preClose', async () => {
    shared.pendingRequests.close()
    await Promise.all([runs.stopAll(), registry.drain()])
  })
  app.addHook('onClose', async () => {
    await runs.close()
    await hub.close()
  })
  watchEarlierRoutes(app)

  await hub.open()
}

/**
 * Returns a route's schema with a `response`, which is empty if it had none. Fastify makes the serializer compiler, which compiles
 * the schemas in `events`, only for routes with a `response`, and has no public way to ask for this compiler.
 */
function forceSerializerSetup (schema: FastifySchema | undefined): FastifySchema {
  return { ...schema, response: Object.assign({}, schema?.response) }
}

/** Removes an empty `response`, which `forceSerializerSetup` may have added, because an OpenAPI document with it would be invalid. */
function removeForcedResponse ({ schema }: RouteOptions): void {
  if (schema?.response && Object.keys(schema.response).length === 0) delete schema.response
}

/** Adds `pipeEventStream` as the last onSend hook of a route. Fastify reads `options.onSend` only later, at `ready`, so that the change takes effect. */
function appendPipeHook (options: RouteOptions): void {
  options.onSend = [options.onSend ?? [], pipeEventStream].flat()
}

/**
 * Throws if the instance, a parent or a child has the plugin already, because each registration would store only part of the published events.
 * @throws SSE_ERR_REGISTERED
 */
function refuseSecond (app: FastifyInstance): void {
  // looks at `app.sse` of parents, because the package's other build (ESM or CJS) has another map `instances`
  const inherited = app.hasDecorator('sse') && Reflect.has(Object(app.sse), STATS)
  const children = instances.get(app.server)?.filter((other) => Object.prototype.isPrototypeOf.call(app, other)) ?? []
  if (inherited || children.length > 0) throw new SSE_ERR_REGISTERED()
}

/** Logs a warning for declared events named `error` or `open`. EventSource also dispatches events of these names, when a connection fails or opens. */
function warnOfEventNames ({ log }: FastifyInstance, { events = {} }: RouteDeclaration, { method, url }: Pick<RouteOptions, 'method' | 'url'>): void {
  const names = ['error', 'open'].filter((name) => Object.hasOwn(events, name)).map((name) => `"${name}"`)
  if (names.length === 0) return
  const declared = `${names.length === 1 ? 'the event' : 'the events'} ${names.join(' and ')}`
  log.warn(`The SSE route ${method} ${url} declares ${declared}: EventSource dispatches its own events by that name, so that listeners cannot tell them apart`)
}

/** The Fastify plugin, for `app.register`, see docs/options.md. @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_REGISTERED at `register` */
export const sse = fastifyPlugin(plugin, { fastify: '5.x', name: 'fastify-sse-routes' })
export default sse
