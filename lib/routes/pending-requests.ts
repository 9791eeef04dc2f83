// Tested by test/issues/topics-never-settle.test.ts
import type { FastifyReply } from 'fastify'
import { SSE_ERR_CLOSING } from '../errors.js'
import { endSession, isClosed, onceClosed, type RawReply, sessionOf } from '../stream/connection.js'

/** Time after which the HTTP/2 session of a refused client is destroyed, ms. */
const SESSION_TIMEOUT = 5_000

/** A request that waits for a promise. */
interface Wait {
  raw: RawReply
  /** Null once the wait has ended, because the response keeps its listeners. */
  cancel: ((error?: Error) => void) | null
}

/** Requests that wait for a promise of the application before their stream opens. The wait ends when the client disconnects or the server closes. */
export class PendingRequests {
  readonly #waits = new Set<Wait>()
  #closing = false

  /**
   * Waits until a promise has settled. A rejection after the end of the wait is logged at debug, because nothing awaits it any more.
   * @returns false if the response closed first: the client disconnected, or other code replied
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

  /** Ends all waits with SSE_ERR_CLOSING, those that begin later too. */
  close (): void {
    this.#closing = true
    for (const wait of this.#waits) this.#refuse(wait)
  }

  #refuse (wait: Wait): void {
    this.#end(wait)?.(new SSE_ERR_CLOSING())
    const session = sessionOf(wait.raw)
    if (session !== undefined) endSession(session, SESSION_TIMEOUT)
  }

  /** Ends a wait. Returns its `cancel`, or null if the wait had ended before. */
  #end (wait: Wait): Wait['cancel'] {
    const { cancel } = wait
    wait.cancel = null
    this.#waits.delete(wait)
    return cancel
  }
}
