import type { FastifyRequest } from 'fastify'

/**
 * Why a stream was closed.
 * - `'client'`: the client disconnected
 * - `'server'`: the application closed it, or its source ended
 * - `'drain'`: `app.close()`
 * - `'overflow'`: more than `maxBufferedBytes` waited for the client
 * - `'idle'`, `'lifetime'`: `idleTimeout`, `maxLifetime`
 * - `'error'`: a source, a payload or a callback failed
 */
export type CloseReason = 'client' | 'server' | 'drain' | 'overflow' | 'idle' | 'lifetime' | 'error'

/** The result of `app.sse.stats()`: counts of this process since the plugin was registered. */
export interface SSEStats {
  /** Streams that are open now. */
  active: number
  /** Streams that have opened. */
  opened: number
  /** Requests that `maxStreams` or `maxStreamsPerClient` refused. */
  rejected: number
  /** Streams opened by clients that reconnected with an id of the log. */
  resumed: number
  /** Events written. */
  sent: number
  /** Events dropped by `overflow: 'drop'`. */
  dropped: number
  /** Published events that were replayed to clients that had missed them. They count as sent as well. */
  replayed: number
  /** Ticks of an interval that were skipped for a stream, because its client or its payload was slow. */
  skipped: number
  /** Gap events sent. */
  gaps: number
  /** Bytes written, without those of HTTP. */
  bytes: number
  /** Streams closed, by reason. */
  closed: Record<CloseReason, number>
}

/** Which limit refused a request. */
export type RejectReason = 'maxStreams' | 'maxStreamsPerClient'

/** Callbacks that receive measured times. */
export type Measures = {
  /** How long the oldest published event of a write waited for its client. */
  lag (ms: number): void
  /** How long a stream was open, when it closes. */
  duration (reason: CloseReason, ms: number): void
}

/** Counts of the streams of one route. */
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
  /** Called with the time that published events waited for the socket of their client, ms. Null without measures. */
  lag: ((ms: number) => void) | null = null
  /** Called with the time that a stream was open, ms, when it closes. Null without measures. */
  duration: ((reason: CloseReason, ms: number) => void) | null = null

  get active (): number {
    return this.opened - sum(this.closed)
  }

  /** Adds callbacks; those added before are still called. */
  measure ({ lag, duration }: Measures): void {
    this.lag = both(this.lag, lag)
    this.duration = both(this.duration, duration)
  }
}

/** Key of the stats in `app.sse`. Registered globally, so that entry points of the package's other build (CommonJS, ESM) find them. */
export const STATS: unique symbol = Symbol.for('fastify-sse-routes.counters')

/** The stats of all routes that had streams, by URL pattern. */
export class RouteCounters {
  readonly #byRoute = new Map<string, RouteStats>()
  readonly #measures: Array<(route: string) => Measures> = []

  /** Returns the stats of the route of a request. */
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

  /** Adds callbacks for lag and duration to every route, also to routes that have their first stream later. */
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
