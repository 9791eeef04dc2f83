// Tested by test/issues/no-line-when-a-stream-ends.test.ts
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { StreamEnd } from '../diagnostics.js'
import { requestLoggingOf } from './fastify-internals.js'

/** A function that logs the end of a stream with the logger of its request. Called once per stream that was open. */
export type EndLog = (request: FastifyRequest, end: StreamEnd) => void

/** Returns an `EndLog` that logs at level info. It logs nothing for requests that `disableRequestLogging` excludes, as Fastify does at the end of a request. */
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
