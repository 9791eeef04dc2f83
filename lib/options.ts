import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { FastifyRequest, RouteOptions } from 'fastify'
import type { BackplaneFactory } from './backplane.js'
import { type DataWriter, plainData } from './event.js'
import { SSE_ERR_OPTION, SSE_ERR_ROUTE, SSE_ERR_UNKNOWN_OPTION, show } from './errors.js'
import type { HistorySettings } from './history.js'
import { isName } from './names.js'
import { LONGEST } from './schedule.js'
import type { SSEClientLimit, SSEPluginOptions, SSERouteOptions, SSEStreamOptions } from './types.js'

/** What an option takes, in words, and whether a value is that. */
interface Rule {
  takes: string
  test (value: unknown): boolean
}

/** `options` by their rules; what is not given is left out, what has no rule is not looked at. */
type Rules<Options> = { readonly [Name in keyof Options]-?: Rule }

const milliseconds: Rule = {
  takes: `ms above 0, at most ${LONGEST}`,
  test: (value) => typeof value === 'number' && value > 0 && value <= LONGEST
}
const millisecondsOrOff: Rule = {
  takes: `ms from 0 (off) to ${LONGEST}`,
  test: (value) => value === 0 || milliseconds.test(value)
}
const wholeMilliseconds: Rule = {
  takes: 'whole ms, 0 or more',
  test: (value) => Number.isSafeInteger(value) && Number(value) >= 0
}
const aFunction: Rule = { takes: 'a function', test: (value) => typeof value === 'function' }
const aBoolean: Rule = { takes: 'true or false', test: (value) => typeof value === 'boolean' }
const anObject = (what: string, test: (value: object) => boolean): Rule =>
  ({ takes: what, test: (value) => typeof value === 'object' && value !== null && !Array.isArray(value) && test(value) })
const orFalse = ({ takes, test }: Rule): Rule => ({ takes: `false, or ${takes}`, test: (value) => value === false || test(value) })
const oneOf = (...values: string[]): Rule =>
  ({ takes: values.map((value) => `'${value}'`).join(' or '), test: (value) => typeof value === 'string' && values.includes(value) })
const count = (takes: string, least: number): Rule =>
  ({ takes, test: (value) => Number.isSafeInteger(value) && Number(value) >= least })

const streamRules: Rules<Omit<SSEStreamOptions, 'flushInterval'>> = {
  heartbeat: { takes: `ms from 1 to ${LONGEST}, or 0 or false for never`, test: (value) => value === false || value === 0 || (milliseconds.test(value) && Number(value) >= 1) },
  retry: wholeMilliseconds,
  headers: anObject('an object of header names and their text', areHeaders),
  serializer: aFunction,
  maxBufferedBytes: count('a whole number of bytes, 0 or more', 0),
  overflow: oneOf('disconnect', 'drop'),
  idleTimeout: millisecondsOrOff,
  maxLifetime: millisecondsOrOff
}

const pluginRules: Rules<Omit<SSEPluginOptions, 'flushInterval'>> = {
  ...streamRules,
  clientId: aFunction,
  maxStreams: count('a whole number above 0', 1),
  maxStreamsPerClient: anObject('{ max: a whole number above 0, key?: a function }', (value) => {
    const { max, key, ...others } = value as { max?: unknown, key?: unknown }
    return isEmpty(others) && Number.isSafeInteger(max) && Number(max) > 0 && (key === undefined || typeof key === 'function')
  }),
  history: orFalse(anObject('{ size?: whole events, 0 or more, maxAge?: ms, 0 or more }', isHistory)),
  backplane: aFunction,
  drain: anObject('{ spread: whole ms, 0 or more }', (value) => {
    const { spread, ...others } = value as { spread?: unknown }
    return isEmpty(others) && wholeMilliseconds.test(spread)
  }),
  openapi: aBoolean
}

const routeRules: Rules<RouteDeclaration> = {
  clientId: aFunction,
  events: anObject('an object with at least one event name and its schema', (value) => Object.keys(value).length > 0 && Object.values(value).every(isSchema)),
  interval: milliseconds,
  payload: aFunction,
  immediate: aBoolean,
  shared: { takes: 'true, false or a function', test: (value) => aBoolean.test(value) || aFunction.test(value) },
  source: aFunction,
  openOn: oneOf('request', 'first-event'),
  topics: {
    takes: 'an array of topics, strings that are not empty, or a function',
    test: (value) => aFunction.test(value) || (Array.isArray(value) && [...value].every(isName))
  },
  onConnect: aFunction,
  onDisconnect: aFunction,
  onError: aFunction
}

/** Fastify's own options of `register`. */
const OF_REGISTER = ['prefix', 'logLevel', 'logSerializers']

/** What a route declares, besides the options of its streams and Fastify's. */
export type RouteDeclaration = Pick<SSERouteOptions,
  'clientId' | 'events' | 'interval' | 'payload' | 'immediate' | 'shared' | 'source' | 'openOn' | 'topics' | 'onConnect' | 'onDisconnect' | 'onError'>

/** The options of a stream, complete but for `retry` and `headers`, which may be absent. */
export type StreamSettings = Required<Omit<SSEStreamOptions, 'retry' | 'heartbeat' | 'flushInterval'>> & { retry: number | undefined, heartbeat: number }

/** What a stream is told once, by the plugin's options and its route's; ms and bytes. */
export interface StreamOptions extends StreamSettings {
  writeData: DataWriter
}

/** Options with the data writer of a stream that declares no events. */
export function streamOptions (settings: StreamSettings): StreamOptions {
  return { ...settings, writeData: plainData(settings.serializer) }
}

