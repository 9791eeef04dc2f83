// Tested by test/pubsub/typed-topics.test.ts
import { isDeepStrictEqual } from 'node:util'
import { describeValue } from '../errors.js'
import type { EventSchemas } from '../event/types.js'
import { isDefinition, isRequestTopic, isTopic } from '../topics/define.js'
import type { DefinedTopic } from '../topics/types.js'
import { isNonEmptyString } from '../topic.js'
import type { SSERouteOptions } from '../types.js'

/** Returns whether a value is an entry of the option `topics` of a route. */
export function isRouteTopic (value: unknown): boolean {
  return isNonEmptyString(value) || isDefinition(value) || isTopic(value) || isRequestTopic(value)
}

/** Returns the schemas of all events that a route declares: in its option `events`, and by the typed topics in its option `topics`. Undefined if it declares none. */
export function declaredEvents ({ events, topics }: Pick<SSERouteOptions, 'events' | 'topics'>): EventSchemas | undefined {
  const ofTopics = definitionsIn(topics).flatMap(({ events = {} }) => Object.entries(events))
  // not Object.assign, because an event may have the name `__proto__`
  return ofTopics.length === 0 ? events : Object.fromEntries([...ofTopics, ...Object.entries(events ?? {})])
}

/** Returns an error message if the typed topics of a route do not go with its URL or its events; otherwise undefined. @param url the URL with the prefix of the instance */
export function topicConflict ({ events, topics }: Pick<SSERouteOptions, 'events' | 'topics'>, url: string): string | undefined {
  const parameters = parametersOf(url)
  for (const topic of listed(topics)) {
    const missing = isDefinition(topic) && topic.placeholders.find((name) => !parameters.includes(name))
    if (missing) return `its url has no parameter ":${missing}" for the topic ${describeValue(topic.pattern)}; "from" of the topic takes a function that returns the value`
  }
  const schemas = new Map<string, unknown>(Object.entries(events ?? {}))
  for (const { events, pattern } of definitionsIn(topics)) {
    for (const [name, schema] of Object.entries(events ?? {})) {
      if (schemas.has(name) && !isDeepStrictEqual(schemas.get(name), schema)) return `the topic ${describeValue(pattern)} declares the event ${describeValue(name)} with another schema than its "events" or another topic`
      schemas.set(name, schema)
    }
  }
}

function listed (topics: SSERouteOptions['topics']): readonly unknown[] {
  return Array.isArray(topics) ? topics : []
}

/** Returns the definitions of the typed topics in an array of topics. A function that returns topics has none that are known before a request. */
function definitionsIn (topics: SSERouteOptions['topics']): DefinedTopic[] {
  return [...new Set(listed(topics).flatMap((topic) => isDefinition(topic) ? topic : isTopic(topic) || isRequestTopic(topic) ? topic.definition : []))]
}

/** Returns the names of the parameters in a URL of a route, as Fastify's router (find-my-way) reads them: `::` is a colon, and a name ends at `/`, `-`, `.`, `(` or `?`. */
function parametersOf (url: string): string[] {
  return Array.from(url.replaceAll('::', '').matchAll(/:([^/:.(?-]+)/g), ([, name = '']) => name)
}
