import type { FastifyBaseLogger } from 'fastify'

/**
 * A promise whose rejection goes to the log where nothing awaits it, and never becomes an unhandled rejection, which
 * would end the process: `send` and `publish` are often called without `await`.
 */
class LoggedPromise<Value> extends Promise<Value> {
  #awaited = false

  static override get [Symbol.species] (): PromiseConstructor { return Promise }

  // `await`, `catch`, `finally` and Promise.all() call it as well
  override then<Result = Value, Failure = never> (
    onFulfilled?: ((value: Value) => Result | PromiseLike<Result>) | null, onRejected?: ((reason: unknown) => Failure | PromiseLike<Failure>) | null
  ): Promise<Result | Failure> {
    this.#awaited = true
    return super.then(onFulfilled, onRejected)
  }

  /** @param log where a rejection goes that nothing awaits by the next turn of the event loop */
  watch (log: FastifyBaseLogger, message: string): this {
    super.then(undefined, (error: unknown) => setImmediate(() => { if (!this.#awaited) log.error(error, message) }))
    return this
  }
}

/** The same result, for callers that may not await it. @param message what the log says of a failure, besides the error */
export function loggedUnlessAwaited<Value> (promise: Promise<Value>, log: FastifyBaseLogger, message: string): Promise<Value> {
  return new LoggedPromise<Value>((resolve, reject) => { promise.then(resolve, reject) }).watch(log, message)
}

/** A rejection, for callers that may not await it. */
export function rejected (error: unknown, log: FastifyBaseLogger, message: string): Promise<never> {
  return loggedUnlessAwaited(Promise.reject(error), log, message)
}
