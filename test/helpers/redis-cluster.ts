import { setTimeout as wait } from 'node:timers/promises'
import type { Test } from 'tap'
import { freePort } from './free-port.js'
import { RedisServer } from './redis-server.js'
import { until } from './until.js'

/** The slot of the keys with the hash tag `{sse}`. */
export const SLOT = 8273

/** One node of a cluster. */
export interface Node {
  readonly server: RedisServer
  readonly id: string
}

/** A Redis Cluster of one test. The first three nodes are masters, with a third of the slots each. */
export class RedisCluster {
  readonly nodes: readonly Node[]

  private constructor (nodes: readonly Node[]) {
    this.nodes = nodes
  }

  /** Starts a cluster of three masters, each with a number of replicas. The cluster is killed at the end of the test. */
  static async start (t: Pick<Test, 'teardown'>, command: string, replicas = 0): Promise<RedisCluster> {
    const nodes = await Promise.all(Array.from({ length: 3 + 3 * replicas }, async () => {
      const bus = await freePort()
      const options = ['--cluster-enabled', 'yes', '--cluster-node-timeout', '1000', '--cluster-port', String(bus), '--repl-diskless-sync-delay', '0', '--cluster-replica-validity-factor', '0']
      const server = await RedisServer.start(t, command, options)
      return { server, bus, id: String(await server.call('CLUSTER', 'MYID')) }
    }))
    const [first, ...others] = nodes
    for (const [i, { server }] of nodes.entries()) {
      await server.call('CLUSTER', 'SET-CONFIG-EPOCH', String(i + 1))
      if (i < 3) await server.call('CLUSTER', 'ADDSLOTSRANGE', String([0, 5461, 10923][i]), String([5460, 10922, 16383][i]))
    }
    for (const { server, bus } of others) await first?.server.call('CLUSTER', 'MEET', '127.0.0.1', String(server.port), String(bus))
    const cluster = new RedisCluster(nodes)
    const knows = async (server: RedisServer) => String(await server.call('CLUSTER', 'NODES')).trim().split('\n').length === nodes.length
    await until('all nodes to know each other', async () => (await Promise.all(nodes.map(({ server }) => knows(server)))).every(Boolean))
    for (const [i, { server }] of nodes.entries()) if (i >= 3) await server.call('CLUSTER', 'REPLICATE', nodes[i % 3]?.id ?? '')
    await until('the cluster to be ready', async () => (await Promise.all(nodes.map(({ server }) => isReady(server)))).every(Boolean), 20_000)
    return cluster
  }

  get urls (): string[] {
    return this.nodes.map(({ server }) => server.url)
  }

  /** The running node that has the slot of the log, and the others. */
  async owner (): Promise<{ owner: Node, others: Node[] }> {
    for (const node of this.nodes) {
      const line = await node.server.call('CLUSTER', 'NODES').then(String, () => '')
      const [, slots] = /^.*myself,master.*connected(.*)$/m.exec(line) ?? []
      const owns = slots?.split(' ').some((range) => {
        const [from, to = from] = range.split('-').map(Number)
        return from !== undefined && to !== undefined && from <= SLOT && SLOT <= to
      })
      if (owns) return { owner: node, others: this.nodes.filter((other) => other !== node) }
    }
    throw new Error('no node has the slot')
  }

  /** Moves the slot of the log to another node, as `redis-cli --cluster reshard` does. @param pause ms between the keys and the slot */
  async moveSlot (from: Node, to: Node, pause = 0): Promise<void> {
    await to.server.call('CLUSTER', 'SETSLOT', String(SLOT), 'IMPORTING', from.id)
    await from.server.call('CLUSTER', 'SETSLOT', String(SLOT), 'MIGRATING', to.id)
    const keys = await from.server.call('CLUSTER', 'GETKEYSINSLOT', String(SLOT), '1000') as string[]
    for (const key of keys) {
      await from.server.call('MIGRATE', '127.0.0.1', String(to.server.port), key, '0', '5000')
      await wait(pause)
    }
    for (const { server } of [to, from]) await server.call('CLUSTER', 'SETSLOT', String(SLOT), 'NODE', to.id)
  }
}

async function isReady (server: RedisServer): Promise<boolean> {
  const [state, role] = await Promise.all([server.call('CLUSTER', 'INFO'), server.call('INFO', 'replication')])
  return String(state).includes('cluster_state:ok') && (String(role).includes('role:master') || String(role).includes('master_link_status:up'))
}
