// Tested by test/issues/payload-never-settles.test.ts
/** The third argument of each call of a route's `payload`. Its `signal` aborts when the result is no longer needed. */
export class PayloadCall {
  #controller: AbortController | null = null

  /** Aborts after `payloadTimeout` ms, and when the stream closes before the call has settled. With `shared`, when the last stream closes. */
  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort (reason?: Error): void {
    this.#controller?.abort(reason)
  }
}
