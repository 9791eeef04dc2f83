import { isText } from '../event/serializers.js'
import type { EventSchemas } from '../event/types.js'
import { isStandardSchema, type Schema, type SchemaSide, toJSONSchema } from '../event/standard-schema.js'

export type { Schema }

/** The specification that an OpenAPI document follows: Swagger 2.0, OpenAPI 3.0 or 3.1, or OpenAPI 3.2 and later (`3.2`). */
export type Dialect = '2.0' | '3.0' | '3.1' | '3.2'

/** Schemas, by `$id`, to which the description of a route refers. @fastify/swagger makes them components of the document. */
export type Definitions = Map<string, Schema>

/** A media type object of OpenAPI: the description of a body of one media type. */
interface Media extends Schema {
  schema: Schema
}

/** Returns the specification that a document follows. @param version the version in the document, such as `3.1.0` */
export function dialectOf (version: string): Dialect {
  const dialect = version.slice(0, 3)
  return dialect === '2.0' || dialect === '3.0' || dialect === '3.1' ? dialect : '3.2'
}

/**
 * Returns the media type object of `text/event-stream` for a route that sends these events.
 *
 * In OpenAPI 3.2 (https://spec.openapis.org/oas/v3.2.0#media-type-object) `itemSchema` describes one event, and `schema` the
 * whole stream: any value. In earlier versions `x-itemSchema` describes one event, and `schema` is the union of the data of
 * all events, because client generators read `schema` as the type of one event's data.
 */
export function eventStreamMedia (events: EventSchemas, dialect: Dialect, definitions?: Definitions): Media {
  const item = eventSchema(events, dialect, definitions)
  return dialect === '3.2' ? { schema: {}, itemSchema: item } : { schema: dataSchema(events, dialect, definitions), 'x-itemSchema': item }
}

/**
 * Returns the union of the schemas of all events' data, as parsed by a client. The `title` of each schema in the union has the
 * names of its events. Allows any value for a route without `events`.
 */
export function dataSchema (events: EventSchemas, dialect: Dialect, definitions?: Definitions): Schema {
  const distinct = new Map<string, { schema: Schema, names: string[] }>()
  for (const [name, event] of Object.entries(events)) {
    const schema = jsonSchema(event, dialect, definitions)
    const key = JSON.stringify(schema)
    distinct.set(key, { schema, names: [...distinct.get(key)?.names ?? [], name] })
  }
  const [first, ...others] = distinct.values()
  if (first === undefined || others.length === 0) return first?.schema ?? {}
  // allows any value in Swagger 2.0, which does not have unions
  return dialect === '2.0' ? {} : { anyOf: [first, ...others].map(({ schema, names }) => titled(schema, names.join(', '))) }
}

/** Adds a title, which viewers of documents show, to a schema in a union. Returns references, components and schemas with a title unchanged. */
function titled (schema: Schema, title: string): Schema {
  return '$ref' in schema || '$id' in schema || 'title' in schema ? schema : { title, ...schema }
}

/** Adds the event `gap`, which tells a client that it has missed events, to a route's events. If none are declared, adds nothing, as any event is allowed. */
export function withGap (events: EventSchemas, dialect: Dialect): EventSchemas {
  // adds nothing in Swagger 2.0: it describes only one type of data, and that of the declared events is more useful
  if (Object.keys(events).length === 0 || dialect === '2.0') return events
  const id = dialect === '3.0' ? { type: 'string', nullable: true } : { type: ['string', 'null'] }
  const gap = { type: 'object', properties: { lastEventId: id, oldestId: id }, required: ['lastEventId', 'oldestId'], description: 'Events were left out: load the state anew' }
  return { ...events, gap: events.gap ?? gap }
}

/** Returns a schema that any event of a route matches: one alternative for each declared event, with its name and data. */
function eventSchema (events: EventSchemas, dialect: Dialect, definitions?: Definitions): Schema {
  const alternatives = Object.entries(events).map(([name, schema]) => ({ title: name, event: event(nameSchema(name), data(schema, dialect, definitions), name === 'message') }))
  const [first, ...others] = alternatives
  if (first === undefined) return event({ type: 'string' }, { type: 'string' }, true)
  return others.length === 0 ? first.event : { oneOf: alternatives.map(({ title, event }) => ({ title, ...event })) }
}

/** Returns the schema of an event with the fields event, data, id and retry. `unnamed`: the field event may be missing, as in a `message`. */
function event (name: Schema, data: Schema, unnamed: boolean): Schema {
  return {
    type: 'object',
    properties: { event: name, data, id: { type: 'string' }, retry: { type: 'integer', minimum: 0 } },
    required: unnamed ? ['data'] : ['event', 'data']
  }
}

// uses `enum` for a single name, because OpenAPI 3.0 does not have `const`
function nameSchema (name: string): Schema {
  return { type: 'string', enum: [name] }
}

/** Returns the schema of an event's field `data`: plain text if the declared schema is a string, otherwise JSON text. */
function data (schema: unknown, dialect: Dialect, definitions?: Definitions): Schema {
  const value = jsonSchema(schema, dialect, definitions)
  if (isText(schema)) return value
  // OpenAPI 3.0 does not have contentMediaType and contentSchema, but allows any keyword that begins with x-
  return dialect === '3.0'
    ? { type: 'string', 'x-contentMediaType': 'application/json', 'x-contentSchema': value }
    : { type: 'string', contentMediaType: 'application/json', contentSchema: value }
}

/**
 * Converts a schema to JSON Schema; a schema of another library is converted by https://standardschema.dev/json-schema. If a
 * type in an event or a response has an id in zod's registry, the result refers to a component of the document. The
 * `jsonSchemaTransformObject` of fastify-type-provider-zod adds this component.
 *
 * @param definitions the map that gets the schemas to which the result refers: a type that contains itself, and types that the
 * conversion has named. These schemas cannot stay in the result, because in the document `#` refers to the whole document
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

/** Returns an `$id` for a schema object. Each call for the same object returns the same `$id`, so that all references lead to one definition. */
function idOf (schema: object): string {
  const id = ids.get(schema) ?? `sse-data-${++count}`
  ids.set(schema, id)
  return id
}

/**
 * Moves schemas from the `$defs` of a schema to `definitions`, and changes the references to them. In Swagger 2.0, which has no
 * place for such schemas, each reference becomes a schema that allows any value.
 */
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

/** Decodes one token of a JSON Pointer (RFC 6901): `~1` is a slash, `~0` a tilde. */
function unescape (token: string): string {
  return token.replaceAll('~1', '/').replaceAll('~0', '~')
}

/**
 * Replaces `examples` in a schema by `example`, the first of the examples, because OpenAPI 3.0 does not have `examples`.
 * @fastify/swagger does this too, but not in schemas of a media type.
 */
function withExample (schema: Schema): Schema {
  return Object.fromEntries(Object.entries(schema).map(([key, value]) =>
    key === 'examples' && Array.isArray(value) ? ['example', value[0]] : [key, Array.isArray(value) ? value.map(within) : within(value)]))
}

/** Returns a value within a schema with `example` in place of `examples`. Returns schemas of other libraries unchanged. */
function within (value: unknown): unknown {
  return isObject(value) && !('~standard' in value) ? withExample(value) : value
}

/** Returns whether a value is an object and not null. True for an array as well. */
export function isObject (value: unknown): value is Schema {
  return typeof value === 'object' && value !== null
}
