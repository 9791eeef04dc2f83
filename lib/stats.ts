import type { FastifyRequest } from 'fastify'

/**
 * The reason why a stream closed.
 * - `'client'`: the client disconnected
 * - `'server'`: the application closed the stream, or the stream's source ended
 * - `'drain'`: the server closes (`app.close()`)
 * - `'overflow'`: more than `maxBufferedBytes` were buffered for the client
 * - `'stalled'`: the client took no byte of the waiting bytes for `stallTimeout`
 * - `'idle'`, `'lifetime'`: the time in the option `idleTimeout` or `maxLifetime` passed
 * - `'expired'`: the time that the option `expires` returned has come
 * - `'error'`: a source, payload or callback failed
 */
export type CloseReason = 'client' | 'server' | 'drain' | 'overflow' | 'stalled' | 'idle' | 'lifetime' | 'expired' | 'error'

/** The reasons for which a response is aborted, so that the client sees a failure. */
export const ABORTS: ReadonlySet<CloseReason> = new Set(['error', 'overflow', 'stalled'])

/** The result of `app.sse.stats()`: counts of this process since its start. */
export interface SSEStats {
  /** Number of streams that are open now. */
  active: number
  /** Number of streams that have opened, also those that have closed since. */
  opened: number
  /** Number of requests refused because `maxStreams` or a limit of `maxStreamsPerClient` was reached. */
  rejected: number
  /** Number of streams of clients that reconnected: their Last-Event-ID was an id of the log of published events. */
  resumed: number
  /** Number of events written on streams. An event written on two streams counts twice. */
  sent: number
  /** Number of events not sent because the client was behind, on streams with `overflow: 'drop'`. */
  dropped: number
  /** Number of published events read from the log: after a reconnect, a rewind, or by a slow client. Included in `sent`. */
  replayed: number
  /** Number of ticks of a route's `interval` at which a stream sent nothing, because its client was behind or `payload` had not settled. */
  skipped: number
  /** Number of `gap` events sent, which tell a client that it has missed events. */
  gaps: number
  /** Number of bytes written on streams, without HTTP headers and framing. */
  bytes: number
  /** Number of streams that have closed, for each reason. */
  closed: Record<CloseReason, number>
  /** Runs whose sources run in this process, and the streams of this process that read runs. */
  runs: RunStats
}

/** Counts of the runs of one process. A run whose process has died is counted by no process. */
export interface RunStats {
  /** Number of runs whose source is running in this process. */
  open: number
  /** Number of streams of this process that are reading a run. */
  readers: number
  /** Number of runs of this process whose source has ended. */
  done: number
  /** Number of runs of this process whose source has failed. */
  failed: number
  /** Number of runs of this process that were stopped. */
  stopped: number
}

/** The option whose limit was reached, so that a request was refused. */
export type RejectReason = 'maxStreams' | 'maxStreamsPerClient'

/** Callbacks that get the times measured on one route's streams. The metrics for Prometheus implement them. */
type Measures = {
  /** Called at each write of published events to a socket, with the time that the oldest of these events waited in this process, ms. */
  lag (ms: number): void
  /** Called when a stream closes, with the time that it was open, ms. */
  duration (reason: CloseReason, ms: number): void
}

/** Counts of one route's streams since the start of the process. The names are those of `SSEStats`. */
export class RouteStats {
  opened = 0
  resumed = 0
  sent = 0
  dropped = 0
  replayed = 0
  skipped = 0
  gaps = 0
  bytes = 0
  readonly rejected: Record<RejectReason, number> = { maxStreams: 0, maxStreamsPerClient: 0 }
  readonly closed: Record<CloseReason, number> = { client: 0, server: 0, drain: 0, overflow: 0, stalled: 0, idle: 0, lifetime: 0, expired: 0, error: 0 }
  /** Called at each write of published events, with the time that the oldest of them waited for the client's socket, ms. Null if not measured. */
  lag: ((ms: number) => void) | null = null

  /** Called when a stream closes, with the time that the stream was open, ms. Null if not measured. */
  duration: ((reason: CloseReason, ms: number) => void) | null = null

  get active (): number {
    return this.opened - sum(this.closed)
  }

  /** Adds callbacks for measured times. Callbacks that were added before are still called. */
  measure ({ lag, duration }: Measures): void {
    this.lag = both(this.lag, lag)
    this.duration = both(this.duration, duration)
  }
}

/** The property of `app.sse` that holds its `StatsByRoute`. A registered symbol, so that the ESM and the CJS build have the same one. */
export const STATS: unique symbol = Symbol.for('fastify-sse-routes.counters')

/** The counts of each route that has had a stream or a refused request, by the route's URL pattern. */
export class StatsByRoute {
  readonly runs: RunStats = { open: 0, readers: 0, done: 0, failed: 0, stopped: 0 }
  readonly #byRoute = new Map<string, RouteStats>()
  readonly #measures: Array<(route: string) => Measures> = []

  /** Returns the counts of a request's route. Creates them for the first request of the route. */
  of ({ routeOptions: { url = '' } }: FastifyRequest): RouteStats {
    let stats = this.#byRoute.get(url)
    if (stats === undefined) {
      stats = new RouteStats()
      for (const measuresOf of this.#measures) stats.measure(measuresOf(url))
      this.#byRoute.set(url, stats)
    }
    return stats
  }

  entries (): Iterable<[route: string, stats: RouteStats]> {
    return this.#byRoute
  }

  /** Adds callbacks for measured times to all routes, present and later. @param measuresOf returns the callbacks of a route; called once per route */
  measure (measuresOf: (route: string) => Measures): void {
    this.#measures.push(measuresOf)
    for (const [route, stats] of this.#byRoute) stats.measure(measuresOf(route))
  }

  /** Returns the sum of each count over all routes: the result of `app.sse.stats()`. */
  total (): SSEStats {
    const all = [...this.#byRoute.values()]
    const of = (count: (stats: RouteStats) => number) => all.reduce((total, stats) => total + count(stats), 0)
    const closed = new RouteStats().closed
    for (const stats of all) for (const reason of reasons(closed)) closed[reason] += stats.closed[reason]
    return {
      active: of(({ active }) => active),
      opened: of(({ opened }) => opened),
      rejected: of(({ rejected }) => sum(rejected)),
      resumed: of(({ resumed }) => resumed),
      sent: of(({ sent }) => sent),
      dropped: of(({ dropped }) => dropped),
      replayed: of(({ replayed }) => replayed),
      skipped: of(({ skipped }) => skipped),
      gaps: of(({ gaps }) => gaps),
      bytes: of(({ bytes }) => bytes),
      closed,
      runs: { ...this.runs }
    }
  }
}

function both<Args extends unknown[]> (first: ((...args: Args) => void) | null, second: (...args: Args) => void): (...args: Args) => void {
  if (first === null) return second
  return (...args) => {
    first(...args)
    second(...args)
  }
}

function reasons (counts: Record<CloseReason, number>): CloseReason[] {
  return Object.keys(counts) as CloseReason[]
}

function sum (counts: Record<string, number>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0)
}
