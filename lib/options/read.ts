import type { FastifyRequest, RouteOptions } from 'fastify'
import type { Backplane, BackplaneFactory, HistorySettings } from '../backplane.js'
import { encode, encodePublished, plainData, type SSEPayload } from '../event/encode.js'
import { SSE_ERR_OPTION, SSE_ERR_ROUTE, SSE_ERR_SOURCE, SSE_ERR_UNKNOWN_OPTION, describeValue } from '../errors.js'
import { type OptionNames, refuseMistakes } from './names.js'
import { checkEvent, isOptions, pluginRules, replyRules, type RouteDeclaration, routeRules, type Rules, streamRules } from './rules.js'
import { readRunKey, readRunOptions } from './runs.js'
import { declaredEvents, topicConflict } from './topics.js'
import type { RunSettings } from '../runs/runs.js'
import type { DrainSettings, StreamSettings } from '../stream/settings.js'
import type { SSEPluginOptions, SSEReplyOptions, SSERouteOptions, SSEStreamOptions } from '../types.js'

export { isOptions, type RouteDeclaration }

const optionNames: OptionNames = {
  register: Object.keys(pluginRules),
  sseRoute: Object.keys({ ...streamRules, ...routeRules }),
  'reply.sse()': Object.keys({ ...streamRules, ...replyRules })
}

/** The options of the plugin after they were checked, with defaults for options that were not given. */
export interface PluginSettings {
  stream: StreamSettings
  clientId: ((request: FastifyRequest) => string) | undefined
  maxStreams: number
  maxStreamsPerClient: SSEPluginOptions['maxStreamsPerClient']
  history: HistorySettings
  backplane: BackplaneFactory | undefined
  drain: DrainSettings
  openapi: NonNullable<SSEPluginOptions['openapi']>
  callbacks: Pick<SSEPluginOptions, 'onConnect' | 'onDisconnect' | 'onError'>
}

const defaults: StreamSettings = {
  heartbeat: 15_000,
  retry: undefined,
  headers: {},
  serializer: JSON.stringify,
  maxBufferedBytes: 1_048_576,
  overflow: 'replay',
  stallTimeout: 60_000,
  idleTimeout: 0,
  maxLifetime: 0,
  flushInterval: 0
}

/**
 * Checks the value of each option that has a rule and is not undefined.
 * @throws SSE_ERR_OPTION for the first wrong value
 */
function check<Options> (options: Options, rules: Partial<Rules<Options>>): void {
  for (const name in rules) {
    const value = options[name]
    const rule = rules[name]
    if (value !== undefined && rule !== undefined && !rule.test(value)) throw new SSE_ERR_OPTION(name, rule.takes, rule.wrong?.(value) ?? describeValue(value))
  }
}

/**
 * Reads the plugin's options: checks them and adds the defaults.
 * @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION
 */
export function readPluginOptions (options: SSEPluginOptions): PluginSettings {
  refuseMistakes('register', options, optionNames)
  check(options, pluginRules)
  const { clientId, maxStreams = Infinity, maxStreamsPerClient, backplane, openapi = true, onConnect, onDisconnect, onError } = options
  const { spread = 3_000, event, timeout = 5_000 } = options.drain ?? {}
  const { size = 1_000, maxAge = 3_600_000, maxBytes = 67_108_864 } = options.history || (options.history === false ? { size: 0 } : {})
  const stream = merge(defaults, options)
  checkEvent('drain.event', event, (event) => encodePublished(event, plainData(stream.serializer)))
  const [history, drain] = [{ size, maxAge, maxBytes }, { spread, event, timeout }]
  return { stream, clientId, maxStreams, maxStreamsPerClient, history, backplane, drain, openapi, callbacks: { onConnect, onDisconnect, onError } }
}

/**
 * Checks the stream options of a route or of one call of `reply.sse()`. Returns the options, with values of `base` for options not given.
 * @throws SSE_ERR_OPTION
 */
function readStreamOptions (base: StreamSettings, options: SSEStreamOptions): StreamSettings {
  check(options, streamRules)
  return merge(base, options)
}

