import { real } from '../clock.js'
import { within } from './deadline.js'

/** What is used of a node-redis client. */
interface NodeRedis {
  readonly isOpen: boolean
  readonly isReady: boolean
  connect (): Promise<unknown>
  sendCommand (args: string[]): Promise<unknown>
  destroy (): void
  on (name: string, listener: (error: Error) => void): unknown
}

/** What is used of an ioredis client. */
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

/** Redis has not answered in time; `cause` is the last failure of the connection, if there was one. */
export class NoAnswer extends Error {
  constructor (ms: number, failure: NodeJS.ErrnoException | null) {
    // that of a name with several addresses has a code and no message
    const code = failure !== null && failure.message === '' ? ` (${failure.code})` : ''
    super(`no answer within ${ms} ms${code}`, failure === null ? {} : { cause: failure })
  }
}

/** A read that waits for something new takes its time, a connection may be idle, and each caller has a limit. */
const WITHOUT_TIMEOUT = { commandTimeout: undefined, socketTimeout: undefined }

/** Nothing waits in a client for its connection: what cannot be sent is refused, what has no answer by its end is not sent again. */
const IOREDIS = { lazyConnect: true, enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0, disconnectTimeout: 0, ...WITHOUT_TIMEOUT }

/** What a duplicate of node-redis is given. With a `socketTimeout` it gives up every connection that is idle for so long, and rejects what is sent then. */
function nodeRedisOptions (model: RedisClient): object {
  const options: { socket?: object } | undefined = Reflect.get(model, 'options')
  return { disableOfflineQueue: true, commandOptions: {}, socket: { ...options?.socket, socketTimeout: undefined } }
}

/** How long a Redis that is reading its data is left alone, ms. */
const PAUSE = 50

/** A connection to Redis, which the client makes again whenever it is lost, and which is begun anew where nothing comes on it. */
export class Connection {
  readonly #template: RedisClient
  readonly #waiting = new Set<() => void>()
  #client: NodeRedis | IORedis
  #closed = false
  /** Why the connection does not stand, as far as is known. */
  #error: Error | null = null

  /** @param model whose options it has */
  constructor (model: RedisClient) {
    this.#template = model
    this.#client = this.#begin()
  }

  /**
   * Does something once commands can be sent, those who wait for that in the order of their calls.
   * Rejects where all that takes more than `ms`; what has not begun by then never does.
   */
  async run<Result> (ms: number, work: () => Promise<Result>): Promise<Result> {
    const client = this.#client
    // ioredis is still ready for a moment after its socket was closed, and refuses what it is given then
    const ready = 'call' in client ? client.status === 'ready' && client.stream?.writable : client.isReady
    let go!: () => void
    const turn = new Promise<void>((resolve) => { go = resolve })
    if (ready || this.#closed) go()
    else this.#waiting.add(go)
    let over = false
    const loaded = async (): Promise<Result> => {
      try {
        return await work()
      } catch (error) {
        // a Redis that starts answers before it has its data, and does nothing
        if (!(error instanceof Error && error.message.startsWith('LOADING'))) throw error
        await real.wait(PAUSE)
        if (over) throw error
        return loaded()
      }
    }
    try {
      const result = await within(ms, turn.then(loaded), () => {
        if (!this.#closed && client === this.#client) this.#renew()
        return new NoAnswer(ms, this.#error)
      })
      // ioredis still takes answers after its end
      if (this.#closed) throw new Error('the connection is closed')
      return result
    } finally {
      over = true
      this.#waiting.delete(go)
    }
  }

  /** Rejects where Redis refuses the command, or the connection is lost before its answer. */
  send (command: string, ...args: string[]): Promise<unknown> {
    return 'call' in this.#client ? this.#client.call(command, ...args) : this.#client.sendCommand([command, ...args])
  }

  /** What is being done rejects. */
  close (): void {
    this.#closed = true
    end(this.#client)
    for (const go of this.#waiting) go()
  }

  /** The other end may be gone without a word. */
  #renew (): void {
    end(this.#client)
    this.#client = this.#begin()
  }

  #begin (): NodeRedis | IORedis {
    const model = this.#template
    const client = model.duplicate('call' in model ? IOREDIS : nodeRedisOptions(model)) as NodeRedis | IORedis
    client.on('error', (error) => { if (client === this.#client) this.#error = error })
    client.on('ready', () => {
      this.#error = null
      for (const go of this.#waiting) go()
    })
    if (!('call' in client)) {
      connecting.add(client)
      client.on('reconnecting', () => { connecting.add(client) })
      client.on('connect', () => { connecting.delete(client) })
    }
    // what it rejects with comes as an event as well
    client.connect().catch(() => {})
    return client
  }
}

/** Clients of node-redis that wait for a socket. Ended then, they go on all the same, and version 5 cannot be ended once more. */
const connecting = new WeakSet<NodeRedis>()

function end (client: NodeRedis | IORedis): void {
  if ('call' in client) return client.disconnect()
  const destroy = () => { if (client.isOpen) client.destroy() }
  if (connecting.has(client)) for (const event of ['connect', 'error']) client.on(event, destroy)
  else destroy()
}
