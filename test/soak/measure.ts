import type { EventEmitter } from 'node:events'
import { readdirSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import type { Http2Server } from 'node:http2'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import type { SSEStats } from '../../lib/index.js'
import type { HubState } from '../helpers/subscriber.js'

/** Counts by name. */
export type Amounts = Record<string, number>

/** Measurements of a process at one time. */
export interface Sample {
  /** Bytes. */
  memory: Amounts
  /** Counts of objects. */
  counts: Amounts
  /** Requests that are still referenced. */
  requests: string[]
  /** Stats of all its streams so far. */
  stats: SSEStats[]
  /** CPU time since the start, ms. */
  cpu: number
}

/** Objects that are measured in a process. */
export interface Measured {
  hubs: readonly HubState[]
  servers: ReadonlyArray<HttpServer | Http2Server>
  /** Connections of all servers. */
  sockets: Watched<EventEmitter>
  /** A stream references its request. */
  requests: Watched<FastifyRequest>
  /** Clients of Redis. */
  clients: Watched<EventEmitter>
}

/** Weak references to objects, counted until they are garbage. */
export class Watched<Thing extends object> {
  readonly #refs = new Set<WeakRef<Thing>>()
  readonly #isOver: (thing: Thing) => unknown

  /** @param isOver whether it need not be looked at again, though it is kept */
  constructor (isOver: (thing: Thing) => unknown = () => false) {
    this.#isOver = isOver
  }

  add (thing: Thing): void {
    this.#refs.add(new WeakRef(thing))
  }

  all (): Thing[] {
    const all: Thing[] = []
    for (const ref of this.#refs) {
      const thing = ref.deref()
      if (thing === undefined || this.#isOver(thing)) this.#refs.delete(ref)
      else all.push(thing)
    }
    return all
  }
}

/** Timers set by the global function, unref'ed ones included. */
const timers = new Watched<NodeJS.Timeout>((timer) => Reflect.get(timer, '_destroyed'))
const set = globalThis.setTimeout
globalThis.setTimeout = Object.assign((...args: Parameters<typeof set>) => {
  const timer = set(...args)
  timers.add(timer)
  return timer
}, set)

/** Measures after a garbage collection. */
export async function measure ({ hubs, servers, sockets, requests, clients }: Measured): Promise<Sample> {
  // the next collection takes the objects that the first one released
  for (let i = 0; i < 3; i++) {
    globalThis.gc?.()
    await turn()
  }
  const { heapUsed, external, rss } = process.memoryUsage()
  const { user, system } = process.cpuUsage()
  const [connections, redis] = [sockets.all(), clients.all()]
  const total = (of: (hub: HubState) => number) => hubs.reduce((sum, hub) => sum + of(hub), 0)
  return {
    memory: { heap: heapUsed, external, rss },
    counts: {
      files: filesOpen(),
      ...prefixed('handles', countsOf(process.getActiveResourcesInfo())),
      ...prefixed('listeners', {
        process: listenersOn(process),
        servers: servers.reduce((sum, server) => sum + listenersOn(server), 0),
        'the connection with most': Math.max(0, ...connections.map(listenersOn)),
        'the Redis client with most': Math.max(0, ...redis.map(listenersOn))
      }),
      timers: timers.all().length,
      ...prefixed('objects', { connections: connections.length, requests: requests.all().length, 'Redis clients': redis.length }),
      ...prefixed('kept', {
        streams: total((hub) => hub.streams.size),
        topics: total((hub) => hub.topics.size),
        subscriptions: total((hub) => [...hub.topics.values()].reduce((sum, { size }) => sum + size, 0)),
        clients: total((hub) => hub.clients.size),
        schedules: total((hub) => hub.timers.size)
      })
    },
    requests: requests.all().slice(0, 5).map(({ method, url, raw, server }) => `${method} ${url} over HTTP/${raw.httpVersion}, ${raw.socket?.destroyed ? 'its connection is over' : 'on a connection that is open'}${server.sse.streams.size > 0 ? ', streams are open' : ''}`),
    stats: hubs.map((hub) => hub.stats()),
    cpu: (user + system) / 1_000
  }
}

function filesOpen (): number {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    // the system does not have this number
    return 0
  }
}

function listenersOn (emitter: EventEmitter): number {
  return emitter.eventNames().reduce((sum, name) => sum + emitter.listenerCount(name), 0)
}

function countsOf (names: readonly string[]): Amounts {
  const counts: Amounts = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

function prefixed (prefix: string, amounts: Amounts): Amounts {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [`${prefix}: ${name}`, amount]))
}
