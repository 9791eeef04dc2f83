import type { FastifyInstance, FastifySerializerCompiler, RouteOptions } from 'fastify'
import { dataLines, type DataWriter, serialize, type Serializer } from './event.js'
import { list, ofCause, SSE_ERR_SCHEMA, SSE_ERR_SERIALIZATION, SSE_ERR_UNKNOWN_EVENT, show } from './errors.js'
import type { EventSchemas } from './event-types.js'

/** Whether the data of an event with this schema is text, written as it is: a schema whose `type` is `string`. */
export function isText (schema: unknown): boolean {
  return typeof schema === 'object' && schema !== null && (schema as { type?: unknown }).type === 'string'
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
    if (serializer === undefined) throw new SSE_ERR_UNKNOWN_EVENT(show(event), list(serializers.keys()))
    if (data === undefined) return ''
    if (serializer !== null) return dataLines(serialize(serializer, data, event))
    if (typeof data !== 'string') throw new SSE_ERR_SERIALIZATION(show(event), `its schema is a string, got ${show(data)}`)
    return dataLines(data)
  }
}

function compile (app: FastifyInstance, route: RouteOptions, name: string, schema: unknown): Serializer {
  const method = String(route.method)
  const compiler = (route.serializerCompiler ?? app.serializerCompiler) as FastifySerializerCompiler<unknown>
  try {
    return compiler({ schema, method, url: route.url, httpStatus: '200' })
  } catch (cause) {
    throw Object.assign(new SSE_ERR_SCHEMA(name, `${method} ${route.url}`, ofCause(cause)), { cause })
  }
}
