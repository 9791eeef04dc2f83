// Tested by test/issues/clients-that-have-left.test.ts
import type { FastifyRequest } from 'fastify'

/** Logs an error that occurred after its stream had closed, at level debug, because the close most likely caused it. */
export function logLateFailure (error: unknown, { log }: Pick<FastifyRequest, 'log'>): void {
  log.debug({ err: error }, 'failed after its event stream was closed')
}
