// Tested by test/issues/calls-without-await.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'

/**
 * A promise whose rejection is logged if no code awaits it. It is made for `send` and `publish`, which are often called without
 * `await`. Their failures are never unhandled rejections, which would end the process.
 */
class LoggedPromise<Value> extends Promise<Value> {
  #awaited = false

  static override get [Symbol.species] (): PromiseConstructor { return Promise }

  // called also by `await`, `catch`, `finally` and `Promise.all()`, so that it notices each code that awaits the promise
  override then<Result = Value, Failure = never> (
    onFulfilled?: ((value: Value) => Result | PromiseLike<Result>) | null, onRejected?: ((reason: unknown) => Failure | PromiseLike<Failure>) | null
  ): Promise<Result | Failure> {
    this.#awaited = true
    return super.then(onFulfilled, onRejected)
  }

  /** Called when this promise is rejected. Marks that as handled. Logs `error` if no code awaits the promise until the next turn of the event loop. */
  report (error: unknown, log: FastifyBaseLogger, message: string): void {
    super.then(undefined, () => {})
    real.setImmediate(() => { if (!this.#awaited) log.error(error, message) })
  }
}

/** Returns a promise with the result of `promise`. If it rejects and the caller does not await it, logs the error. @param message the log message */
export function loggedUnlessAwaited<Value> (promise: Promise<Value>, log: FastifyBaseLogger, message: string): Promise<Value> {
  const logged: LoggedPromise<Value> = new LoggedPromise((resolve, reject) => {
    promise.then(resolve, (error: unknown) => {
      reject(error)
      logged.report(error, log, message)
    })
  })
  return logged
}

/** Returns a promise that is rejected with `error`. If the caller does not await it, logs the error. @param message the log message */
export function rejected (error: unknown, log: FastifyBaseLogger, message: string): Promise<never> {
  return loggedUnlessAwaited(Promise.reject(error), log, message)
}
