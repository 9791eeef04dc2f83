// Tested by test/issues/topics-never-settle.test.ts
import type { FastifyReply } from 'fastify'
import { SSE_ERR_CLOSING } from '../errors.js'
import { endSession, isClosed, onceClosed, type RawReply, sessionOf } from '../stream/connection.js'

/** Time from the 503 for a client until the client's HTTP/2 session is destroyed, ms. A session that stays open would delay `app.close()`. */
const SESSION_TIMEOUT = 5_000

/** A request whose stream opens only after a promise of the application has settled. */
interface Wait {
  raw: RawReply
  /**
   * Ends the wait: the promise that `settled` returned resolves to false, or rejects with `error`. Null afterwards, so that the 'close'
   * listener, which stays on the response, does not keep this function in memory.
   */
  cancel: ((error?: Error) => void) | null
}

/**
 * Requests whose stream opens only after a promise of the application has settled, such as the promise that `topics`
 * returned. A request no longer waits when its client disconnects or the server closes.
 */
export class PendingRequests {
  readonly #waits = new Set<Wait>()
  #closing = false

  /**
   * Waits until `promise` has settled, or the response or the server closes. If `promise` rejects after that, logs the error at level debug.
   * @returns true once the promise has resolved or rejected; false if the response closed first: the client disconnected, or other code replied
   * @throws SSE_ERR_CLOSING if the server closes first
   */
  settled (promise: Promise<unknown>, { raw, request }: FastifyReply): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const wait: Wait = { raw, cancel: (error) => error === undefined ? resolve(false) : reject(error) }
      const settle = () => {
        this.#end(wait)
        resolve(true)
      }
      this.#waits.add(wait)
      promise.then(settle, (error: unknown) => {
        if (wait.cancel === null) request.log.debug({ err: error }, 'failed after the request was over')
        else settle()
      })
      if (this.#closing) this.#refuse(wait)
      else if (isClosed(raw)) this.#end(wait)?.()
      else onceClosed(raw, () => this.#end(wait)?.())
    })
  }

  /** Called when the server closes. Rejects with SSE_ERR_CLOSING all pending promises that `settled` returned, and the promises of later calls. */
  close (): void {
    this.#closing = true
    for (const wait of this.#waits) this.#refuse(wait)
  }

  #refuse (wait: Wait): void {
    this.#end(wait)?.(new SSE_ERR_CLOSING())
    const session = sessionOf(wait.raw)
    if (session !== undefined) endSession(session, SESSION_TIMEOUT)
  }

  /** Removes a request that waits. Returns its function `cancel`, which the caller calls to end the wait; null if the wait had ended before. */
  #end (wait: Wait): Wait['cancel'] {
    const { cancel } = wait
    wait.cancel = null
    this.#waits.delete(wait)
    return cancel
  }
}
