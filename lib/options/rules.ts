// Tested by test/options/read.test.ts
import { validateHeaderName, validateHeaderValue } from 'node:http'
import type { FastifyRequest } from 'fastify'
import { SSE_ERR_OPTION, SSE_ERR_PAYLOAD, describeValue } from '../errors.js'
import { TIMEOUT_MAX } from '../timer-list.js'
import { isStandardSchema } from '../event/standard-schema.js'
import { isRouteTopic } from './topics.js'
import type { RunSettings } from '../runs/runs.js'
import type { SSEPluginOptions, SSEReplyOptions, SSERouteOptions, SSERunOptions, SSEStreamOptions } from '../types.js'

/** The check of one option's value, and its words for the error message. */
export interface Rule {
  /** The values that the option may have, in words, for the error message. */
  takes: string
  /** Returns whether the option may have this value. */
  test (value: unknown): boolean
  /** Returns the wrong part of a refused value, in words for the error message; undefined if the whole value is wrong. */
  wrong? (value: unknown): string | undefined
}

/** The rules of a set of options: one for each option, by its name. */
export type Rules<Options> = { readonly [Name in keyof Options]-?: Rule }

const milliseconds: Rule = {
  takes: `ms above 0, at most ${TIMEOUT_MAX}`,
  test: (value) => typeof value === 'number' && value > 0 && value <= TIMEOUT_MAX
}
const millisecondsOrOff: Rule = {
  takes: `ms from 0 (off) to ${TIMEOUT_MAX}`,
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

/** Rules of the stream options, which `register`, `sseRoute` and `reply.sse()` all take. */
export const streamRules: Rules<SSEStreamOptions> = {
  heartbeat: { takes: `ms from 1 to ${TIMEOUT_MAX}, or 0 or false for never`, test: (value) => value === false || value === 0 || (milliseconds.test(value) && Number(value) >= 1) },
  retry: wholeMilliseconds,
  headers: anObject('an object of header names and their text', areHeaders),
  serializer: aFunction,
  maxBufferedBytes: count('a whole number of bytes, 0 or more', 0),
  overflow: oneOf('replay', 'disconnect', 'drop'),
  stallTimeout: millisecondsOrOff,
  idleTimeout: millisecondsOrOff,
  maxLifetime: millisecondsOrOff,
  flushInterval: millisecondsOrOff
}

const limitRules = {
  maxStreams: count('a whole number above 0', 1),
  maxStreamsPerClient: {
    takes: '{ max: a whole number above 0, key?: a function }, or a list of them',
    test: (value: unknown) => Array.isArray(value) ? [...value].every(isClientLimit) : isClientLimit(value)
  }
}

/** Rule of an option that holds an event. Accepts every value, because `checkEvent` checks the event later, by encoding it. */
const anEvent: Rule = { takes: 'an event', test: () => true }

/** Rules of all options of the plugin, which the application gives at `register`. */
export const pluginRules: Rules<SSEPluginOptions> = {
  ...streamRules,
  clientId: aFunction,
  ...limitRules,
  history: orFalse(anObject('{ size?: whole events, 0 or more, maxAge?: ms, 0 or more, maxBytes?: whole bytes, 0 or more }', isHistory)),
  backplane: aFunction,
  drain: anObject(`{ spread?: whole ms, 0 or more, event?: an event, timeout?: ms from 0 to ${TIMEOUT_MAX} }`, (value) => {
    const { spread = 0, event: _, timeout = 0, ...others } = value as { spread?: unknown, event?: unknown, timeout?: unknown }
    return isEmpty(others) && wholeMilliseconds.test(spread) && millisecondsOrOff.test(timeout)
  }),
  openapi: {
    takes: 'true, false or { transform?: a function }',
    test: (value) => aBoolean.test(value) || (isOptions(value) && isTransform(value))
  },
  onConnect: aFunction,
  onDisconnect: aFunction,
  onError: aFunction
}

/** Rules of the options of `reply.sse()`, without the stream options. */
export const replyRules: Rules<Omit<SSEReplyOptions, keyof SSEStreamOptions>> = {
  onError: aFunction,
  onDisconnect: aFunction,
  openOn: oneOf('request', 'first-event'),
  items: oneOf('payload', 'data'),
  end: anEvent,
  resumable: anObject('{ key, keep?, maxBytes?, maxDuration?, abandonAfter?, onBusy? }', isOptions)
}

/** Rules of the options of `sseRoute`, without the stream options and those of Fastify. */
export const routeRules: Rules<RouteDeclaration> = {
  ...replyRules,
  accept: oneOf('strict', 'any'),
  clientId: aFunction,
  ...limitRules,
  events: {
    ...anObject('an object of event names and their schemas, at least one; a schema is an object, as { type: \'string\' }, or a function that follows Standard Schema',
      (value) => Object.keys(value).length > 0 && wrongSchema(value) === undefined),
    wrong: wrongSchema
  },
  interval: milliseconds,
  payload: aFunction,
  payloadTimeout: millisecondsOrOff,
  immediate: aBoolean,
  shared: { takes: 'true, false or a function', test: (value) => aBoolean.test(value) || aFunction.test(value) },
  source: aFunction,
  topics: {
    takes: 'an array of topics, strings that are not empty or results of defineTopic, or a function',
    test: (value) => Array.isArray(value) ? [...value].every(isRouteTopic) : aFunction.test(value) && !isRouteTopic(value)
  },
  rewind: { takes: 'a whole number of events, 0 or more, or \'all\'', test: (value) => value === 'all' || (Number.isSafeInteger(value) && Number(value) >= 0) },
  onGap: aFunction,
  expires: aFunction,
  onConnect: aFunction,
  resume: aFunction
}

/** Rules of the options of a run, in `resumable` and of `app.sse.start`. */
export const runRules: Rules<SSERunOptions> = {
  keep: millisecondsOrOff,
  maxBytes: count('a whole number of bytes above 0', 1),
  maxDuration: milliseconds,
  abandonAfter: millisecondsOrOff,
  onBusy: oneOf('join', 'refuse', 'restart')
}

/** The options of `sseRoute` without the stream options and those of Fastify. `payloadTimeout` and `items` have their defaults. */
export type RouteDeclaration = Pick<SSERouteOptions,
  'accept' | 'clientId' | 'maxStreams' | 'maxStreamsPerClient' | 'events' | 'interval' | 'payload' | 'immediate' | 'shared' | 'source' | 'openOn' | 'end' |
  'topics' | 'rewind' | 'onGap' | 'expires' | 'onConnect' | 'onDisconnect' | 'onError' | 'resume'> & Required<Pick<SSERouteOptions, 'payloadTimeout' | 'items'>> &
  { resumable?: RunSettings & { key: (request: FastifyRequest) => unknown } }

/** Returns whether a value is a plain object, as options are, and not an instance of a class such as EventEmitter, Observable, Map or Headers. */
export function isOptions (value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  // tests for the end of the prototype chain, because each realm has another `Object.prototype`
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function isHistory ({ size = 0, maxAge = 0, maxBytes = 0, ...others }: { size?: unknown, maxAge?: unknown, maxBytes?: unknown }): boolean {
  const counts = [size, maxBytes].every((count) => Number.isSafeInteger(count) && Number(count) >= 0)
  return isEmpty(others) && counts && typeof maxAge === 'number' && maxAge >= 0
}

function isTransform ({ transform = String, ...others }: { transform?: unknown }): boolean {
  return isEmpty(others) && typeof transform === 'function'
}

/** Returns whether `others`, which holds the properties of an option with unknown names, is empty. An unknown name is most likely misspelt. */
function isEmpty (others: object): boolean {
  return Object.keys(others).length === 0
}

function isClientLimit (value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const { max, key, ...others } = value as { max?: unknown, key?: unknown }
  return isEmpty(others) && Number.isSafeInteger(max) && Number(max) > 0 && (key === undefined || typeof key === 'function')
}

function isSchema (value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || isStandardSchema(value)
}

/** Describes, for the error message, the first event whose schema is neither an object nor a Standard Schema; undefined if there is no such event. */
function wrongSchema (events: unknown): string | undefined {
  if (!isOptions(events)) return
  const [name, schema] = Object.entries(events).find(([, schema]) => !isSchema(schema)) ?? []
  return name === undefined ? name : `${describeValue(schema)} as the schema of ${describeValue(name)}`
}

function areHeaders (value: object): boolean {
  // refuses a Map or a Headers object, which has no own properties, so that it would be taken for an empty object
  if (!isOptions(value)) return false
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

/**
 * Checks the event in an option when the option is read, although the event is sent only later. Encodes the event and discards the text.
 * @throws SSE_ERR_OPTION for an event that cannot be encoded or is empty, with the error of the encoder as `cause`
 */
export function checkEvent (name: string, event: unknown, encodeEvent: (event: unknown) => string): void {
  if (event === undefined) return
  try {
    if (encodeEvent(event) === '') throw new SSE_ERR_PAYLOAD(`nothing to write, ${describeValue(event)}`)
  } catch (cause) {
    throw Object.assign(new SSE_ERR_OPTION(name, anEvent.takes, 'one that cannot be sent'), { cause })
  }
}
