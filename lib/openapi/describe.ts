import type { FastifyInstance, RouteOptions } from 'fastify'
import { dataSchema, type Definitions, type Dialect, dialectOf, eventStreamMedia, isObject, jsonSchema, type Schema, withGap } from './schema.js'
import type { EventSchemas } from '../event/types.js'

/** A route as the plugin's `onRoute` hook saw it. */
export interface DescribedRoute {
  /** The instance the route belongs to. */
  app: FastifyInstance
  /** The very object the hook was given: @fastify/swagger keeps it and reads it when a document is built. */
  options: RouteOptions
  /** The events the route declares; any event is described without them. */
  events?: EventSchemas
  /** Whether it may also send the event `gap`. */
  gaps: boolean
}

type BuildDocument = (...args: unknown[]) => unknown
type Changes = { schema?: Schema, config?: Schema }

const EVENT_STREAM = 'text/event-stream'

/**
 * Makes the documents that @fastify/swagger builds describe these routes' event streams. To be called once all
 * plugins are loaded, in `onReady`. Without @fastify/swagger it does nothing.
 *
 * What can be said depends on the document's version, which is known only while the document is built, and must be
 * said before the user's own `transform` sees the route. So the function that builds the document is replaced by one
 * that gives the routes their description for as long as it runs; Fastify itself never sees it.
 */
export function describeRoutes (routes: readonly DescribedRoute[]): void {
  for (const instance of instancesOf(routes)) {
    for (const [name, value] of Object.entries(instance)) {
      if (buildsDocument(value)) Object.assign(instance, { [name]: describing(value, routes) })
    }
  }
}

/** A route's instance and those around it: where there is a document with the route, one of them has the function that builds it. */
function instancesOf (routes: readonly DescribedRoute[]): Set<Schema> {
  const instances = new Set<Schema>()
  for (const { app } of routes) {
    for (let instance: unknown = app; isObject(instance); instance = Object.getPrototypeOf(instance)) instances.add(instance)
  }
  return instances
}

// The name of the decorator is the user's choice. What gives the function away is the route option that it reads.
function buildsDocument (value: unknown): value is BuildDocument {
  return typeof value === 'function' && Function.prototype.toString.call(value).includes('swaggerTransform')
}

/** Ends a build that was begun only to learn the document's version; so nothing of it is kept or shown. */
class Learned extends Error {
  constructor (readonly version: string) {
    super(`the document's version is ${version}`)
  }
}

/** What the user's `transform` takes for a response: JSON Schema, as Fastify does, or a type of zod's, as fastify-type-provider-zod's. */
type Form = (response: Schema) => unknown

const forms: readonly Form[] = [(response) => response, asZodType]

// A type that says by itself what it is in an OpenAPI document; zod writes into what it is given.
function asZodType (response: Schema): unknown {
  return { _zod: { traits: new Set(['$ZodType']), def: { type: 'custom' }, toJSONSchema: () => ({ ...response }) } }
}

function describing (build: BuildDocument, routes: readonly DescribedRoute[]): BuildDocument {
  let described: Changes[] | undefined

  return (...args) => {
    if (described !== undefined) return withChanges(routes, described, () => build(...args))

    let dialect: Dialect
    try {
      const learning = routes.map(({ options: { config } }) => ({ config: { ...config, swaggerTransform: learnVersion } }))
      // nothing is thrown, and the document complete, where none of the routes is in it
      return withChanges(routes, learning, () => build(...args))
    } catch (error) {
      if (!(error instanceof Learned)) throw error
      dialect = dialectOf(error.version)
    }

    const refusals: unknown[] = []
    for (const form of forms) {
      const changes = routes.map((route) => ({ schema: describe(route, dialect, form) }))
      try {
        const document = withChanges(routes, changes, () => build(...args))
        described = changes
        return document
      } catch (error) {
        refusals.push(error)
      }
    }
    const document = build(...args)
    described = []
    routes[0]?.app.log.warn({ err: refusals[0] }, 'SSE routes are not described: a transform of @fastify/swagger does not take their description')
    return document
  }
}

/** A route's `swaggerTransform`, the one way by which @fastify/swagger tells the version. */
function learnVersion (document: { openapiObject: { openapi: string } } | { swaggerObject: { swagger: string } }): never {
  throw new Learned('openapiObject' in document ? document.openapiObject.openapi : document.swaggerObject.swagger)
}

function withChanges<Result> (routes: readonly DescribedRoute[], changes: readonly Changes[], run: () => Result): Result {
  const before = routes.map(({ options: { schema, config } }) => ({ schema, config }))
  try {
    routes.forEach(({ options }, index) => Object.assign(options, changes[index]))
    return run()
  } finally {
    routes.forEach(({ options }, index) => Object.assign(options, before[index]))
  }
}

/** A route's schema with its event stream among what the user wrote of its responses, which wins. */
function describe ({ options: { schema }, events: declaredEvents = {}, gaps }: DescribedRoute, dialect: Dialect, form: Form): Schema {
  const events = gaps ? withGap(declaredEvents, dialect) : declaredEvents
  const responses = isObject(schema?.response) ? schema.response : {}
  const status = Object.keys(responses).find((key) => /^2(00|xx)$/i.test(key)) ?? '200'
  const definitions: Definitions = new Map()
  const {
    description = summary(events), 'x-response-description': ownDescription = description, headers, content, ...body
  } = jsonSchema(responses[status], dialect, definitions)
  const response = { description: ownDescription, ...(isObject(headers) && { headers }) }
  // null is how a response without a body is declared
  const declared = body.type === 'null' || Object.keys(body).length === 0 ? undefined : body

  if (dialect === '2.0') {
    const described = { ...(declared ?? dataSchema(events, dialect)), ...response }
    return { produces: [EVENT_STREAM], ...schema, response: { ...responses, [status]: described } }
  }
  const media = { ...eventStreamMedia(events, dialect, definitions), ...(declared && { schema: declared }) }
  const types = mediaTypes({ [EVENT_STREAM]: media }, content, dialect, definitions)
  // not shown beside `content`: @fastify/swagger looks for schemas with an `$id` here and not there, and the transform
  // of fastify-type-provider-zod takes the `$id` from what is in an `anyOf` of the response itself
  const described = { ...response, content: types, contains: { anyOf: [dataSchema(events, dialect), ...definitions.values()] } }
  return { ...schema, response: { ...responses, [status]: form(described) } }
}

/** What a response is called that the user does not describe; with the names, since not every viewer shows `itemSchema`. */
function summary (events: EventSchemas): string {
  const names = Object.keys(events).join(', ')
  return names === '' ? 'Server-sent events' : `Server-sent events: ${names}`
}

/** A response's `content` with what the user declared of it. */
function mediaTypes (content: Record<string, Schema>, declared: unknown, dialect: Dialect, definitions: Definitions): Record<string, Schema> {
  for (const [type, media] of Object.entries(isObject(declared) ? declared : {})) {
    if (isObject(media)) content[type] = { ...content[type], ...media, schema: jsonSchema(media.schema, dialect, definitions) }
  }
  return content
}
