// Tested by test/issues/calls-without-await.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { real } from '../clock.js'

/**
 * A promise whose rejection is logged if no code awaits the promise. `send` and `publish` return it, because they are often called
 * without `await`. With a normal promise a failure would then be an unhandled rejection, which ends the process.
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

  /** Called when this promise is rejected. Marks the rejection as handled. Logs `error` if no code has awaited the promise by the next turn of the event loop. */
  report (error: unknown, log: FastifyBaseLogger, message: string): void {
    super.then(undefined, () => {})
    real.setImmediate(() => { if (!this.#awaited) log.error(error, message) })
  }
}

/** Returns a promise that settles as `promise` does. If the returned promise rejects and is not awaited, logs the error. @param message the log message */
export function loggedUnlessAwaited<Value> (promise: Promise<Value>, log: FastifyBaseLogger, message: string): Promise<Value> {
  const logged: LoggedPromise<Value> = new LoggedPromise((resolve, reject) => {
    promise.then(resolve, (error: unknown) => {
      reject(error)
      logged.report(error, log, message)
    })
  })
  return logged
}

/** Returns a promise that is rejected with `error`. If the caller does not await the promise, logs the error. @param message the log message */
export function rejected (error: unknown, log: FastifyBaseLogger, message: string): Promise<never> {
  return loggedUnlessAwaited(Promise.reject(error), log, message)
}
