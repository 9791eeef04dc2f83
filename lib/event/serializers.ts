import type { FastifyInstance, FastifySerializerCompiler, RouteOptions } from 'fastify'
import { dataLines, type DataWriter, plainData, serialize, type Serializer } from './encode.js'
import { list, ofCause, SSE_ERR_SCHEMA, SSE_ERR_SERIALIZATION, SSE_ERR_UNKNOWN_EVENT, describeValue } from '../errors.js'
import type { EventSchemas } from './types.js'
import { isStandardSchema, toJSONSchema } from './standard-schema.js'

const OF_ROUTE = 'the route\'s "events"'

/** The route or the definition of a topic that declares events. `method` and `url` name it in error messages, and serializer compilers get them. */
export interface Declarer extends Pick<RouteOptions, 'serializerCompiler'> {
  readonly method: string | string[]
  readonly url: string
}

/** Returns true if the `type` of a schema is `string`. Data of that schema is text, which is sent unchanged. */
export function isText (schema: unknown): boolean {
  const described = jsonOf(schema)
  return typeof described === 'object' && described !== null && 'type' in described && described.type === 'string'
}

/** Returns a schema as an object, because Fastify's serializer compilers take only objects. Converts a function, which a schema of ArkType is, to JSON Schema. */
function jsonOf (schema: unknown): unknown {
  return typeof schema === 'function' && isStandardSchema(schema) ? toJSONSchema(schema, ['draft-2020-12']) ?? {} : schema
}

/**
 * Creates the function that encodes event data on a route with declared `events`, or for a topic whose definition declares them.
 * Fastify's serializer compiler, of the route or of the instance, makes a serializer for each event, as it does for the schemas
 * of a response.
 *
 * @param app the Fastify instance of the route; it has to be ready
 * @param where names `events` in an error message
 * @throws SSE_ERR_SCHEMA if a schema does not compile. The created function throws SSE_ERR_UNKNOWN_EVENT and
 * SSE_ERR_SERIALIZATION
 */
export function compileEvents (app: FastifyInstance, declarer: Declarer, events: EventSchemas, where = OF_ROUTE): DataWriter {
  /** The serializer of each event, by event name; null for an event whose data is text, which needs no serializer. */
  const serializers = new Map<string, Serializer | null>()
  for (const [name, schema] of Object.entries(events)) serializers.set(name, isText(schema) ? null : compile(app, declarer, name, schema))
  return (data, event) => {
    const serializer = serializers.get(event)
    if (serializer === undefined) throw new SSE_ERR_UNKNOWN_EVENT(describeValue(event), where, list(serializers.keys()))
    if (data === undefined) return ''
    if (serializer !== null) return dataLines(serialize(serializer, data, event))
    if (typeof data !== 'string') throw new SSE_ERR_SERIALIZATION(describeValue(event), `its schema is a string, got ${describeValue(data)}`)
    return dataLines(data)
  }
}

/**
 * Creates a function that writes the `data:` lines of an event whose data is text, such as an event of another server, on a
 * route with declared `events`. The created function uses no serializer. It throws SSE_ERR_UNKNOWN_EVENT for an event that the route does not declare.
 */
export function declaredText (events: EventSchemas): DataWriter {
  const write = plainData()
  return (data, event) => {
    if (!Object.hasOwn(events, event)) throw new SSE_ERR_UNKNOWN_EVENT(describeValue(event), OF_ROUTE, list(Object.keys(events)))
    return write(data, event)
  }
}

/** Makes a serializer from the schema of one event, by the serializer compiler of `declarer` or else of `app`. @throws SSE_ERR_SCHEMA if the compiler throws */
function compile (app: FastifyInstance, { serializerCompiler, url, ...declarer }: Declarer, name: string, schema: unknown): Serializer {
  const method = String(declarer.method)
  const compiler = (serializerCompiler ?? app.serializerCompiler) as FastifySerializerCompiler<unknown>
  try {
    return compiler({ schema: jsonOf(schema), method, url, httpStatus: '200' })
  } catch (cause) {
    throw Object.assign(new SSE_ERR_SCHEMA(name, `${method} ${url}`, ofCause(cause)), { cause })
  }
}
