import type { FastifyRequest } from 'fastify'

/**
 * The reason why a stream closed.
 * - `'client'`: the client disconnected
 * - `'server'`: the application closed it, or its source ended
 * - `'drain'`: `app.close()`
 * - `'overflow'`: more than `maxBufferedBytes` waited for the client
 * - `'idle'`, `'lifetime'`: `idleTimeout`, `maxLifetime`
 * - `'error'`: a source, payload or callback failed
 */
export type CloseReason = 'client' | 'server' | 'drain' | 'overflow' | 'idle' | 'lifetime' | 'error'

/** The result of `app.sse.stats()`: counts of this process since its start. */
export interface SSEStats {
  /** Streams open now. */
  active: number
  /** Streams opened. */
  opened: number
  /** Requests that `maxStreams` or `maxStreamsPerClient` refused. */
  rejected: number
  /** Streams opened by clients that reconnected with an id of the log. */
  resumed: number
  /** Events written. */
  sent: number
  /** Events dropped by `overflow: 'drop'`. */
  dropped: number
  /** Published events that were replayed to reconnecting clients. They count as sent as well. */
  replayed: number
  /** Ticks of an interval that were skipped for a stream, because its client was behind or its payload slow. */
  skipped: number
  /** Gap events sent. */
  gaps: number
  /** Bytes written, without those of HTTP. */
  bytes: number
  /** Streams closed, by reason. */
  closed: Record<CloseReason, number>
}

/** The limit that refused a request. */
export type RejectReason = 'maxStreams' | 'maxStreamsPerClient'

/** Callbacks for measured times. */
type Measures = {
  /** Called with the time that the oldest published event of a write waited for its client. */
  lag (ms: number): void
  /** Called with the time that a stream was open. */
  duration (reason: CloseReason, ms: number): void
}

/** Counts of one route's streams. */
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
  readonly closed: Record<CloseReason, number> = { client: 0, server: 0, drain: 0, overflow: 0, idle: 0, lifetime: 0, error: 0 }
  /** Called with the time that published events waited for their client's socket, ms. Null if it is not measured. */
  lag: ((ms: number) => void) | null = null

  /** Called when a stream closes, with the time that it was open, ms. Null if it is not measured. */
  duration: ((reason: CloseReason, ms: number) => void) | null = null

  get active (): number {
    return this.opened - sum(this.closed)
  }

  /** Adds callbacks. */
  measure ({ lag, duration }: Measures): void {
    this.lag = both(this.lag, lag)
    this.duration = both(this.duration, duration)
  }
}

/** The key of the stats in `app.sse`. A registered symbol, because the ESM and the CJS build of the package share it. */
export const STATS: unique symbol = Symbol.for('fastify-sse-routes.counters')

/** The stats of all routes that had streams, by URL pattern. */
export class StatsByRoute {
  readonly #byRoute = new Map<string, RouteStats>()
  readonly #measures: Array<(route: string) => Measures> = []

  /** Returns the stats of a request's route. */
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

  /** Measures lag and duration on every route, also on later ones. @param measuresOf called once per route */
  measure (measuresOf: (route: string) => Measures): void {
    this.#measures.push(measuresOf)
    for (const [route, stats] of this.#byRoute) stats.measure(measuresOf(route))
  }

  /** Returns the sums over all routes. */
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
      closed
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
