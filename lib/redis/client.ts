// Tested by test/redis/outage.test.ts

/** The part of a node-redis client that this plugin uses. */
interface NodeRedis {
  readonly isOpen: boolean
  readonly isReady: boolean
  connect (): Promise<unknown>
  sendCommand (args: string[]): Promise<unknown>
  destroy (): void
  on (name: string, listener: (error: Error) => void): unknown
}

/** The part of an ioredis client that this plugin uses. */
interface IORedis {
  readonly status: string
  readonly stream?: { readonly writable: boolean }
  connect (): Promise<unknown>
  call (command: string, ...args: string[]): Promise<unknown>
  disconnect (): void
  on (name: string, listener: (error: Error) => void): unknown
}

/**
 * A client of node-redis or of ioredis, also of a cluster or of Sentinel. The plugin calls only its `duplicate`, which creates a client
 * with the same options.
 */
export interface RedisClient {
  duplicate (options?: object): object
}

/** A client of one Redis server, with the same methods for both packages. */
export interface Client {
  /** True if commands can be sent. */
  readonly isReady: boolean
  /** Sends a command and resolves to the answer. Rejects if Redis refuses the command, or if the connection is lost before the answer. */
  send (command: readonly string[]): Promise<unknown>
  /** Closes the connection. Pending commands reject, or are never answered. */
  close (): void
}

export interface ClientListener {
  /** Called each time the client has connected. */
  readonly onReady: () => void
  readonly onError: (error: Error) => void
  /** Called when a client that does not reconnect has lost its connection, or could not connect. May be called more than once. */
  readonly onEnd?: () => void
}

/** Options that turn the client's timeouts off, because a blocking read takes long, a connection may be idle, and `Connection.run` has its own timeout. */
const WITHOUT_TIMEOUT = { commandTimeout: undefined, socketTimeout: undefined }

/** Options for ioredis that turn its queues off. A command that cannot be sent is refused. A command without an answer is not sent again. */
const IOREDIS = { lazyConnect: true, enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0, disconnectTimeout: 0, ...WITHOUT_TIMEOUT }

/**
 * Returns the options for a duplicate of a node-redis client, without `socketTimeout`. With that option, node-redis
 * closes each connection that is idle for so long, and rejects the commands that are sent at that moment.
 */
function nodeRedisOptions (template: RedisClient, reconnection: object): object {
  const options: { socket?: object } | undefined = Reflect.get(template, 'options')
  return { disableOfflineQueue: true, commandOptions: {}, socket: { ...options?.socket, socketTimeout: undefined, ...reconnection } }
}

/** Creates a client with the options of `template` and connects it. Without `onEnd`, the client reconnects after each error. */
export function openClient (template: RedisClient, { onReady, onError, onEnd }: ClientListener): Client {
  const options = 'call' in template
    ? { ...IOREDIS, ...(onEnd && { retryStrategy: null }) }
    : nodeRedisOptions(template, onEnd ? { reconnectStrategy: false } : {})
  const client = template.duplicate(options) as NodeRedis | IORedis
  client.on('error', onError)
  client.on('ready', onReady)
  if (onEnd !== undefined) for (const event of ['error', 'end']) client.on(event, onEnd)
  const opened = 'call' in client ? ofIORedis(client) : ofNodeRedis(client)
  // ignored here, because the client also emits the error as an event
  client.connect().catch(() => {})
  return opened
}

function ofIORedis (client: IORedis): Client {
  return {
    // the status of an ioredis client stays `ready` for a moment after its socket has closed, but it refuses commands then
    get isReady () { return client.status === 'ready' && client.stream?.writable === true },
    send: ([command = '', ...args]) => client.call(command, ...args),
    close: () => { client.disconnect() }
  }
}

function ofNodeRedis (client: NodeRedis): Client {
  /**
   * True while the client connects a socket. `close()` calls `destroy()` of such a client only after the attempt to connect, because an
   * earlier `destroy()` has no effect, and in version 5 a second `destroy()` throws.
   */
  let connecting = true
  client.on('reconnecting', () => { connecting = true })
  client.on('connect', () => { connecting = false })
  const destroy = () => { if (client.isOpen) client.destroy() }
  return {
    get isReady () { return client.isReady },
    send: (command) => client.sendCommand([...command]),
    close () {
      if (connecting) for (const event of ['connect', 'error']) client.on(event, destroy)
      else destroy()
    }
  }
}
