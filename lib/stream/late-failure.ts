// Tested by test/issues/clients-that-have-left.test.ts
import type { FastifyRequest } from 'fastify'

/** Logs a failure that follows the close of its stream, at level debug, because the close most likely caused it. */
export function logLateFailure (error: unknown, { log }: FastifyRequest): void {
  log.debug({ err: error }, 'failed after its event stream was closed')
}
