import type { EventEmitter } from 'node:events'
import { readdirSync } from 'node:fs'
import type { Server as HttpServer } from 'node:http'
import type { Http2Server } from 'node:http2'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import type { SSEStats } from '../../lib/index.js'
import type { HubState } from '../helpers/subscriber.js'

/** How much there is of each thing, by its name. */
export type Amounts = Record<string, number>

/** What there is in a process at one time. */
export interface Sample {
  /** Bytes. */
  memory: Amounts
  /** Numbers of things. */
  counts: Amounts
  /** Some requests that are not forgotten. */
  requests: string[]
  /** What was counted of all its streams so far. */
  stats: SSEStats[]
  /** The CPU it took since it began, ms. */
  cpu: number
}

/** What is looked at of a process. */
export interface Measured {
  hubs: readonly HubState[]
  servers: ReadonlyArray<HttpServer | Http2Server>
  /** The connections of all servers. */
  sockets: Watched<EventEmitter>
  /** Who has a stream has its request. */
  requests: Watched<FastifyRequest>
  /** The clients of Redis that were made. */
  clients: Watched<EventEmitter>
}

/** Things that are looked at again, for as long as somebody keeps them. */
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

/** All that were set by a call of the global function, also those that would not keep the process alive. */
const timers = new Watched<NodeJS.Timeout>((timer) => Reflect.get(timer, '_destroyed'))
const set = globalThis.setTimeout
globalThis.setTimeout = Object.assign((...args: Parameters<typeof set>) => {
  const timer = set(...args)
  timers.add(timer)
  return timer
}, set)

/** Measures after a collection of garbage, whatever goes on. */
export async function measure ({ hubs, servers, sockets, requests, clients }: Measured): Promise<Sample> {
  // what the collection of one thing lets go of, the next one takes
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
    // the system does not tell
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
