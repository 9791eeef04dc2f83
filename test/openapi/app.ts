import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import sse, { type SSEPluginOptions } from '../../lib/index.js'

export interface SwaggerOptions extends Omit<FastifyDynamicSwaggerOptions, 'openapi'> {
  /** Version of the document. Default 3.2.0. */
  version?: string
  securitySchemes?: Record<string, { type: 'apiKey', in: string, name: string }>
}

/** Returns options of @fastify/swagger for a document of this version. */
export function openapi ({ version = '3.2.0', securitySchemes, ...options }: SwaggerOptions = {}): FastifyDynamicSwaggerOptions {
  return { openapi: { openapi: version, info: { title: 'test', version: '1' }, ...(securitySchemes && { components: { securitySchemes } }) }, ...options }
}

/** Makes an app that is ready, with @fastify/swagger, the plugin and these routes. */
export async function build (
  t: { teardown (close: () => unknown): void }, options: SwaggerOptions, routes: (app: FastifyInstance) => void, ofPlugin: SSEPluginOptions = {}
): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, openapi(options))
  await app.register(sse, ofPlugin)
  routes(app)
  await app.ready()
  return app
}

export const Price = Type.Object({ symbol: Type.String(), price: Type.Number() })
export const price = { type: 'object', required: ['symbol', 'price'], properties: { symbol: { type: 'string' }, price: { type: 'number' } } }

/** Declares `GET /prices`, which sends the events `price` (JSON) and `halted` (text). */
export function prices (app: FastifyInstance): void {
  app.sseRoute({ url: '/prices', events: { price: Price, halted: Type.String() }, source: () => [] })
}

/** Returns the expected description of an event with this name and data. */
export function event (name: object, data: object, required: string[] = ['event', 'data']): Record<string, unknown> {
  return {
    type: 'object',
    properties: { event: { type: 'string', ...name }, data, id: { type: 'string' }, retry: { type: 'integer', minimum: 0 } },
    required
  }
}

/** Returns the expected description of one of several events. */
export function alternative (name: string, data: object): Record<string, unknown> {
  return { title: name, ...event({ enum: [name] }, data) }
}

/** The expected description of `GET /prices` in OpenAPI 3.2. */
export const pricesMedia = {
  schema: {},
  itemSchema: {
    oneOf: [
      alternative('price', { type: 'string', contentMediaType: 'application/json', contentSchema: price }),
      alternative('halted', { type: 'string' })
    ]
  }
}

/** Returns a document as it is published, in JSON. */
export function published (document: unknown): Record<string, unknown> {
  return JSON.parse(JSON.stringify(document))
}

/** Returns the value at a path of a document. */
export function at (document: unknown, ...path: string[]): unknown {
  return path.reduce<unknown>((value, key) => typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined, document)
}

export function operation (document: unknown, url: string, method = 'get'): unknown {
  return at(published(document), 'paths', url, method)
}

/** Returns the description of the event stream at a URL. */
export function media (document: unknown, url: string, method = 'get'): unknown {
  return at(operation(document, url, method), 'responses', '200', 'content', 'text/event-stream')
}
