import type { Writable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RawReply } from './connection.js'

/*
 * Reads private fields of Fastify 5 and light-my-request, for facts that have no public API. No other file reads such fields.
 * test/stream/fastify-internals.test.ts fails if a release changes one. Without its field each function returns the safe answer.
 */

let trailersSymbol: symbol | undefined

/**
 * Returns whether a reply has HTTP trailers. Fastify's public `hasTrailer` needs the name of a trailer. So this function reads the
 * private field `fastify.reply.trailers`, which is null for a reply without trailers.
 * @returns true also if Fastify has no such field. Fastify then pipes the stream itself, which is slower and never wrong
 */
export function mayHaveTrailers (reply: FastifyReply): boolean {
  trailersSymbol ??= symbolOf(reply, 'fastify.reply.trailers')
  return trailersSymbol === undefined || Reflect.get(reply, trailersSymbol) !== null
}

interface LogController {
  isLogDisabled (request: FastifyRequest): boolean
}

/**
 * Returns a function that returns whether Fastify's option `disableRequestLogging` excludes a request. Fastify 5.12 keeps this
 * option in its log controller, a property of the root instance with a private symbol as key. Versions without log controller
 * keep the option in `initialConfig`. This function reads it there if it finds no such symbol.
 */
export function requestLoggingOf (app: FastifyInstance): (request: FastifyRequest) => boolean {
  const symbol = symbolOf(app, 'fastify.logController')
  if (symbol !== undefined) {
    const controller: LogController = Reflect.get(app, symbol)
    return (request) => controller.isLogDisabled(request)
  }
  const { disableRequestLogging } = app.initialConfig
  return typeof disableRequestLogging === 'function' ? disableRequestLogging : () => disableRequestLogging === true
}

/**
 * Returns whether a stream has to write a byte as soon as it opens, not only with its first event. Two cases need that byte. A
 * transform of an onSend hook sends the headers with its first byte. @fastify/aws-lambda calls `inject` with `payloadAsStream`, and
 * takes a stream without that byte for empty. The option `payloadAsStream` shows only in light-my-request's private field
 * `_lightMyRequest`. If the field is missing, the second case is not seen, and the first byte is sent with the first event.
 */
export function needsFirstByte (raw: RawReply, destination: Writable): boolean {
  const injected: unknown = Reflect.get(raw, '_lightMyRequest')
  return destination !== raw || (typeof injected === 'object' && injected !== null && 'stream' in injected)
}

interface SchemaController {
  setupSerializer (options: unknown): void
}

/**
 * Makes Fastify set up the serializer compiler of an instance, with the schemas that `addSchema` has added by then. Fastify sets it up
 * only for routes with a response schema, and an app that only publishes may have none. If Fastify has no such private field, does nothing.
 */
export function setUpSerializerCompiler (app: FastifyInstance): void {
  const controller = symbolOf(app, 'fastify.schemaController')
  const options = symbolOf(app, 'fastify.options')
  if (controller === undefined || options === undefined) return
  const schemas: SchemaController = Reflect.get(app, controller)
  schemas.setupSerializer(Reflect.get(app, options))
}

/** Returns the symbol with this name among the keys of an object and of its prototypes, because instances inherit some fields from the root instance. */
function symbolOf (object: object | null, name: string): symbol | undefined {
  if (object === null) return undefined
  return Object.getOwnPropertySymbols(object).find(({ description }) => description === name) ?? symbolOf(Object.getPrototypeOf(object), name)
}
