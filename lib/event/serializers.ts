import type { FastifyInstance, FastifySerializerCompiler, RouteOptions } from 'fastify'
import { dataLines, type DataWriter, plainData, serialize, type Serializer } from './encode.js'
import { list, ofCause, SSE_ERR_SCHEMA, SSE_ERR_SERIALIZATION, SSE_ERR_UNKNOWN_EVENT, describeValue } from '../errors.js'
import type { EventSchemas } from './types.js'
import { isStandardSchema, toJSONSchema } from './standard-schema.js'

/** Whether the data of an event with this schema is text, written as it is: a schema whose `type` is `string`. */
export function isText (schema: unknown): boolean {
  const described = jsonOf(schema)
  return typeof described === 'object' && described !== null && 'type' in described && described.type === 'string'
}

/** A schema that is a function, as those of ArkType are, as JSON Schema, because no serializer compiler takes it; any other as it is. */
function jsonOf (schema: unknown): unknown {
  return typeof schema === 'function' && isStandardSchema(schema) ? toJSONSchema(schema, ['draft-2020-12']) ?? {} : schema
}

/**
 * The data writer of a route that declares events: one serializer for each, made by Fastify's serializer
 * compiler, the route's own or the instance's, as for the schemas of a response.
 *
 * @param app the instance of the route, ready
 * @throws SSE_ERR_SCHEMA; the writer itself throws SSE_ERR_UNKNOWN_EVENT and SSE_ERR_SERIALIZATION
 */
export function compileEvents (app: FastifyInstance, route: RouteOptions, events: EventSchemas): DataWriter {
  /** Null for text. */
  const serializers = new Map<string, Serializer | null>()
  for (const [name, schema] of Object.entries(events)) serializers.set(name, isText(schema) ? null : compile(app, route, name, schema))
  return (data, event) => {
    const serializer = serializers.get(event)
    if (serializer === undefined) throw new SSE_ERR_UNKNOWN_EVENT(describeValue(event), list(serializers.keys()))
    if (data === undefined) return ''
    if (serializer !== null) return dataLines(serialize(serializer, data, event))
    if (typeof data !== 'string') throw new SSE_ERR_SERIALIZATION(describeValue(event), `its schema is a string, got ${describeValue(data)}`)
    return dataLines(data)
  }
}

/**
 * The writer of data that is text already, for a route that declares events: no serializer is applied to it.
 * The writer throws SSE_ERR_UNKNOWN_EVENT.
 */
export function declaredText (events: EventSchemas): DataWriter {
  const write = plainData()
  return (data, event) => {
    if (!Object.hasOwn(events, event)) throw new SSE_ERR_UNKNOWN_EVENT(describeValue(event), list(Object.keys(events)))
    return write(data, event)
  }
}

function compile (app: FastifyInstance, route: RouteOptions, name: string, schema: unknown): Serializer {
  const method = String(route.method)
  const compiler = (route.serializerCompiler ?? app.serializerCompiler) as FastifySerializerCompiler<unknown>
  try {
    return compiler({ schema: jsonOf(schema), method, url: route.url, httpStatus: '200' })
  } catch (cause) {
    throw Object.assign(new SSE_ERR_SCHEMA(name, `${method} ${route.url}`, ofCause(cause)), { cause })
  }
}
