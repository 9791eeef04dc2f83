import { isText } from '../event/serializers.js'
import type { EventSchemas } from '../event/types.js'
import { isStandardSchema, type Schema, type SchemaSide, toJSONSchema } from '../event/standard-schema.js'

export type { Schema }

/** The specification of a document: Swagger 2.0, or OpenAPI 3.0, 3.1, 3.2 and later (`3.2`). */
export type Dialect = '2.0' | '3.0' | '3.1' | '3.2'

/** Schemas that a description refers to by their `$id`. @fastify/swagger makes them components of the document. */
export type Definitions = Map<string, Schema>

/** A media type object of OpenAPI. */
interface Media extends Schema {
  schema: Schema
}

/** Returns the dialect of a document. @param version the version in the document, such as `3.1.0` */
export function dialectOf (version: string): Dialect {
  const dialect = version.slice(0, 3)
  return dialect === '2.0' || dialect === '3.0' || dialect === '3.1' ? dialect : '3.2'
}

/**
 * Returns the media type object of `text/event-stream` for a route that sends these events.
 *
 * OpenAPI 3.2 (https://spec.openapis.org/oas/v3.2.0#media-type-object) describes each event by `itemSchema`. Its `schema`
 * describes the whole stream, so that it stays open. In earlier versions `schema` is the union of all data, because client
 * generators take it for the data of an event; the event is in `x-itemSchema`.
 */
export function eventStreamMedia (events: EventSchemas, dialect: Dialect, definitions?: Definitions): Media {
  const item = eventSchema(events, dialect, definitions)
  return dialect === '3.2' ? { schema: {}, itemSchema: item } : { schema: dataSchema(events, dialect, definitions), 'x-itemSchema': item }
}

/** Returns the schema of the data of any event, as a client has it after parsing. For a route without declared events it is any value. */
export function dataSchema (events: EventSchemas, dialect: Dialect, definitions?: Definitions): Schema {
  const distinct = new Map(Object.values(events).map((event) => {
    const schema = jsonSchema(event, dialect, definitions)
    return [JSON.stringify(schema), schema]
  }))
  const [first = {}, ...others] = distinct.values()
  if (others.length === 0) return first
  // Swagger 2.0 does not have unions
  return dialect === '2.0' ? {} : { anyOf: [first, ...others] }
}

/** Adds the event `gap` to the declared events of a route. Without declared events nothing is added, because any event is described. */
export function withGap (events: EventSchemas, dialect: Dialect): EventSchemas {
  // Swagger 2.0 describes a single type of data, and the type of the declared events is more useful
  if (Object.keys(events).length === 0 || dialect === '2.0') return events
  const id = dialect === '3.0' ? { type: 'string', nullable: true } : { type: ['string', 'null'] }
  const gap = { type: 'object', properties: { lastEventId: id, oldestId: id }, required: ['lastEventId', 'oldestId'], description: 'Events were left out: load the state anew' }
  return { ...events, gap: events.gap ?? gap }
}

/** Returns the schema of one event: an alternative for each declared event, with its name fixed. */
function eventSchema (events: EventSchemas, dialect: Dialect, definitions?: Definitions): Schema {
  const alternatives = Object.entries(events).map(([name, schema]) => event(nameSchema(name), data(schema, dialect, definitions), name === 'message'))
  const [first = event({ type: 'string' }, { type: 'string' }, true), ...others] = alternatives
  return others.length === 0 ? first : { oneOf: [first, ...others] }
}

/** Returns the schema of an event: its fields, without comments. `unnamed`: the name may be missing, as for a `message`. */
function event (name: Schema, data: Schema, unnamed: boolean): Schema {
  return {
    type: 'object',
    properties: { event: name, data, id: { type: 'string' }, retry: { type: 'integer', minimum: 0 } },
    required: unnamed ? ['data'] : ['event', 'data']
  }
}

// with `enum`, because 3.0 does not have `const`
function nameSchema (name: string): Schema {
  return { type: 'string', enum: [name] }
}

