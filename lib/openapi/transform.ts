import type { FastifyInstance, RouteOptions } from 'fastify'
import { ofCause, SSE_ERR_OPENAPI } from '../errors.js'
import { isStandardSchema, type Schema, type SchemaSide, type StandardSchema, toJSONSchema } from '../event/standard-schema.js'
import type { EventSchemas } from '../event/types.js'
import type { SSESwaggerTransform } from '../types.js'
import { dataSchema, type Definitions, type Dialect, dialectOf, eventStreamMedia, isObject, jsonSchema, withGap } from './schema.js'

/** The events that a route sends, as its description needs them. */
export interface DescribedEvents {
  /** The declared events. A route that declares none is described as one that sends any event. */
  events?: EventSchemas
  /** Whether the route may also send the event `gap`. */
  gaps: boolean
}

const EVENT_STREAM = 'text/event-stream'
// Fastify copies the alias `query` to `querystring` before `onReady`
const REQUEST_PARTS = ['body', 'querystring', 'params', 'headers']

/**
 * Sets a route's `config.swaggerTransform`, by which @fastify/swagger describes the route's event stream
 * (https://github.com/fastify/fastify-swagger#transform). @fastify/swagger calls it once for each document, in place of its
 * global `transform`. The version of the document decides how much of an event stream can be described.
 *
 * @param options the object that an `onRoute` hook gets. @fastify/swagger keeps it and reads it when it builds a document
 * @param transform called first. A `swaggerTransform` that the route has is called in its place; `false` disables both
 * @returns a check to call in `onReady`, when all plugins are loaded; it throws SSE_ERR_OPENAPI
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

/** Refuses schemas of libraries without a conversion to JSON Schema, because a document would show their internals. @throws SSE_ERR_OPENAPI */
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

/** Replaces the Standard Schemas of a route's schema; `name` is the place of one, such as `body` or `response.404`. */
function mapSchemas (schema: Schema, map: (part: StandardSchema, side: SchemaSide, name: string) => unknown): Schema {
  const response = isObject(schema.response) && Object.fromEntries(Object.entries(schema.response).map(([status, part]) =>
    [status, mapPart(part, (part) => map(part, 'output', `response.${status}`))]))
  const request = REQUEST_PARTS.filter((name) => schema[name] !== undefined).map((name) => [name, mapPart(schema[name], (part) => map(part, 'input', name))])
  return { ...schema, ...Object.fromEntries(request), ...(response && { response }) }
}

/** A part may have one schema for each media type, in `content`. */
function mapPart (part: unknown, map: (schema: StandardSchema) => unknown): unknown {
  if (isStandardSchema(part)) return map(part)
  if (!isObject(part) || !isObject(part.content)) return part
  const content = Object.entries(part.content).map(([type, media]) => [type, isObject(media) && isStandardSchema(media.schema) ? { ...media, schema: map(media.schema) } : media])
  return { ...part, content: Object.fromEntries(content) }
}

/** Converts a schema and places its definitions in it, because @fastify/swagger resolves each body, query or response separately. */
function selfContained (part: StandardSchema, dialect: Dialect, side: SchemaSide): Schema {
  const definitions: Definitions = new Map()
  const schema = jsonSchema(part, dialect, definitions, side)
  // @fastify/swagger makes no component of the outermost schema, and drops `contains` beside a reference
  if (typeof schema.$ref === 'string') return { ...schema, contains: { anyOf: [...definitions.values()] } }
  const place = (schema: Schema): Schema => JSON.parse(JSON.stringify(schema), (_key, value) => {
    const definition = definitions.get(Object(value).$ref)
    if (definition === undefined) return value
    definitions.delete(value.$ref)
    return place(definition)
  })
  return definitions.size === 0 ? schema : place(schema)
}

/** A route's schema with its event stream added. The user's own description of the response takes precedence. */
function describe (given: Schema, { events: declaredEvents = {}, gaps }: DescribedEvents, dialect: Dialect): Schema {
  const schema = mapSchemas(given, (part, side) => selfContained(part, dialect, side))
  const events = gaps ? withGap(declaredEvents, dialect) : declaredEvents
  const responses = isObject(schema.response) ? schema.response : {}
  const status = Object.keys(responses).find((key) => /^2(00|xx)$/i.test(key)) ?? '200'
  const definitions: Definitions = new Map()
  const {
    description = summary(events), 'x-response-description': ownDescription = description, headers, content, ...body
  } = jsonSchema(Object(given.response)[status], dialect, definitions)
  const response = { description: ownDescription, ...(isObject(headers) && { headers }) }
  // a response without a body is declared as null
  const declared = body.type === 'null' || Object.keys(body).length === 0 ? undefined : body

  if (dialect === '2.0') {
    const described = { ...(declared ?? dataSchema(events, dialect)), ...response }
    return { produces: [EVENT_STREAM], ...schema, response: { ...responses, [status]: described } }
  }
  const media = { ...eventStreamMedia(events, dialect, definitions), ...(declared && { schema: declared }) }
  const types = mediaTypes({ [EVENT_STREAM]: media }, content, dialect, definitions)
  // `contains` is not shown beside `content`: @fastify/swagger looks for schemas with an `$id` in it, and not in `content`
  const described = { ...response, content: types, contains: { anyOf: [dataSchema(events, dialect), ...definitions.values()] } }
  return { ...schema, response: { ...responses, [status]: described } }
}

/** Description of a response that the user does not describe. It names the events, because not every viewer shows `itemSchema`. */
function summary (events: EventSchemas): string {
  const names = Object.keys(events).join(', ')
  return names === '' ? 'Server-sent events' : `Server-sent events: ${names}`
}

/** Merges the `content` that the user declared into a response's `content`. */
function mediaTypes (content: Record<string, Schema>, declared: unknown, dialect: Dialect, definitions: Definitions): Record<string, Schema> {
  for (const [type, media] of Object.entries(isObject(declared) ? declared : {})) {
    if (isObject(media)) content[type] = { ...content[type], ...media, schema: jsonSchema(media.schema, dialect, definitions) }
  }
  return content
}
