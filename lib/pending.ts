import type { FastifyReply } from 'fastify'
import { SSE_ERR_CLOSING } from './errors.js'
import { endSession, isGone, type RawReply, sessionOf, whenOver } from './outlet.js'

/** An HTTP/2 client that keeps its session so many ms after the answer is cut. */
const LINGER = 5_000

/** A request that awaits a promise. */
interface Wait {
  raw: RawReply
  /** Null once it is decided, because the response keeps its listeners until its end. */
  giveUp: ((error?: Error) => void) | null
}

/** The requests that await something of the application's before their stream opens: no longer than their client and the server do. */
export class Pending {
  readonly #waits = new Set<Wait>()
  #closing = false

  /**
   * Waits until a promise has settled. A rejection after that is logged at debug, because nothing awaits it any more.
   * @returns false once the request is over, by its client's leaving or by another answer
   * @throws SSE_ERR_CLOSING once the server closes
   */
  settled (promise: Promise<unknown>, { raw, request }: FastifyReply): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const wait: Wait = { raw, giveUp: (error) => error === undefined ? resolve(false) : reject(error) }
      const settle = () => {
        this.#decide(wait)
        resolve(true)
      }
      this.#waits.add(wait)
      promise.then(settle, (error: unknown) => {
        if (wait.giveUp === null) request.log.debug({ err: error }, 'failed after the request was over')
        else settle()
      })
      if (this.#closing) this.#refuse(wait)
      else if (isGone(raw)) this.#decide(wait)?.()
      else whenOver(raw, () => this.#decide(wait)?.())
    })
  }

  /** The server closes. */
  close (): void {
    this.#closing = true
    for (const wait of this.#waits) this.#refuse(wait)
  }

  #refuse (wait: Wait): void {
    this.#decide(wait)?.(new SSE_ERR_CLOSING())
    const session = sessionOf(wait.raw)
    if (session !== undefined) endSession(session, LINGER)
  }

  #decide (wait: Wait): Wait['giveUp'] {
    const { giveUp } = wait
    wait.giveUp = null
    this.#waits.delete(wait)
    return giveUp
  }
}
