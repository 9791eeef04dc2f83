// Tested by test/redis/topology.test.ts
import { real } from '../clock.js'
import { type Client, type ClientListener, openClient, type RedisClient } from './client.js'
import { type Finder, findByIORedis, findByNodeRedis, findMaster, isIORedisCluster, isNodeRedisCluster, isNodeRedisSentinel } from './finders.js'

/** Finds the Redis server that has the log: the owner of its slot in a cluster, or the master that Sentinel names. */
export class Topology {
  readonly #find: Finder
  #search: Promise<RedisClient> | null = null

  constructor (find: Finder) {
    this.#find = find
  }

  /** Resolves to a client of the server, whose options a connection can use. Calls at the same time share one search. */
  async owner (): Promise<RedisClient> {
    this.#search ??= this.#find()
    try {
      return await this.#search
    } finally {
      this.#search = null
    }
  }
}

/** Returns the topology of a client of a cluster, or of a node-redis client of Sentinel; null for other clients. @param key the key of the log */
export function topologyOf (client: object, key: string): Topology | null {
  if (isNodeRedisCluster(client)) return new Topology(findByNodeRedis(client, key))
  if (isIORedisCluster(client)) return new Topology(findByIORedis(client, key))
  if (isNodeRedisSentinel(client)) return new Topology(findMaster(client))
  return null
}

/**
 * Matches the errors with which a server refuses a command without any effect, because it is not the owner of the slot, not a master, or
 * because the slot is being moved. The command can be sent again, to the owner.
 */
const REFUSED = /^(MOVED|ASK|TRYAGAIN|CLUSTERDOWN|READONLY|UNBLOCKED) /

/** Delay before the owner is searched again, ms. */
const PAUSE = 50

/** The state of a connection to an owner. */
interface Owned {
  readonly client: Client
  /** The number of commands without an answer. */
  pending: number
}

/**
 * A client that is connected to the owner of the log. It searches the owner again after the connection was lost, and after the server has
 * refused a command because it is no longer the owner. Refused commands are sent again. Commands without an answer are not.
 */
export class OwnerClient implements Client {
  readonly #topology: Topology
  readonly #listener: ClientListener
  /** All open connections. Those to earlier owners stay open until their pending commands are answered. */
  readonly #open = new Set<Owned>()
  /** Functions that let refused commands continue, in the order of the commands. */
  #refused: Array<() => void> = []
  #owned: Owned | null = null
  #closed = false

  constructor (topology: Topology, listener: ClientListener) {
    this.#topology = topology
    this.#listener = listener
    this.#connect()
  }

  get isReady (): boolean {
    return this.#owned?.client.isReady === true
  }

  async send (command: readonly string[]): Promise<unknown> {
    while (!this.#closed) {
      const owned = this.#owned
      if (owned?.client.isReady !== true) {
        await new Promise<void>((resolve) => { this.#refused.push(resolve) })
        continue
      }
      owned.pending++
      try {
        return await owned.client.send(command)
      } catch (error) {
        if (!(error instanceof Error && REFUSED.test(error.message))) throw error
        this.#listener.onError(error)
        this.#leave(owned)
      } finally {
        owned.pending--
        this.#closeUnused(owned)
      }
    }
    throw new Error('the connection is closed')
  }

  close (): void {
    this.#closed = true
    for (const { client } of this.#open) client.close()
    this.#continue()
  }

  #continue (): void {
    const refused = this.#refused
    this.#refused = []
    for (const resolve of refused) resolve()
  }

  /** Searches the owner until it is found, and connects to it. Never rejects. */
  async #connect (): Promise<void> {
    while (!this.#closed) {
      try {
        const template = await this.#topology.owner()
        if (!this.#closed) this.#use(template)
        return
      } catch (error) {
        this.#listener.onError(error as Error)
        await real.wait(PAUSE)
      }
    }
  }

  #use (template: RedisClient): void {
    const client = openClient(template, {
      onReady: () => {
        // before later commands
        this.#continue()
        this.#listener.onReady()
      },
      onError: this.#listener.onError,
      onEnd: () => { this.#leave(owned) }
    })
    const owned = this.#owned = { client, pending: 0 }
    this.#open.add(owned)
  }

  /** Searches the owner again, if this is the current connection. */
  #leave (owned: Owned): void {
    if (owned !== this.#owned) return
    this.#owned = null
    this.#closeUnused(owned)
    real.wait(PAUSE).then(() => this.#connect())
  }

  #closeUnused (owned: Owned): void {
    if (owned === this.#owned || owned.pending > 0 || !this.#open.delete(owned)) return
    owned.client.close()
  }
}
