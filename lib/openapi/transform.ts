import type { FastifyInstance, RouteOptions } from 'fastify'
import { ofCause, SSE_ERR_OPENAPI } from '../errors.js'
import { isStandardSchema, type Schema, type SchemaSide, type StandardSchema, toJSONSchema } from '../event/standard-schema.js'
import type { EventSchemas } from '../event/types.js'
import type { SSESwaggerTransform } from '../types.js'
import { dataSchema, type Definitions, type Dialect, dialectOf, eventStreamMedia, isObject, jsonSchema, withGap } from './schema.js'

/** The events of a route that its OpenAPI description lists. */
export interface DescribedEvents {
  /** The schemas of the option `events`, by event name. A route without them is described as one that sends any event. */
  events?: EventSchemas
  /** Whether the route may also send the event `gap`, which says that events are missing. */
  gaps: boolean
  /** Descriptions of responses without an event stream, by status. */
  others?: Readonly<Record<string, string>>
}

const EVENT_STREAM = 'text/event-stream'
// the names under which a route's schema has schemas of the request, without `query`: Fastify copies it to `querystring` before `onReady`
const REQUEST_PARTS = ['body', 'querystring', 'params', 'headers']

/**
 * Sets a route's `config.swaggerTransform`, by which @fastify/swagger describes the route's event stream
 * (https://github.com/fastify/fastify-swagger#transform). @fastify/swagger calls this function once for each document, in place of its
 * global `transform`. The version of the document decides how much of an event stream can be described.
 *
 * @param options the options of the route, as an `onRoute` hook gets them. @fastify/swagger reads them when it builds a document
 * @param transform called before the event stream is added. If the route already has a `swaggerTransform`, calls that
 * function instead; if the route's `swaggerTransform` is `false`, calls none
 * @returns a function to call in `onReady`, when all plugins are loaded: throws SSE_ERR_OPENAPI for a schema that needs a transform
 */
export function describeRoute (app: FastifyInstance, options: RouteOptions, events: DescribedEvents, transform?: SSESwaggerTransform): () => void {
  const { swaggerTransform: inner = transform }: { swaggerTransform?: SSESwaggerTransform | false } = Object(options.config)
  const swaggerTransform: SSESwaggerTransform = (route) => {
    const given = { ...route, schema: route.schema ?? {} }
    const { schema, url } = inner ? inner(given) : given
    const version = 'openapiObject' in route ? route.openapiObject.openapi : route.swaggerObject.swagger
    return { schema: describe(Object(schema ?? given.schema), events, dialectOf(version)), url }
  }
  options.config = Object.assign({}, options.config, { swaggerTransform })
  return () => { if (!inner && app.hasPlugin('@fastify/swagger')) refuseUnknownSchemas(options) }
}

/**
 * Checks that the libraries of a route's schemas convert them to JSON Schema. Otherwise a document would show internals of a library.
 * @throws SSE_ERR_OPENAPI
 */
function refuseUnknownSchemas ({ method, url, schema }: RouteOptions): void {
  const given: Schema = Object(schema)
  if (given.hide) return
  mapSchemas(given, (part, side, name) => {
    const refuse = (reason: string) => new SSE_ERR_OPENAPI(name, `${String(method)} ${url}`, reason)
    try {
      if (toJSONSchema(part, ['draft-2020-12'], side) !== undefined) return part
    } catch (cause) {
      throw Object.assign(refuse(ofCause(cause)), { cause })
    }
    throw refuse('')
  })
}

/**
 * Returns a route's schema with each Standard Schema in it replaced by the result of `map`. `name` says where the schema was, such as
 * `body` or `response.404`.
 */
function mapSchemas (schema: Schema, map: (part: StandardSchema, side: SchemaSide, name: string) => unknown): Schema {
  const response = isObject(schema.response) && Object.fromEntries(Object.entries(schema.response).map(([status, part]) =>
    [status, mapPart(part, (part) => map(part, 'output', `response.${status}`))]))
  const request = REQUEST_PARTS.filter((name) => schema[name] !== undefined).map((name) => [name, mapPart(schema[name], (part) => map(part, 'input', name))])
  return { ...schema, ...Object.fromEntries(request), ...(response && { response }) }
}