/** Returns the schema of the field `data`: text, or text that is JSON. */
function data (schema: unknown, dialect: Dialect, definitions?: Definitions): Schema {
  const value = jsonSchema(schema, dialect, definitions)
  if (isText(schema)) return value
  // 3.0 does not have these two keywords, and allows additional ones that begin with x-
  return dialect === '3.0'
    ? { type: 'string', 'x-contentMediaType': 'application/json', 'x-contentSchema': value }
    : { type: 'string', contentMediaType: 'application/json', contentSchema: value }
}

/**
 * Converts a schema to JSON Schema; schemas of other libraries by https://standardschema.dev/json-schema. A type that an event
 * or a response refers to, and that has an id in zod's registry, is expected among the document's components, where the
 * `jsonSchemaTransformObject` of fastify-type-provider-zod puts it.
 *
 * @param definitions gets the schemas that the result refers to, because `#` is another document there: a type that contains
 * itself, and the other types that the conversion has named
 */
export function jsonSchema (schema: unknown, dialect: Dialect, definitions: Definitions = new Map(), side: SchemaSide = 'output'): Schema {
  const converted = isStandardSchema(schema) ? toJSONSchema(schema, dialect === '3.0' ? ['openapi-3.0', 'draft-2020-12'] : ['draft-2020-12'], side) : undefined
  if (isStandardSchema(schema) && converted !== undefined) {
    const areComponents = side === 'output' && schema['~standard'].vendor === 'zod'
    return hoist(converted, side === 'output' ? idOf(schema) : `${idOf(schema)}-input`, areComponents, dialect, definitions)
  }
  if (!isObject(schema)) return {}
  return dialect === '3.0' ? withExample(schema) : schema
}

const ids = new WeakMap<object, string>()
let count = 0

/** Returns the same `$id` for a schema wherever it is described, because @fastify/swagger keeps one schema of each `$id`. */
function idOf (schema: object): string {
  const id = ids.get(schema) ?? `sse-data-${++count}`
  ids.set(schema, id)
  return id
}

/** Moves the schemas that a schema refers to from its `$defs` to `definitions`. In Swagger 2.0, which has no place for them, they are any value. */
function hoist ({ $schema, $defs, definitions: defs, ...root }: Schema, id: string, areComponents: boolean, dialect: Dialect, definitions: Definitions): Schema {
  const local: Array<[string, unknown]> = Object.entries({ ...Object($defs), ...Object(defs) })
  const names = new Map(local.map(([name], index) => [name, areComponents && !/^__schema\d+$/.test(name) ? null : `${id}-${index + 1}`]))
  let refersToItself = false

  function refer (ref: string): Schema {
    if (ref === '#') refersToItself = true
    const [name] = /(?<=^#\/(\$defs|definitions)\/).*/.exec(ref) ?? []
    const moved = ref === '#' ? id : name === undefined ? ref : names.get(unescape(name)) ?? `#/components/schemas/${name}`
    return dialect === '2.0' ? {} : { $ref: moved }
  }
  const rewrite = (part: unknown): Schema => JSON.parse(JSON.stringify(part), (_key, value) => {
    if (!isObject(value) || typeof value.$ref !== 'string') return value
    const { $ref, ...others } = value
    return { ...others, ...refer(value.$ref) }
  })

  const schema = rewrite(root)
  for (const [name, definition] of local) {
    const $id = names.get(name)
    if ($id) definitions.set($id, { $id, ...rewrite(definition) })
  }
  if (!refersToItself || dialect === '2.0') return schema
  definitions.set(id, { $id: id, ...schema })
  return { $ref: id }
}

/** Decodes a token of a JSON Pointer. */
function unescape (token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~')
}

/** Replaces `examples` by `example`, because 3.0 has a single one. @fastify/swagger does so in all schemas but those of a media type. */
function withExample (schema: Schema): Schema {
  return Object.fromEntries(Object.entries(schema).map(([key, value]) =>
    key === 'examples' && Array.isArray(value) ? ['example', value[0]] : [key, Array.isArray(value) ? value.map(within) : within(value)]))
}

/** Applies `withExample` to a nested value, unless it is a schema of another library. */
function within (value: unknown): unknown {
  return isObject(value) && !('~standard' in value) ? withExample(value) : value
}

/** Returns whether a value is an object, also an array. */
export function isObject (value: unknown): value is Schema {
  return typeof value === 'object' && value !== null
}
