// Tested by test/pubsub/typed-topics.test.ts
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isDefinition, isRequestTopic } from '../topics/define.js'
import { nameOfTopic, topicList, validTopics } from '../topics/targets.js'
import type { RouteTopic } from '../topics/types.js'
import type { RouteDeclaration } from '../options/read.js'
import { isThenable } from './thenable.js'

/** The topics in the option `topics` of a route. */
export class RouteTopics {
  readonly #app: FastifyInstance
  readonly #declared: NonNullable<RouteDeclaration['topics']>
  /** The topics, if they are the same for each request. All streams of the route share this Set. */
  readonly #names: ReadonlySet<string> | undefined

  constructor (app: FastifyInstance, declared: NonNullable<RouteDeclaration['topics']>) {
    this.#app = app
    this.#declared = declared
    if (typeof declared !== 'function' && !declared.some(dependsOnRequest)) this.#names = validTopics(declared)
  }

  /** Returns the topics for a request, or a promise of them. @throws SSE_ERR_TOPIC and errors of the application, also by the promise */
  of (request: FastifyRequest): ReadonlySet<string> | Promise<ReadonlySet<string>> {
    if (this.#names !== undefined) return this.#names
    if (typeof this.#declared !== 'function') return namesOf(this.#declared, request)
    const given = this.#declared.call(this.#app, request)
    return isThenable(given) ? Promise.resolve(given).then((topics) => namesOf(topics, request)) : namesOf(given, request)
  }
}

function dependsOnRequest (topic: RouteTopic): boolean {
  return isDefinition(topic) || isRequestTopic(topic)
}

/** Returns the names of topics for a request; a promise of them if a function of `from` returned a promise. @param names the names so far */
function namesOf (topics: unknown, request: FastifyRequest, names = new Set<string>()): ReadonlySet<string> | Promise<ReadonlySet<string>> {
  for (const [index, topic] of topicList(topics).entries()) {
    const name = nameFor(topic, request)
    // awaits this name before it calls further functions, so that no promise is left whose rejection nothing handles
    if (isThenable(name)) return name.then((name) => namesOf(topicList(topics).slice(index + 1), request, names.add(name)))
    names.add(name)
  }
  return names
}

function nameFor (topic: unknown, request: FastifyRequest): string | Promise<string> {
  if (isDefinition(topic)) return topic(request.params).name
  if (!isRequestTopic(topic)) return nameOfTopic(topic)
  const values = topic.values(request)
  return isThenable(values) ? Promise.resolve(values).then((values) => topic.definition(values).name) : topic.definition(values).name
}
