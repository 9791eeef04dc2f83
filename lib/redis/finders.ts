// Tested by test/redis/topology.test.ts
import { real } from '../clock.js'
import type { RedisClient } from './client.js'
import { slotOf } from './slot.js'

/** Finds the server that has the log. Resolves to a client with the options for it. The client may be closed. */
export type Finder = () => Promise<RedisClient & { readonly call?: unknown }>

interface Address {
  readonly host: string
  readonly port: number
}

interface ClusterNode extends Address {
  readonly address: string
}

/** The part of a cluster client of node-redis that this plugin uses. */
interface NodeRedisCluster {
  readonly _options: { readonly nodeAddressMap?: Record<string, Address> | ((address: string) => Address | undefined) }
  readonly slots: ReadonlyArray<{ readonly master: ClusterNode } | undefined>
  readonly masters: readonly ClusterNode[]
  readonly replicas: readonly ClusterNode[]
  duplicate (options: object): NodeRedisCluster
  on (name: string, listener: (error: Error) => void): unknown
  connect (): Promise<unknown>
  nodeClient (node: ClusterNode): Promise<RedisClient>
  destroy (): void
}

/** The part of a cluster client of ioredis that this plugin uses. */
interface IORedisCluster {
  readonly options: { readonly keyPrefix?: string }
  readonly slots: ReadonlyArray<readonly string[] | undefined>
  duplicate (startupNodes: readonly Address[], options: object): IORedisCluster
  on (name: string, listener: (error: Error) => void): unknown
  connect (): Promise<unknown>
  nodes (): Array<RedisClient & { readonly options: Address, readonly call: unknown }>
  disconnect (): void
}

/** The part of a Sentinel client of node-redis that this plugin uses. */
interface NodeRedisSentinel {
  duplicate (options: object): NodeRedisSentinel
  on (name: string, listener: (error: Error) => void): unknown
  connect (): Promise<unknown>
  /** Calls `work` with a client of the master. node-redis has no other way to such a client. */
  _execute (isReadonly: boolean, work: (client: RedisClient) => Promise<RedisClient>): Promise<RedisClient>
  destroy (): unknown
}

export function isNodeRedisCluster (client: object): client is NodeRedisCluster {
  return 'nodeClient' in client && '_options' in client
}

export function isIORedisCluster (client: object): client is IORedisCluster {
  return Reflect.get(client, 'isCluster') === true
}

export function isNodeRedisSentinel (client: object): client is NodeRedisSentinel {
  return 'getMasterNode' in client && '_execute' in client
}

/** The longest time of a search, ms. */
const LONGEST = 3_000

/** Resolves or rejects as `work`, and rejects after `LONGEST` ms or when `fail` was called. Calls `end` afterwards. */
async function search<Result> (work: (fail: (error: Error) => void) => Promise<Result>, end: () => unknown): Promise<Result> {
  let timer: NodeJS.Timeout | undefined
  try {
    return await new Promise<Result>((resolve, reject) => {
      timer = real.setTimeout(() => { reject(new Error(`the owner was not found within ${LONGEST} ms`)) }, LONGEST)
      work(reject).then(resolve, reject)
    })
  } finally {
    real.clearTimeout(timer)
    end()
  }
}

/** The nodes of a cluster that the last search found. They are asked, because the nodes that the app has named may be gone. */
class KnownNodes {
  #nodes: readonly Address[] = []
  #asked = false

  /** Returns the addresses of the nodes to ask. Alternates between the nodes that the last search found and an empty array, which stands for the nodes in the options of the app. */
  next (): readonly Address[] {
    this.#asked = !this.#asked
    return this.#asked ? this.#nodes : []
  }

  /** Called when the nodes have answered. */
  found (nodes: readonly Address[]): void {
    this.#nodes = nodes
    this.#asked = false
  }
}

/** Returns a function that asks the cluster for the owner of the log's slot, by a duplicate of a cluster client of node-redis. */
export function findByNodeRedis (cluster: NodeRedisCluster, key: string): Finder {
  const { nodeAddressMap } = cluster._options
  const slot = slotOf(key)
  const known = new KnownNodes()
  const mapped = ({ address, host, port }: ClusterNode): Address =>
    (typeof nodeAddressMap === 'function' ? nodeAddressMap(address) : nodeAddressMap?.[address]) ?? { host, port }
  return () => {
    const nodes = known.next()
    const roots = nodes.length === 0 ? {} : { rootNodes: nodes.map((socket) => ({ socket })) }
    const asking = cluster.duplicate({ minimizeConnections: true, useReplicas: true, ...roots })
    return search(async (fail) => {
      // an unreachable root node is not the end of a search, because the next one is asked
      asking.on('error', () => {})
      asking.on('node-error', fail)
      await asking.connect()
      known.found([...asking.masters, ...asking.replicas].map(mapped))
      const found = asking.slots[slot]
      if (found === undefined) throw new Error(`no node has the slot ${slot}`)
      return asking.nodeClient(found.master)
    }, () => { asking.destroy() })
  }
}

/** Returns a function that asks the cluster for the owner of the log's slot, by a duplicate of a cluster client of ioredis. */
export function findByIORedis (cluster: IORedisCluster, key: string): Finder {
  const { keyPrefix = '' } = cluster.options
  const slot = slotOf(`${keyPrefix}${key}`)
  const known = new KnownNodes()
  return () => {
    const asking = cluster.duplicate(known.next(), { lazyConnect: true, enableReadyCheck: false, clusterRetryStrategy: null })
    return search(async () => {
      asking.on('error', () => {})
      await asking.connect()
      const nodes = asking.nodes()
      known.found(nodes.map(({ options: { host, port } }) => ({ host, port })))
      const owner = nodes.find(({ options: { host, port } }) => `${host}:${port}` === asking.slots[slot]?.[0])
      if (owner === undefined) throw new Error(`no node has the slot ${slot}`)
      return { call: owner.call, duplicate: (options) => owner.duplicate({ keyPrefix, ...options }) }
    }, () => { asking.disconnect() })
  }
}

/** Returns a function that asks Sentinel for the master, by a duplicate of a Sentinel client of node-redis. */
export function findMaster (sentinel: NodeRedisSentinel): Finder {
  return () => {
    const asking = sentinel.duplicate({ masterPoolSize: 1, replicaPoolSize: 0, reserveClient: false, scanInterval: 0 })
    return search(async () => {
      asking.on('error', () => {})
      await asking.connect()
      return asking._execute(false, async (client) => client)
    }, () => asking.destroy())
  }
}
