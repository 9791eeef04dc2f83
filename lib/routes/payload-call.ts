/** Third argument of a route's `payload`. */
export class PayloadCall {
  #controller: AbortController | null = null

  /** Aborted when the call is given up, and when the stream (the last stream, if shared) closes before it has settled. */
  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    return this.#controller.signal
  }

  abort (reason?: Error): void {
    this.#controller?.abort(reason)
  }
}
