import type { Writable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { RawReply } from './connection.js'

/*
 * Reads private fields of Fastify 5 and light-my-request, because they have no public names. No other file reads such fields.
 * test/stream/fastify-internals.test.ts fails when one of them changes. Each function then returns the safe answer.
 */

let trailersSymbol: symbol | undefined

/**
 * Returns whether a reply has trailers. Fastify's public `hasTrailer` needs the name of one; the field
 * `fastify.reply.trailers` is null for a reply without any.
 * @returns true also where the field is missing: Fastify then sends the stream, which is slower and never wrong
 */
export function mayHaveTrailers (reply: FastifyReply): boolean {
  trailersSymbol ??= symbolOf(reply, 'fastify.reply.trailers')
  return trailersSymbol === undefined || Reflect.get(reply, trailersSymbol) !== null
}

interface LogController {
  isLogDisabled (request: FastifyRequest): boolean
}

/**
 * Returns a function that tells whether `disableRequestLogging` holds for a request. Fastify 5.12 keeps this option in its
 * log controller, which only a private symbol of the root instance leads to. Versions without one have it in `initialConfig`,
 * which is also the fallback.
 */
export function requestLoggingOf (app: FastifyInstance): (request: FastifyRequest) => boolean {
  for (let at: object | null = app; at !== null; at = Object.getPrototypeOf(at)) {
    const symbol = symbolOf(at, 'fastify.logController')
    if (symbol === undefined) continue
    const controller: LogController = Reflect.get(at, symbol)
    return (request) => controller.isLogDisabled(request)
  }
  const { disableRequestLogging } = app.initialConfig
  return typeof disableRequestLogging === 'function' ? disableRequestLogging : () => disableRequestLogging === true
}

/**
 * Returns whether the first byte must be there together with the headers: a transform sends the headers with its first byte,
 * and @fastify/aws-lambda takes the stream of `inject` with `payloadAsStream` for empty without one. The only sign of this
 * option is light-my-request's field `_lightMyRequest`. Where it is missing, the first byte is sent with the first event.
 */
export function needsFirstByte (raw: RawReply, destination: Writable): boolean {
  const injected: unknown = Reflect.get(raw, '_lightMyRequest')
  return destination !== raw || (typeof injected === 'object' && injected !== null && 'stream' in injected)
}

function symbolOf (object: object, name: string): symbol | undefined {
  return Object.getOwnPropertySymbols(object).find(({ description }) => description === name)
}
