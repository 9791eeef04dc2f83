// Tested by test/issues/another-users-data.test.ts
import type { FastifyInstance } from 'fastify'
import { toError } from '../errors.js'
import { encode } from '../event/encode.js'
import type { PluginSettings } from '../options/read.js'
import type { EventStream } from '../stream/event-stream.js'
import { logLateFailure } from '../stream/late-failure.js'
import type { SSERouteOptions } from '../types.js'

/** The callbacks in the options of a route, or of one call of `reply.sse()`. */
export type DeclaredCallbacks = Pick<SSERouteOptions, 'onConnect' | 'onDisconnect' | 'onError'>

/**
 * Calls the application's callbacks `onConnect`, `onDisconnect` and `onError` for the streams of one route or one call of
 * `reply.sse()`, in the async context of the stream's request. Errors of callbacks go to `onError`, or to the request's log if there is no `onError`.
 */
export class Callbacks {
  readonly #all: PluginSettings['callbacks']
  readonly #declared: DeclaredCallbacks
  readonly #app: FastifyInstance

  /**
   * @param all the callbacks in the plugin's options, called for every stream. The plugin's `onError` is called only if `declared` has none
   * @param app the Fastify instance that is `this` in the declared callbacks
   * @param declared the callbacks of the route or of the call of `reply.sse()`
   */
  constructor (all: PluginSettings['callbacks'], app: FastifyInstance, declared: DeclaredCallbacks) {
    this.#all = all
    this.#app = app
    this.#declared = declared
  }

  /**
   * Calls the plugin's `onConnect`, then the declared `onConnect`, then `start`. Awaits each callback, and calls nothing more once
   * the stream has closed. If an `onConnect` fails, aborts the stream. Has to be called in the async context of the request.
   */
  connected (stream: EventStream, start: (stream: EventStream) => unknown): void {
    if (this.#all.onConnect === undefined && this.#declared.onConnect === undefined) start(stream)
    else this.#connect(stream, start)
  }

  /** Calls both `onDisconnect` callbacks of a closed stream. Returns a promise that resolves once both have settled; undefined if there is no callback. */
  disconnected (stream: EventStream): Promise<unknown> | undefined {
    const [all, declared] = [this.#all.onDisconnect, this.#declared.onDisconnect]
    if (all === undefined && declared === undefined) return
    // calls both at once, because the promise of the first may never settle
    return Promise.all([
      all && stream.runInAsyncScope(this.#disconnect, this, stream, () => all(stream.request, stream)),
      declared && stream.runInAsyncScope(this.#disconnect, this, stream, () => declared.call(this.#app, stream.request, stream))
    ])
  }

  /** Calls `onError` with an error of a stream, or logs the error if there is no `onError`. Resolves once `onError` has settled. */
  report (error: unknown, stream: EventStream): Promise<void> {
    return stream.runInAsyncScope(this.#report, this, error, stream)
  }

  /** Calls `onError` with an error of an open stream. After the stream has closed, logs the error at level debug instead. */
  async reportIfOpen (error: unknown, stream: EventStream): Promise<void> {
    if (stream.closed) logLateFailure(error, stream.request)
    else await this.report(error, stream)
  }

  /** Calls `onError` with an error that ends a stream, and awaits `onError`. Then aborts the stream, unless `onError` has closed the stream. */
  async abort (error: unknown, stream: EventStream): Promise<void> {
    await this.reportIfOpen(error, stream)
    stream.abort()
  }

  /**
   * Calls `onError` with the error that ended the run of a stream. Resolves to the event that the declared `onError` returned, encoded; `''`
   * for null; undefined for no event, and if `onError` fails. Never rejects.
   */
  async lastOfRun (error: Error, stream: EventStream): Promise<string | undefined> {
    const { log } = stream.request
    const { onError } = this.#declared
    if (onError === undefined) {
      await this.report(error, stream)
      return
    }
    try {
      const payload = await stream.runInAsyncScope(() => onError.call(this.#app, error, stream.request, stream))
      return payload === undefined ? payload : encode(payload, stream.settings.writeData)
    } catch (second) {
      log.error(error)
      log.error(second, 'onError of a run failed')
    }
  }

  /** Calls `onGap` and encodes its result. Resolves to undefined if there is no result, to `''` for null, and if `onGap` fails, which aborts the stream. */
  async inPlaceOfGap (onGap: () => unknown, stream: EventStream): Promise<string | undefined> {
    try {
      const payload = await stream.runInAsyncScope(onGap)
      return payload === undefined ? payload : stream.encode(payload)
    } catch (error) {
      await this.abort(error, stream)
      return ''
    }
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
