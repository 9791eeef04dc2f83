import type { FastifyInstance, FastifyRequest } from 'fastify'
import { asError } from './errors.js'
import type { EventStream } from './stream.js'
import type { SSERouteOptions } from './types.js'

/** The callbacks that a route, or a call of `reply.sse()`, declares for its streams. */
export type DeclaredCallbacks = Pick<SSERouteOptions, 'onDisconnect' | 'onError'>

/**
 * Calls the application's callbacks, each in the async context of its stream's request, and reports what fails:
 * to `onError`, or to the request's log where there is none.
 */
export class Callbacks {
  readonly #declared: DeclaredCallbacks
  readonly #app: FastifyInstance

  /** @param app the callbacks' `this` */
  constructor (app: FastifyInstance, declared: DeclaredCallbacks) {
    this.#app = app
    this.#declared = declared
  }

  /** The stream has closed: calls `onDisconnect`. Resolves once that has settled; undefined where nothing is awaited. */
  disconnected (stream: EventStream): Promise<void> | undefined {
    return this.#declared.onDisconnect === undefined ? undefined : stream.runInAsyncScope(this.#disconnect, this, stream)
  }

  /** Reports a failure. */
  report (error: unknown, stream: EventStream): Promise<void> {
    return stream.runInAsyncScope(this.#report, this, error, stream)
  }

  /** Reports a failure; after the stream has closed, only to the log at level debug, because the closing most likely caused it. */
  async reportIfOpen (error: unknown, stream: EventStream): Promise<void> {
    if (stream.closed) logLateFailure(error, stream.request)
    else await this.report(error, stream)
  }

  /** Reports a failure that ends the stream, then aborts it, unless `onError` has closed it. */
  async abort (error: unknown, stream: EventStream): Promise<void> {
    await this.reportIfOpen(error, stream)
    stream.cut()
  }

  async #disconnect (stream: EventStream): Promise<void> {
    try {
      await this.#declared.onDisconnect?.call(this.#app, stream.request, stream)
    } catch (error) {
      await this.report(error, stream)
    }
  }

  async #report (error: unknown, stream: EventStream): Promise<void> {
    const { log } = stream.request
    const { onError } = this.#declared
    const err = asError(error)
    if (onError === undefined) {
      log.error(err)
      return
    }
    try {
      await onError.call(this.#app, err, stream.request, stream)
    } catch (second) {
      log.error(err)
      log.error(second, 'onError of an event stream failed')
    }
  }
}

/** A failure after its stream has closed goes to the log at level debug, because the closing most likely caused it. */
export function logLateFailure (error: unknown, { log }: FastifyRequest): void {
  log.debug({ err: error }, 'failed after its event stream was closed')
}
