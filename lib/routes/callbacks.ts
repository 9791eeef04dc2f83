// Tested by test/issues/another-users-data.test.ts
import type { FastifyInstance } from 'fastify'
import { toError } from '../errors.js'
import type { PluginSettings } from '../options/read.js'
import type { EventStream } from '../stream/event-stream.js'
import { logLateFailure } from '../stream/late-failure.js'
import type { SSERouteOptions } from '../types.js'

/** The callbacks that a route or a call of `reply.sse()` declares. */
export type DeclaredCallbacks = Pick<SSERouteOptions, 'onConnect' | 'onDisconnect' | 'onError'>

/**
 * Calls the callbacks of the application, each in the async context of its stream's request. Failures go to `onError`, or
 * to the request's log if there is none.
 */
export class Callbacks {
  readonly #all: PluginSettings['callbacks']
  readonly #declared: DeclaredCallbacks
  readonly #app: FastifyInstance

  /**
   * @param all the plugin's callbacks, called for every stream before the declared ones; its `onError` only if none is declared
   * @param app the `this` of the declared callbacks
   */
  constructor (all: PluginSettings['callbacks'], app: FastifyInstance, declared: DeclaredCallbacks) {
    this.#all = all
    this.#app = app
    this.#declared = declared
  }

  /**
   * Calls `onConnect`, first the plugin's, then the declared one, then `start`, unless the stream is closed by then. A
   * failure aborts the stream. Has to be called in the async context of the request.
   */
  connected (stream: EventStream, start: (stream: EventStream) => unknown): void {
    if (this.#all.onConnect === undefined && this.#declared.onConnect === undefined) start(stream)
    else this.#connect(stream, start)
  }

  /** Calls `onDisconnect`. Resolves once all callbacks have settled; undefined if there are none. */
  disconnected (stream: EventStream): Promise<unknown> | undefined {
    const [all, declared] = [this.#all.onDisconnect, this.#declared.onDisconnect]
    if (all === undefined && declared === undefined) return
    // in parallel, because the first may never settle
    return Promise.all([
      all && stream.runInAsyncScope(this.#disconnect, this, stream, () => all(stream.request, stream)),
      declared && stream.runInAsyncScope(this.#disconnect, this, stream, () => declared.call(this.#app, stream.request, stream))
    ])
  }

  /** Reports a failure. */
  report (error: unknown, stream: EventStream): Promise<void> {
    return stream.runInAsyncScope(this.#report, this, error, stream)
  }

  /** Reports a failure; after the stream has closed, only to the log at level debug. */
  async reportIfOpen (error: unknown, stream: EventStream): Promise<void> {
    if (stream.closed) logLateFailure(error, stream.request)
    else await this.report(error, stream)
  }

  /** Reports a failure that ends the stream, then aborts it, unless `onError` has closed it. */
  async abort (error: unknown, stream: EventStream): Promise<void> {
    await this.reportIfOpen(error, stream)
    stream.abort()
  }

  async #connect (stream: EventStream, start: (stream: EventStream) => unknown): Promise<void> {
    const { request } = stream
    const { onConnect } = this.#all
    try {
      if (onConnect !== undefined) await onConnect(request, stream)
      if (!stream.closed) await this.#declared.onConnect?.call(this.#app, request, stream)
      if (!stream.closed) start(stream)
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
