import { isText } from './serializer.js'
import type { EventSchemas } from './event-types.js'

/** A JSON Schema, or another object of an OpenAPI document. */
export type Schema = Record<string, unknown>

/** What a document can say, by its version: `2.0` is Swagger's, `3.2` also stands for what comes after it. */
export type Dialect = '2.0' | '3.0' | '3.1' | '3.2'

/** A media type object: `schema` and what may stand beside it. */
interface Media extends Schema {
  schema: Schema
}

/** @param version as a document names its own: `3.1.0`, `2.0` */
export function dialectOf (version: string): Dialect {
  const dialect = version.slice(0, 3)
  return dialect === '2.0' || dialect === '3.0' || dialect === '3.1' ? dialect : '3.2'
}

/**
 * What stands under `text/event-stream` for a route that sends these events.
 *
 * OpenAPI 3.2 (https://spec.openapis.org/oas/v3.2.0#media-type-object) describes each event by `itemSchema`; `schema`
 * stays open there, since it would be that of the whole stream. Before that `schema` is what client generators take
 * for the data of an event, the union of all data; the event is in `x-itemSchema`.
 */
export function eventStreamMedia (events: EventSchemas, dialect: Dialect): Media {
  const item = eventSchema(events, dialect)
  return dialect === '3.2' ? { schema: {}, itemSchema: item } : { schema: dataSchema(events, dialect), 'x-itemSchema': item }
}

/** The data of any of the events, as a client has it after parsing; any value for a route that declares no events. */
export function dataSchema (events: EventSchemas, dialect: Dialect): Schema {
  const distinct = new Map(Object.values(events).map((event) => {
    const schema = jsonSchema(event, dialect)
    return [JSON.stringify(schema), schema]
  }))
  const [first = {}, ...others] = distinct.values()
  if (others.length === 0) return first
  // Swagger 2.0 has no unions
  return dialect === '2.0' ? {} : { anyOf: [first, ...others] }
}

/** The events of a route that may send a `gap` besides those it declares; one that declares none may send any. */
export function withGap (events: EventSchemas, dialect: Dialect): EventSchemas {
  // where nothing but one type of data can be said, that of the route's events says more
  if (Object.keys(events).length === 0 || dialect === '2.0') return events
  const id = dialect === '3.0' ? { type: 'string', nullable: true } : { type: ['string', 'null'] }
  const gap = { type: 'object', properties: { lastEventId: id, oldestId: id }, required: ['lastEventId', 'oldestId'], description: 'Events were left out: load the state anew' }
  return { ...events, gap: events.gap ?? gap }
}

function eventSchema (events: EventSchemas, dialect: Dialect): Schema {
  const alternatives = Object.entries(events).map(([name, schema]) => event(nameSchema(name), data(schema, dialect), name === 'message'))
  const [first = event({ type: 'string' }, { type: 'string' }, true), ...others] = alternatives
  return others.length === 0 ? first : { oneOf: [first, ...others] }
}

/** An event as OpenAPI sees it: its fields, without comments. `unnamed`: an event without a name is a `message`. */
function event (name: Schema, data: Schema, unnamed: boolean): Schema {
  return {
    type: 'object',
    properties: { event: name, data, id: { type: 'string' }, retry: { type: 'integer', minimum: 0 } },
    required: unnamed ? ['data'] : ['event', 'data']
  }
}

// `enum`, as 3.0 has no `const`
function nameSchema (name: string): Schema {
  return { type: 'string', enum: [name] }
}

function data (schema: unknown, dialect: Dialect): Schema {
  const value = jsonSchema(schema, dialect)
  if (isText(schema)) return value
  // 3.0 does not have these two keywords and lets any be added that begins with x-
  return dialect === '3.0'
    ? { type: 'string', 'x-contentMediaType': 'application/json', 'x-contentSchema': value }
    : { type: 'string', contentMediaType: 'application/json', contentSchema: value }
}

/**
 * A schema as JSON Schema. Other libraries' give theirs through Standard JSON Schema (https://standardschema.dev/json-schema);
 * what has a name of its own there is expected among the document's components, where fastify-type-provider-zod puts it.
 */
export function jsonSchema (schema: unknown, dialect: Dialect): Schema {
  if (!isObject(schema)) return {}
  const standard = schema['~standard']
  if (!isObject(standard) || !isObject(standard.jsonSchema) || typeof standard.jsonSchema.output !== 'function') {
    return dialect === '3.0' ? withExample(schema) : schema
  }
  const target = dialect === '3.0' ? 'openapi-3.0' : 'draft-2020-12'
  // zod throws at what JSON Schema cannot say, such as a Date, unless told to let it be anything
  const { $schema, $defs, definitions, ...converted }: Schema = standard.jsonSchema.output({ target, libraryOptions: { unrepresentable: 'any' } })
  return JSON.parse(JSON.stringify(converted), (key, value) => key === '$ref' ? String(value).replace(/^#\/(\$defs|definitions)\//, '#/components/schemas/') : value)
}

/** 3.0 has one `example` in place of the list; @fastify/swagger sees to that in all schemas but those of a media type. */
function withExample (schema: Schema): Schema {
  return Object.fromEntries(Object.entries(schema).map(([key, value]) =>
    key === 'examples' && Array.isArray(value) ? ['example', value[0]] : [key, Array.isArray(value) ? value.map(within) : within(value)]))
}

function within (value: unknown): unknown {
  return isObject(value) && !('~standard' in value) ? withExample(value) : value
}

export function isObject (value: unknown): value is Schema {
  return typeof value === 'object' && value !== null
}
