import type { FastifyInstance, FastifyRequest } from 'fastify'
import { toError } from '../errors.js'
import type { EventStream } from '../stream/event-stream.js'
import type { SSEPluginOptions, SSERouteOptions } from '../types.js'

/** The callbacks that a route, or a call of `reply.sse()`, declares for its streams. */
export type DeclaredCallbacks = Pick<SSERouteOptions, 'onConnect' | 'onDisconnect' | 'onError'>

/** The callbacks that the plugin's options declare for all streams. */
export type PluginCallbacks = Pick<SSEPluginOptions, 'onConnect' | 'onDisconnect' | 'onError'>

/**
 * Calls the application's callbacks, each in the async context of its stream's request, and reports what fails:
 * to `onError`, or to the request's log where there is none.
 */
export class Callbacks {
  readonly #all: PluginCallbacks
  readonly #declared: DeclaredCallbacks
  readonly #app: FastifyInstance

  /**
   * @param all called for every stream, before the declared ones; `onError` in place of one that is not declared
   * @param app the `this` of the declared ones
   */
  constructor (all: PluginCallbacks, app: FastifyInstance, declared: DeclaredCallbacks) {
    this.#all = all
    this.#app = app
    this.#declared = declared
  }

  /**
   * The stream has opened: calls `onConnect`, first the plugin's, then the declared one, then `begin`, unless the stream is
   * closed by then. A failure aborts it. Called in the async context of the request.
   */
  connected (stream: EventStream, begin: (stream: EventStream) => unknown): void {
    if (this.#all.onConnect === undefined && this.#declared.onConnect === undefined) begin(stream)
    else this.#connect(stream, begin)
  }

  /** The stream has closed: calls `onDisconnect`. Resolves once all have settled; undefined where nothing is awaited. */
  disconnected (stream: EventStream): Promise<unknown> | undefined {
    const [all, declared] = [this.#all.onDisconnect, this.#declared.onDisconnect]
    if (all === undefined && declared === undefined) return
    // one does not wait for the other, because the first may never settle
    return Promise.all([
      all && stream.runInAsyncScope(this.#disconnect, this, stream, () => all(stream.request, stream)),
      declared && stream.runInAsyncScope(this.#disconnect, this, stream, () => declared.call(this.#app, stream.request, stream))
    ])
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
    stream.abort()
  }

  async #connect (stream: EventStream, begin: (stream: EventStream) => unknown): Promise<void> {
    const { request } = stream
    const { onConnect } = this.#all
    try {
      if (onConnect !== undefined) await onConnect(request, stream)
      if (!stream.closed) await this.#declared.onConnect?.call(this.#app, request, stream)
      if (!stream.closed) begin(stream)
    } catch (error) {
      await this.abort(error, stream)
    }
  }

  async #disconnect (stream: EventStream, call: () => unknown): Promise<void> {
    try {
      await call()
    } catch (error) {
      await this.report(error, stream)
    }
  }

  async #report (error: unknown, stream: EventStream): Promise<void> {
    const { log } = stream.request
    const err = toError(error)
    const [all, declared] = [this.#all.onError, this.#declared.onError]
    if (all === undefined && declared === undefined) {
      log.error(err)
      return
    }
    try {
      if (declared === undefined) await all?.(err, stream.request, stream)
      else await declared.call(this.#app, err, stream.request, stream)
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
