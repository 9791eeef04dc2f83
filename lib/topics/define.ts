// Tested by test/pubsub/typed-topics.test.ts
import type { EventSchemas } from '../event/types.js'
import type { DefinedTopic, RequestTopic, Topic, TopicArguments, TopicDefinition, TopicOptions, TopicValues } from './types.js'

/*
 * Pages in browsers can import this file, because it imports only types. So it creates its errors without lib/errors.ts, which needs Node.
 */

/** The property of definitions, topics and results of `from` that tells them apart. `Symbol.for`, because the package has two builds (ESM and CJS). */
const KIND = Symbol.for('fastify-sse-routes.topic')

const PLACEHOLDER = /\{([\w$-]+)\}/g
/** Matches a placeholder beside a character that an encoded value may have. The end of such a value could not be told from the text of the pattern. */
const UNSEPARATED = /[\w%-]\{|\}[\w%{-]/
/** Matches a character that `encodeURIComponent` leaves and that may separate placeholders. Values keep only letters, digits, `_` and `-`, so that UUIDs stay readable. */
const SEPARATOR = /[.!~*'()]/g

/**
 * Defines topics and the events that are published to them. The result is a plain value without an app, for publishers, routes and
 * clients (`EventsOf`). Called with values for the placeholders, it returns a topic: `orders({ id: 42 })` is `order:42`.
 *
 * @param pattern the name of the topics, with placeholders such as `{id}`. Text beside a placeholder begins and ends with a
 * character such as `:`, `/` or `.`, because values are encoded so that they have none of these
 * @throws SSE_ERR_OPTION
 */
export function defineTopic<const Pattern extends string, const Events extends EventSchemas = {}> (pattern: Pattern, options: TopicOptions<Events> = {}): TopicDefinition<Pattern, Events> {
  checkOptions(pattern, options)
  const placeholders = [...new Set(Array.from(pattern.matchAll(PLACEHOLDER), ([, name = '']) => name))]
  const { events, history = {} } = options
  const define = (...[values]: TopicArguments<Pattern>): Topic<Events> => {
    const name = pattern.replace(PLACEHOLDER, (_, placeholder: string) => encodeValue(pattern, placeholder, values))
    return Object.freeze({ name, definition, toString: () => name, [KIND]: 'topic' })
  }
  const from = <Request>(values: (request: Request) => TopicValues<Pattern> | Promise<TopicValues<Pattern>>): RequestTopic<Events, Request> => {
    if (typeof values !== 'function') throw failure('SSE_ERR_OPTION', `The option "from" of the topic ${quote(pattern)} takes a function, got ${typeof values}`)
    return Object.freeze({ definition, values, [KIND]: 'request' })
  }
  const definition = Object.freeze(Object.assign(define, { pattern, placeholders, events, history, from, [KIND]: 'definition' }))
  return definition
}

/** A definition whose values are checked when the code runs. */
type Unchecked = DefinedTopic & ((values: unknown) => Topic)

/** Returns whether a value is the result of `defineTopic`. */
export function isDefinition (value: unknown): value is Unchecked {
  return kindOf(value) === 'definition'
}

/** Returns whether a value is a topic of a definition, such as `orders({ id: 42 })`. */
export function isTopic (value: unknown): value is Topic {
  return kindOf(value) === 'topic'
}

/** Returns whether a value is the result of `from` of a definition. */
export function isRequestTopic (value: unknown): value is RequestTopic<EventSchemas, unknown> & { definition: Unchecked } {
  return kindOf(value) === 'request'
}

function kindOf (value: unknown): unknown {
  return (typeof value === 'object' && value !== null) || typeof value === 'function' ? Reflect.get(value, KIND) : undefined
}

/** Returns the text of a placeholder's value in the name of a topic. @throws SSE_ERR_TOPIC for a value that is missing, empty or of a wrong type */
function encodeValue (pattern: string, placeholder: string, values: unknown): string {
  const value: unknown = typeof values === 'object' && values !== null && Object.hasOwn(values, placeholder) ? Reflect.get(values, placeholder) : undefined
  if ((typeof value === 'string' && value !== '' && !/\p{Surrogate}/u.test(value)) || Number.isFinite(value)) {
    return encodeURIComponent(String(value)).replace(SEPARATOR, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
  }
  throw failure('SSE_ERR_TOPIC', `The placeholder "${placeholder}" of the topic ${quote(pattern)} takes a finite number or a string that is not empty, got ${describe(value)}`)
}

function checkOptions (pattern: unknown, options: unknown): void {
  if (typeof pattern !== 'string' || pattern === '' || UNSEPARATED.test(pattern) || /[{}]/.test(pattern.replace(PLACEHOLDER, ''))) {
    throw wrong('pattern', 'text such as "order:{id}", with a character such as : / or . between a placeholder and other text', describe(pattern))
  }
  const { events, history, ...others } = isRecord(options) ? options : { '': options }
  const [unknown] = Object.keys(others)
  if (unknown !== undefined) throw wrong('options', 'an object { events?, history? }', isRecord(options) ? `one with ${quote(unknown)}` : describe(options))
  if (events !== undefined && !(isRecord(events) && Object.keys(events).length > 0 && Object.values(events).every(isSchema))) {
    throw wrong('events', 'an object of event names and their schemas, at least one', isRecord(events) ? 'one without events, or with a value that is no schema' : describe(events))
  }
  if (isRecord(events) && 'gap' in events) throw wrong('events', 'no event "gap", which is the plugin\'s own', 'one')
  if (history !== undefined && !isLimits(history)) throw wrong('history', '{ size?: whole events, 0 or more, maxAge?: ms, 0 or more }', describe(history))
}

function isRecord (value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Returns whether a value can be a schema. Functions are allowed, because the schemas of ArkType are functions. */
function isSchema (value: unknown): boolean {
  return (typeof value === 'object' && value !== null) || typeof value === 'function'
}

function isLimits (value: unknown): boolean {
  if (!isRecord(value)) return false
  const { size = 0, maxAge = 0, ...others } = value
  return Object.keys(others).length === 0 && Number.isSafeInteger(size) && Number(size) >= 0 && typeof maxAge === 'number' && maxAge >= 0
}

function wrong (option: string, takes: string, got: string): Error {
  return failure('SSE_ERR_OPTION', `The option "${option}" of defineTopic takes ${takes}, got ${got}`)
}

/** Creates an error like those of lib/errors.ts. */
function failure (code: 'SSE_ERR_OPTION' | 'SSE_ERR_TOPIC', message: string): Error {
  return Object.assign(new TypeError(message), { code, statusCode: 500 })
}

function describe (value: unknown): string {
  if (typeof value === 'string') return quote(value)
  if (value === null || typeof value === 'number') return String(value)
  return Array.isArray(value) ? 'an array' : typeof value
}

function quote (text: string): string {
  return JSON.stringify(text.length > 40 ? `${text.slice(0, 40)}…` : text)
}
