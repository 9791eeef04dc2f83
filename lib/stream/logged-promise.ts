// Tested by test/issues/calls-without-await.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'

/**
 * A promise whose rejection is logged if nothing awaits it. It never becomes an unhandled rejection, which would end the
 * process, because `send` and `publish` are often called without `await`.
 */
class LoggedPromise<Value> extends Promise<Value> {
  #awaited = false

  static override get [Symbol.species] (): PromiseConstructor { return Promise }

  // `await`, `catch`, `finally` and `Promise.all()` call `then`
  override then<Result = Value, Failure = never> (
    onFulfilled?: ((value: Value) => Result | PromiseLike<Result>) | null, onRejected?: ((reason: unknown) => Failure | PromiseLike<Failure>) | null
  ): Promise<Result | Failure> {
    this.#awaited = true
    return super.then(onFulfilled, onRejected)
  }

  /** Marks the rejection as handled, and logs it if nothing awaits it by the next turn of the event loop. */
  report (error: unknown, log: FastifyBaseLogger, message: string): void {
    super.then(undefined, () => {})
    real.setImmediate(() => { if (!this.#awaited) log.error(error, message) })
  }
}

/** Returns a promise with the same result for a caller that may not await it. @param message the log message of a failure */
export function loggedUnlessAwaited<Value> (promise: Promise<Value>, log: FastifyBaseLogger, message: string): Promise<Value> {
  const logged: LoggedPromise<Value> = new LoggedPromise((resolve, reject) => {
    promise.then(resolve, (error: unknown) => {
      reject(error)
      logged.report(error, log, message)
    })
  })
  return logged
}

/** Returns a rejected promise for a caller that may not await it. */
export function rejected (error: unknown, log: FastifyBaseLogger, message: string): Promise<never> {
  return loggedUnlessAwaited(Promise.reject(error), log, message)
}