/** The options of the plugin, complete. */
export interface PluginSettings {
  stream: StreamSettings
  clientId: ((request: FastifyRequest) => string) | undefined
  maxStreams: number
  maxStreamsPerClient: SSEClientLimit | undefined
  history: HistorySettings
  backplane: BackplaneFactory | undefined
  drain: { spread: number }
  openapi: boolean
}

const defaults: StreamSettings = {
  heartbeat: 15_000,
  retry: undefined,
  headers: {},
  serializer: JSON.stringify,
  maxBufferedBytes: 1_048_576,
  overflow: 'disconnect',
  idleTimeout: 0,
  maxLifetime: 0
}

/**
 * Checks those of `options` that `rules` know.
 * @throws SSE_ERR_OPTION
 */
function check<Options> (options: Options, rules: Partial<Rules<Options>>): void {
  for (const name in rules) {
    const value = options[name]
    const rule = rules[name]
    if (value !== undefined && rule !== undefined && !rule.test(value)) throw new SSE_ERR_OPTION(name, rule.takes, show(value))
  }
}

/**
 * The plugin's options, checked and complete.
 * @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION
 */
export function readPluginOptions (options: SSEPluginOptions): PluginSettings {
  for (const name in options) {
    if (!Object.hasOwn(pluginRules, name) && !OF_REGISTER.includes(name)) {
      throw new SSE_ERR_UNKNOWN_OPTION(name, Object.keys(pluginRules).join(', '))
    }
  }
  check(options, pluginRules)
  const { clientId, maxStreams = Infinity, maxStreamsPerClient, backplane, drain: { spread = 3_000 } = {}, openapi = true } = options
  const { size = 1_000, maxAge = 0 } = options.history || (options.history === false ? { size: 0 } : {})
  const history = { size, maxAge }
  return { stream: merge(defaults, options), clientId, maxStreams, maxStreamsPerClient: [maxStreamsPerClient].flat()[0], history, backplane, drain: { spread }, openapi }
}

/**
 * A route's or a single stream's options on top of the plugin's.
 * @throws SSE_ERR_OPTION
 */
export function readStreamOptions (base: StreamSettings, options: SSEStreamOptions): StreamSettings {
  check(options, streamRules)
  return merge(base, options)
}

/**
 * A route's options, checked, in three parts: what it declares, its streams' options, and what is left for Fastify.
 * @throws SSE_ERR_OPTION, SSE_ERR_ROUTE
 */
export function readRouteOptions (settings: PluginSettings, options: SSERouteOptions): {
  declared: RouteDeclaration, stream: StreamSettings, rest: Omit<RouteOptions, 'handler'>
} {
  const stream = readStreamOptions(settings.stream, options)
  check(options, routeRules)
  const declared: Record<string, unknown> = {}
  const rest: Record<string, unknown> = { method: 'GET' }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || Object.hasOwn(streamRules, name)) continue
    const part = Object.hasOwn(routeRules, name) ? declared : rest
    part[name] = value
  }
  const wrong = conflict({ clientId: settings.clientId, ...declared }, stream, rest)
  if (wrong !== undefined) throw new SSE_ERR_ROUTE(String(rest.method), String(rest.url), wrong)
  return { declared, stream, rest: rest as Omit<RouteOptions, 'handler'> }
}

/** Says which options of a route do not go together. */
function conflict (declared: RouteDeclaration, { overflow }: StreamSettings, rest: object): string | undefined {
  const { interval, payload, immediate, shared, source, openOn, topics, clientId, events, onConnect } = declared
  if ('handler' in rest) return 'it takes no "handler"; what it sends is said by "payload", "source", "topics" or "onConnect"'
  if (payload && source) return '"payload" and "source" exclude each other'
  if (payload && interval === undefined) return '"payload" needs an "interval"'
  if (interval !== undefined && !payload) return '"interval" needs a "payload"'
  if (!payload && !source && !topics && !onConnect) return 'it needs at least one of "payload", "source", "topics" and "onConnect"'
  if (!payload && (immediate !== undefined || shared !== undefined)) return '"immediate" and "shared" go with "payload"'
  if (!source && openOn !== undefined) return '"openOn" goes with "source"'
  if (events && 'gap' in events && (topics || clientId || overflow === 'drop')) return 'the event "gap" is the plugin\'s own where there are "topics" or a "clientId", or "overflow" is \'drop\''
}

function merge (base: StreamSettings, options: SSEStreamOptions): StreamSettings {
  const {
    heartbeat = base.heartbeat, retry = base.retry, serializer = base.serializer, maxBufferedBytes = base.maxBufferedBytes,
    overflow = base.overflow, idleTimeout = base.idleTimeout, maxLifetime = base.maxLifetime
  } = options
  const headers = { ...base.headers, ...options.headers }
  return { heartbeat: heartbeat || 0, retry, headers, serializer, maxBufferedBytes, overflow, idleTimeout, maxLifetime }
}

function isHistory ({ size = 0, maxAge = 0, ...others }: { size?: unknown, maxAge?: unknown }): boolean {
  return isEmpty(others) && Number.isSafeInteger(size) && Number(size) >= 0 && typeof maxAge === 'number' && maxAge >= 0
}

/** Whether nothing is left: what an option does not know would be a mistake unseen. */
function isEmpty (others: object): boolean {
  return Object.keys(others).length === 0
}

function isSchema (value: unknown): boolean {
  return typeof value === 'object' && value !== null
}

function areHeaders (value: object): boolean {
  // a Map, or a Headers, would be taken for an object without any
  const prototype = Object.getPrototypeOf(value)
  if (prototype !== Object.prototype && prototype !== null) return false
  try {
    for (const [name, text] of Object.entries(value)) {
      if (typeof text !== 'string') return false
      validateHeaderName(name)
      validateHeaderValue(name, text)
    }
    return true
  } catch {
    return false
  }
}
