// Tested by test/redis/outage.test.ts
import { real } from '../clock.js'
import { SSE_ERR_BACKPLANE } from '../errors.js'
import { type Client, openClient, type RedisClient } from './client.js'
import { OwnerClient, Topology } from './topology.js'

/** The error after Redis has not answered within `ms`. Its `cause` is the last error of the connection, if there was one. */
export class NoAnswer extends Error {
  constructor (ms: number, failure: NodeJS.ErrnoException | null) {
    // an error for a host name with several addresses has a code, but an empty message
    const code = failure !== null && failure.message === '' ? ` (${failure.code})` : ''
    super(`no answer within ${ms} ms${code}`, failure === null ? {} : { cause: failure })
  }
}

/** Creates SSE_ERR_BACKPLANE. Clients may get its message, so the error of Redis, with its address, is only in `cause`, for the app's log. */
export function failure (error: unknown): Error {
  const [reason, cause] = error instanceof NoAnswer ? [error.message, error.cause] : ['a command failed', error]
  return Object.assign(new SSE_ERR_BACKPLANE(`Redis: ${reason}`), { cause })
}

/** A client whose options a connection uses, or a topology that finds such a client. */
export type Template = RedisClient | Topology

/** Delay before a command is sent again, ms, after Redis refused it because Redis was still loading its data. */
const PAUSE = 50

/**
 * A Redis connection with timeouts. After an error the client library reconnects. After a command without an answer this
 * class discards its client and creates a new one, because the server may be gone without having closed the socket.
 */
export class Connection {
  readonly #template: Template
  readonly #first: readonly string[] | null
  /** Functions, one for each call of `run` that waits until commands can be sent. Each function lets its call continue. */
  readonly #waiting = new Set<() => void>()
  #client: Client
  #closed = false
  /** Time at which Redis last answered a command on this connection, on the clock of `performance.now()`, ms. */
  #answered = 0
  /** The last error of the client since its connection was last ready; null if there was no error. */
  #error: Error | null = null

  /**
   * @param template a client whose options the connection uses; no command is sent on it
   * @param first a command that is sent before all others each time the client has connected; Redis may refuse it. Null for none
   */
  constructor (template: Template, first: readonly string[] | null = null) {
    this.#template = template
    this.#first = first
    this.#client = this.#createClient()
  }

  /**
   * Calls `work` when commands can be sent. Waiting calls of `run` continue in the order in which they were made. Calls
   * `work` again if Redis is still loading its data. Rejects with NoAnswer after `timeout` ms in which Redis has answered no
   * command on this connection, because answers come in the order of the commands: many commands may take longer together.
   * If `work` has not been called by then, it is never called.
   */
  async run<Result> ({ timeout }: { timeout: number }, work: () => Promise<Result>): Promise<Result> {
    const client = this.#client
    const { promise, resolve: release } = deferred()
    if (client.isReady || this.#closed) release()
    else this.#waiting.add(release)
    let over = false
    const attempt = async (): Promise<Result> => {
      try {
        return await work()
      } catch (error) {
        // Redis refuses commands after its start until its data is loaded
        if (!(error instanceof Error && error.message.startsWith('LOADING'))) throw error
        await real.wait(PAUSE)
        if (over) throw error
        return attempt()
      }
    }
    try {
      const result = await within(timeout, promise.then(attempt), () => this.#answered, () => {
        if (!this.#closed && client === this.#client) this.#renew()
        return new NoAnswer(timeout, this.#error)
      })
      // checked, because ioredis still delivers answers after `disconnect()`
      if (this.#closed) throw new Error('the connection is closed')
      return result
    } finally {
      over = true
      this.#waiting.delete(release)
    }
  }

  /** Sends a command and resolves to the answer. Rejects if Redis refuses the command, or if the connection is lost before the answer. */
  async send (command: string, ...args: string[]): Promise<unknown> {
    const answer = await this.#client.send([command, ...args])
    this.#answered = real.now()
    return answer
  }

  /** Closes the connection. Pending calls of `run` reject. */
  close (): void {
    this.#closed = true
    this.#client.close()
    for (const release of this.#waiting) release()
  }

  #renew (): void {
    this.#client.close()
    this.#client = this.#createClient()
  }

  #createClient (): Client {
    const listener = {
      onError: (error: Error) => { if (client === this.#client) this.#error = error },
      onReady: () => {
        this.#error = null
        if (this.#first !== null) client.send(this.#first).catch(() => {})
        for (const release of this.#waiting) release()
      }
    }
    const client = this.#template instanceof Topology ? new OwnerClient(this.#template, listener) : openClient(this.#template, listener)
    return client
  }
}

/** Creates a promise and a function that resolves it. `Promise.withResolvers` is not used, because it needs Node 22. */
function deferred (): { promise: Promise<void>, resolve: () => void } {
  let settle: (() => void) | undefined
  const promise = new Promise<void>((resolve) => { settle = resolve })
  return { promise, resolve: () => settle?.() }
}

/**
 * Resolves or rejects as `work` does. If neither `work` settles nor `answered()` (a time of `performance.now()`) grows for `ms`, calls
 * `late` and rejects with the error that `late` returns.
 */
async function within<Result> (ms: number, work: Promise<Result>, answered: () => number, late: () => Error): Promise<Result> {
  let over = false
  let timer: NodeJS.Timeout | undefined
  const start = real.now()
  const overdue = new Promise<never>((_resolve, reject) => {
    const check = () => {
      if (over) return
      const rest = answered() > start ? answered() + ms - real.now() : 0
      if (rest > 0) wait(rest)
      else reject(late())
    }
    // times out one turn of the event loop later, because after a busy loop the answer may have arrived and is read in this turn
    const wait = (rest: number) => { timer = real.setTimeout(() => real.setImmediate(check), rest) }
    wait(ms)
  })
  try {
    return await Promise.race([work, overdue])
  } finally {
    over = true
    real.clearTimeout(timer)
  }
}