/** The options of one call of `reply.sse()` after they were checked. `settings` has the stream options, with defaults. */
export interface ReplySettings extends Pick<SSEReplyOptions, 'onError' | 'onDisconnect' | 'openOn' | 'end'> {
  settings: StreamSettings
  items: 'payload' | 'data'
  resumable: (RunSettings & { key: string }) | undefined
}

/**
 * Checks the options of `reply.sse()` and adds the defaults. Throws for every unknown name, because no other plugin reads these options.
 *
 * @param base the plugin's stream settings: values for options that are not given
 * @param options the second argument of `reply.sse()`, or the only argument
 * @param withSource whether the first argument is a source or a function. Otherwise `openOn`, `items` and `end` are refused
 * @throws SSE_ERR_UNKNOWN_OPTION for a misspelt option, or an option of the plugin or of routes
 * @throws SSE_ERR_OPTION for a wrong value
 * @throws SSE_ERR_SOURCE if the only argument is not an object of options, such as an event, an Observable or a Map
 */
export function readReplyOptions (base: StreamSettings, options: unknown, withSource: boolean): ReplySettings {
  if (!isOptions(options)) throw withSource ? new SSE_ERR_OPTION('options', 'an object of options', describeValue(options)) : new SSE_ERR_SOURCE(describeValue(options))
  const unknown = refuseMistakes('reply.sse()', options, optionNames)
  if (unknown !== undefined) {
    throw withSource
      ? new SSE_ERR_UNKNOWN_OPTION('reply.sse()', unknown, `it takes ${optionNames['reply.sse()'].join(', ')}`)
      : new SSE_ERR_SOURCE(`an object with "${unknown}", which is no option`)
  }
  const given: SSEReplyOptions = options
  const settings = readStreamOptions(base, given)
  check(given, replyRules)
  const { onError, onDisconnect, openOn, items, end, resumable } = given
  const sourceOnly = Object.entries({ openOn, items, end, resumable }).find(([, value]) => value !== undefined)
  if (!withSource && sourceOnly) throw new SSE_ERR_OPTION(sourceOnly[0], 'a source or a function before it', 'neither')
  checkEvent('end', end, (event) => encode(event, plainData(settings.serializer)))
  if (resumable && openOn !== undefined) throw new SSE_ERR_OPTION('openOn', 'no value with "resumable", because the source does not wait for a stream', describeValue(openOn))
  const run = resumable && { key: resumable.key, ...readRunOptions('resumable', resumable, ['key']) }
  return { settings, onError, onDisconnect, openOn, items: items ?? 'payload', end, resumable: run }
}

/**
 * Checks the options of `sseRoute`, adds the defaults and splits them: `declared` for the route, `stream` for its streams, `rest` for Fastify.
 * The `events` of `declared` include those of typed topics.
 *
 * @param prefix the prefix of the URLs of the instance
 * @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, SSE_ERR_ROUTE
 */
export function readRouteOptions (settings: PluginSettings, options: SSERouteOptions, prefix = ''): {
  declared: RouteDeclaration, stream: StreamSettings, rest: Omit<RouteOptions, 'handler'>
} {
  refuseMistakes('sseRoute', options, optionNames)
  const stream = readStreamOptions(settings.stream, options)
  check(options, routeRules)
  const events = declaredEvents(options)
  checkEvent('end', options.end, endEncoder({ ...options, events }, stream))
  const declared: Record<string, unknown> = {}
  const rest: Record<string, unknown> = { method: 'GET' }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(streamRules, name)) continue
    const part = Object.hasOwn(routeRules, name) ? declared : rest
    part[name] = value
  }
  const wrong = topicConflict(options, prefix + options.url) ?? conflict({ clientId: settings.clientId, ...declared, events }, stream, rest)
  if (wrong !== undefined) throw new SSE_ERR_ROUTE(String(rest.method), String(rest.url), wrong)
  const { resumable: given } = options
  const resumable = given && { key: readRunKey(given.key), ...readRunOptions('resumable', given, ['key']) }
  return { declared: { payloadTimeout: 30_000, items: 'payload', ...declared, ...(events && { events }), resumable }, stream, rest: rest as Omit<RouteOptions, 'handler'> }
}

/**
 * Returns an encoder to check the event in the option `end` of a route. On a route with `events` the encoder does not check the data,
 * because the schemas are compiled later, at `ready`.
 */