/** Replaces the Standard Schemas of one body, query or response: the part itself, or in its `content` one for each media type. */
function mapPart (part: unknown, map: (schema: StandardSchema) => unknown): unknown {
  if (isStandardSchema(part)) return map(part)
  if (!isObject(part) || !isObject(part.content)) return part
  const content = Object.entries(part.content).map(([type, media]) => [type, isObject(media) && isStandardSchema(media.schema) ? { ...media, schema: map(media.schema) } : media])
  return { ...part, content: Object.fromEntries(content) }
}

/**
 * Converts a schema to JSON Schema that contains all schemas to which it refers, because @fastify/swagger resolves each body,
 * query or response separately.
 */
function selfContained (part: StandardSchema, dialect: Dialect, side: SchemaSide): Schema {
  const definitions: Definitions = new Map()
  const schema = jsonSchema(part, dialect, definitions, side)
  // adds them in `contains`: @fastify/swagger makes components of nested schemas only, and drops `contains` beside a reference
  if (typeof schema.$ref === 'string') return { ...schema, contains: { anyOf: [...definitions.values()] } }
  const place = (schema: Schema): Schema => JSON.parse(JSON.stringify(schema), (_key, value) => {
    const definition = definitions.get(Object(value).$ref)
    if (definition === undefined) return value
    definitions.delete(value.$ref)
    return place(definition)
  })
  return definitions.size === 0 ? schema : place(schema)
}

/** Returns a route's schema with its event stream added to the response. Declarations of the application for this response take precedence. */
function describe (given: Schema, { events: declaredEvents = {}, gaps, others = {} }: DescribedEvents, dialect: Dialect): Schema {
  const schema = mapSchemas(given, (part, side) => selfContained(part, dialect, side))
  const events = gaps ? withGap(declaredEvents, dialect) : declaredEvents
  const responses = isObject(schema.response) ? schema.response : {}
  const status = Object.keys(responses).find((key) => /^2(00|xx)$/i.test(key)) ?? '200'
  const withoutStream = Object.fromEntries(Object.entries(others).map(([status, description]) => [status, { description, type: 'null' }]))
  const definitions: Definitions = new Map()
  const {
    description = summary(events), 'x-response-description': ownDescription = description, headers, content, ...body
  } = jsonSchema(Object(given.response)[status], dialect, definitions)
  const response = { description: ownDescription, ...(isObject(headers) && { headers }) }
  // undefined also if the application declared the response with the type null, which means no body
  const declared = body.type === 'null' || Object.keys(body).length === 0 ? undefined : body

  if (dialect === '2.0') {
    const described = { ...(declared ?? dataSchema(events, dialect)), ...response }
    return { produces: [EVENT_STREAM], ...schema, response: { ...withoutStream, ...responses, [status]: described } }
  }
  const media = { ...eventStreamMedia(events, dialect, definitions), ...(declared && { schema: declared }) }
  const types = mediaTypes({ [EVENT_STREAM]: media }, content, dialect, definitions)
  // `contains` does not appear in the document. It is for @fastify/swagger, which does not look for schemas with an `$id` in `content`
  const described = { ...response, content: types, contains: { anyOf: [dataSchema(events, dialect), ...definitions.values()] } }
  return { ...schema, response: { ...withoutStream, ...responses, [status]: described } }
}

/** Returns the default description of a response. It lists the event names, because not every viewer of documents shows `itemSchema`. */
function summary (events: EventSchemas): string {
  const names = Object.keys(events).join(', ')
  return names === '' ? 'Server-sent events' : `Server-sent events: ${names}`
}

/** Adds the media types that the application declared for a response to `content`, and returns `content`. Declared values replace those in `content`. */
function mediaTypes (content: Record<string, Schema>, declared: unknown, dialect: Dialect, definitions: Definitions): Record<string, Schema> {
  for (const [type, media] of Object.entries(isObject(declared) ? declared : {})) {
    if (isObject(media)) content[type] = { ...content[type], ...media, schema: jsonSchema(media.schema, dialect, definitions) }
  }
  return content
}
