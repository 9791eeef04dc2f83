// Tested by test/issues/payload-never-settles.test.ts
/** The third argument of a route's `payload`. */
export class PayloadCall {
  #controller: AbortController | null = null

  /** Aborts after `payloadTimeout`, and when the stream (the last one, if shared) closes before the call has settled. */
  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort (reason?: Error): void {
    this.#controller?.abort(reason)
  }
}