function endEncoder ({ events, topics }: SSERouteOptions, { serializer }: StreamSettings): (end: unknown) => string {
  const writeData = events === undefined ? plainData(serializer) : () => 'data\n'
  return (end) => topics === undefined ? encode(end, writeData) : encodePublished(end, writeData)
}

/** Returns an error message if two options of a route exclude each other, or an option needs another option that is not given; otherwise undefined. */
function conflict (declared: Partial<RouteDeclaration>, { overflow }: StreamSettings, rest: object): string | undefined {
  const { interval, payload, payloadTimeout, immediate, shared, source, openOn, items, end, topics, rewind, clientId, events, onConnect, resumable, resume } = declared
  if ('handler' in rest) return 'it takes no "handler"; use "payload", "source", "topics", "resume" or "onConnect"'
  if (payload && source) return '"payload" and "source" exclude each other'
  if (payload && interval === undefined) return '"payload" needs an "interval"'
  if (interval !== undefined && !payload) return '"interval" needs a "payload"'
  if (resume && (source || payload || topics || resumable)) return '"resume" reads a run that another route or app.sse.start has started, and excludes "source", "payload", "topics" and "resumable"'
  if (resumable && !source) return '"resumable" goes with "source"'
  if (resumable && topics) return '"resumable" and "topics" exclude each other, because the ids of events are those of the run'
  if (resumable && openOn !== undefined) return '"openOn" and "resumable" exclude each other, because the source does not wait for a stream'
  if (!payload && !source && !topics && !resume && !onConnect) return 'it needs at least one of "payload", "source", "topics", "resume" and "onConnect"'
  if (!payload && (immediate !== undefined || shared !== undefined)) return '"immediate" and "shared" go with "payload"'
  if (!payload && payloadTimeout !== undefined) return '"payloadTimeout" goes with "payload"'
  if (!topics && rewind !== undefined) return '"rewind" goes with "topics"'
  if (!source && openOn !== undefined) return '"openOn" goes with "source"'
  if (!source && end !== undefined) return '"end" goes with "source"'
  if (!source && !payload && items !== undefined) return '"items" goes with "source" or "payload"'
  if (events && items === 'data' && !Object.hasOwn(events, 'message')) return '"items" of \'data\' are events "message", which "events" does not declare'
  const last = nameOf(end)
  if (events && last !== undefined && !Object.hasOwn(events, last)) return `"end" is an event ${describeValue(last)}, which "events" does not declare`
  if (events && 'gap' in events && (topics || clientId || overflow === 'drop')) return 'the event "gap" is the plugin\'s own where there are "topics" or a "clientId", or "overflow" is \'drop\''
}

/** Returns new settings: the given stream options, and the values of `base` for the others. Headers of both are merged. */
function merge (base: StreamSettings, options: SSEStreamOptions): StreamSettings {
  const {
    heartbeat = base.heartbeat, retry = base.retry, serializer = base.serializer, maxBufferedBytes = base.maxBufferedBytes,
    overflow = base.overflow, idleTimeout = base.idleTimeout, maxLifetime = base.maxLifetime, flushInterval = base.flushInterval,
    stallTimeout = base.stallTimeout
  } = options
  const headers = { ...base.headers, ...options.headers }
  return { heartbeat: heartbeat || 0, retry, headers, serializer, maxBufferedBytes, overflow, idleTimeout, maxLifetime, flushInterval, stallTimeout }
}

/** Returns the name under which `events` has to declare an event, by default `message`; undefined for an event without data and name. */
function nameOf (event: unknown): string | undefined {
  if (typeof event !== 'object' || event === null) return event === undefined ? undefined : 'message'
  const { event: name, data } = event as SSEPayload
  return name || (data === undefined ? undefined : 'message')
}

/** Returns the result of the function in the option `backplane`. @throws SSE_ERR_OPTION if the result lacks a method of a Backplane */
export function asBackplane (made: Backplane): Backplane {
  for (const member of ['open', 'publish', 'control', 'read', 'rewind', 'close'] as const) {
    if (typeof made?.[member] !== 'function') throw new SSE_ERR_OPTION('backplane', 'a function that makes a Backplane', `one that gave ${describeValue(made)} without a method "${member}"`)
  }
  return made
}
