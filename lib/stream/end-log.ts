// Tested by test/issues/no-line-when-a-stream-ends.test.ts
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { StreamEnd } from '../diagnostics.js'

/** Writes the end of a stream to its request's log. */
export type EndLog = (request: FastifyRequest, end: StreamEnd) => void

/** Writes at level info, as Fastify writes the end of a request: not where `disableRequestLogging` holds for it. */
export function endLogOf (app: FastifyInstance): EndLog {
  const isDisabled = requestLoggingOf(app)
  return (request, end) => {
    try {
      if (!isDisabled(request)) request.log.info(end, 'event stream closed')
    } catch (error) {
      request.log.error(error, 'disableRequestLogging failed')
    }
  }
}

interface LogController {
  isLogDisabled (request: FastifyRequest): boolean
}

/**
 * Fastify 5.12 has the option in its log controller, which only a private symbol of the root instance reaches. Versions
 * without one have it in `initialConfig`.
 */
function requestLoggingOf (app: FastifyInstance): (request: FastifyRequest) => boolean {
  for (let at: object | null = app; at !== null; at = Object.getPrototypeOf(at)) {
    const symbol = Object.getOwnPropertySymbols(at).find(({ description }) => description === 'fastify.logController')
    if (symbol === undefined) continue
    const controller: LogController = Reflect.get(at, symbol)
    return (request) => controller.isLogDisabled(request)
  }
  const { disableRequestLogging } = app.initialConfig
  return typeof disableRequestLogging === 'function' ? disableRequestLogging : () => disableRequestLogging === true
}
