// Tested by test/redis/outage.test.ts
import { real } from '../clock.js'

/** The part of a node-redis client that is used. */
interface NodeRedis {
  readonly isOpen: boolean
  readonly isReady: boolean
  connect (): Promise<unknown>
  sendCommand (args: string[]): Promise<unknown>
  destroy (): void
  on (name: string, listener: (error: Error) => void): unknown
}

/** The part of an ioredis client that is used. */
interface IORedis {
  readonly status: string
  readonly stream?: { readonly writable: boolean }
  connect (): Promise<unknown>
  call (command: string, ...args: string[]): Promise<unknown>
  disconnect (): void
  on (name: string, listener: (error: Error) => void): unknown
}

/** A client of node-redis or of ioredis. */
export interface RedisClient {
  duplicate (options?: object): object
}

/** Redis has not answered in time; `cause` is the last error of the connection, if there was one. */
export class NoAnswer extends Error {
  constructor (ms: number, failure: NodeJS.ErrnoException | null) {
    // the error for a host name with several addresses has a code and no message
    const code = failure !== null && failure.message === '' ? ` (${failure.code})` : ''
    super(`no answer within ${ms} ms${code}`, failure === null ? {} : { cause: failure })
  }
}

/** No timeouts in the client, because a blocking read takes long, a connection may be idle, and `run` has its own timeout. */
const WITHOUT_TIMEOUT = { commandTimeout: undefined, socketTimeout: undefined }

/** No queues in the client: a command that cannot be sent is refused, a command without an answer is not sent again. */
const IOREDIS = { lazyConnect: true, enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0, disconnectTimeout: 0, ...WITHOUT_TIMEOUT }

/**
 * The options for a duplicate of a node-redis client. With a `socketTimeout` node-redis closes each connection that is
 * idle for so long, and rejects the commands that are sent then.
 */
function nodeRedisOptions (template: RedisClient): object {
  const options: { socket?: object } | undefined = Reflect.get(template, 'options')
  return { disableOfflineQueue: true, commandOptions: {}, socket: { ...options?.socket, socketTimeout: undefined } }
}

/** Delay before the next attempt while Redis loads its data, ms. */
const PAUSE = 50

/**
 * A Redis connection with timeouts. The client library reconnects after each error; after a command without an answer the
 * connection discards its client and creates a new one, because the peer may be gone without closing the socket.
 */
export class Connection {
  readonly #template: RedisClient
  /** Functions that release the calls of `run` that wait for the connection. */
  readonly #waiting = new Set<() => void>()
  #client: NodeRedis | IORedis
  #closed = false
  /** The last error since the connection was ready. */
  #error: Error | null = null

  /** @param template client whose options the connection takes; it is not used itself */
  constructor (template: RedisClient) {
    this.#template = template
    this.#client = this.#createClient()
  }

  /**
   * Calls `work` once commands can be sent; waiting calls start in their order. Repeats `work` while Redis loads its data.
   * Rejects with NoAnswer after `timeout` ms; a call that waits by then is dropped.
   */
  async run<Result> ({ timeout }: { timeout: number }, work: () => Promise<Result>): Promise<Result> {
    const client = this.#client
    // the status of ioredis stays `ready` for a moment after its socket has closed, and commands are refused then
    const ready = 'call' in client ? client.status === 'ready' && client.stream?.writable : client.isReady
    const { promise, resolve: release } = deferred()
    if (ready || this.#closed) release()
    else this.#waiting.add(release)
    let over = false
    const attempt = async (): Promise<Result> => {
      try {
        return await work()
      } catch (error) {
        // after its start Redis refuses commands until its data is loaded
        if (!(error instanceof Error && error.message.startsWith('LOADING'))) throw error
        await real.wait(PAUSE)
        if (over) throw error
        return attempt()
      }
    }
    try {
      const result = await within(timeout, promise.then(attempt), () => {
        if (!this.#closed && client === this.#client) this.#renew()
        return new NoAnswer(timeout, this.#error)
      })
      // ioredis still delivers answers after `disconnect()`
      if (this.#closed) throw new Error('the connection is closed')
      return result
    } finally {
      over = true
      this.#waiting.delete(release)
    }
  }

  /** Sends a command. Rejects if Redis refuses it, or if the connection is lost before the answer. */
  send (command: string, ...args: string[]): Promise<unknown> {
    return 'call' in this.#client ? this.#client.call(command, ...args) : this.#client.sendCommand([command, ...args])
  }

  /** Closes the connection. Pending calls of `run` reject. */
  close (): void {
    this.#closed = true
    end(this.#client)
    for (const release of this.#waiting) release()
  }

  #renew (): void {
    end(this.#client)
    this.#client = this.#createClient()
  }

  #createClient (): NodeRedis | IORedis {
    const template = this.#template
    const client = template.duplicate('call' in template ? IOREDIS : nodeRedisOptions(template)) as NodeRedis | IORedis
    client.on('error', (error) => { if (client === this.#client) this.#error = error })
    client.on('ready', () => {
      this.#error = null
      for (const release of this.#waiting) release()
    })
    if (!('call' in client)) {
      connecting.add(client)
      client.on('reconnecting', () => { connecting.add(client) })
      client.on('connect', () => { connecting.delete(client) })
    }
    // the client emits the same error as an event
    client.connect().catch(() => {})
    return client
  }
}

/**
 * Clients of node-redis that wait for a socket. `destroy()` does not stop such a client, and in version 5 a second call
 * throws, so that it is called once the attempt has ended.
 */
const connecting = new WeakSet<NodeRedis>()

function end (client: NodeRedis | IORedis): void {
  if ('call' in client) return client.disconnect()
  const destroy = () => { if (client.isOpen) client.destroy() }
  if (connecting.has(client)) for (const event of ['connect', 'error']) client.on(event, destroy)
  else destroy()
}

/** A promise and the function that resolves it. `Promise.withResolvers` needs Node 22. */
function deferred (): { promise: Promise<void>, resolve: () => void } {
  let settle: (() => void) | undefined
  const promise = new Promise<void>((resolve) => { settle = resolve })
  return { promise, resolve: () => settle?.() }
}

/** Resolves as `work` does. Rejects with the result of `late` after `ms`. */
async function within<Result> (ms: number, work: Promise<Result>, late: () => Error): Promise<Result> {
  let over = false
  let timer: NodeJS.Timeout | undefined
  const overdue = new Promise<never>((_resolve, reject) => {
    // one turn later, because after a busy event loop the answer may have arrived and is read in this turn
    timer = real.setTimeout(() => real.setImmediate(() => { if (!over) reject(late()) }), ms)
  })
  try {
    return await Promise.race([work, overdue])
  } finally {
    over = true
    real.clearTimeout(timer)
  }
}
