import type { FastifyRequest } from 'fastify'
import type { CloseReason, SSEStats } from './types.js'

/** Which limit refused a request. */
export type RejectReason = 'maxStreams' | 'maxStreamsPerClient'

/** Receivers of measured times. */
export interface Measures {
  lag (ms: number): void
  duration (reason: CloseReason, ms: number): void
}

/** What was counted of one route's streams. */
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
  /** Told how long published events waited for their client's socket, ms. */
  lag: ((ms: number) => void) | null = null

  /** Gets how long each stream was open, ms, when it closes. */
  duration: ((reason: CloseReason, ms: number) => void) | null = null

  get active (): number {
    return this.opened - sum(this.closed)
  }

  /** Gives what is measured to `measures`, besides those before. */
  measure ({ lag, duration }: Measures): void {
    this.lag = both(this.lag, lag)
    this.duration = both(this.duration, duration)
  }
}

/** Where other entries, perhaps of the package's other build, find the counters of `app.sse`. */
export const STATS: unique symbol = Symbol.for('fastify-sse-routes.counters')

/** The counters of all routes that had streams, by URL pattern. */
export class RouteCounters {
  readonly #byRoute = new Map<string, RouteStats>()
  readonly #measures: Array<(route: string) => Measures> = []

  /** Those of the route that a request came to. */
  of ({ routeOptions: { url = '' } }: FastifyRequest): RouteStats {
    let counters = this.#byRoute.get(url)
    if (counters === undefined) {
      counters = new RouteStats()
      for (const measuresOf of this.#measures) counters.measure(measuresOf(url))
      this.#byRoute.set(url, counters)
    }
    return counters
  }

  entries (): Iterable<[route: string, counters: RouteStats]> {
    return this.#byRoute
  }

  /** Measures lag and duration on every route, also on those to come, for what `measuresOf` returns. */
  measure (measuresOf: (route: string) => Measures): void {
    this.#measures.push(measuresOf)
    for (const [route, counters] of this.#byRoute) counters.measure(measuresOf(route))
  }

  total (): SSEStats {
    const all = [...this.#byRoute.values()]
    const of = (count: (counters: RouteStats) => number) => all.reduce((total, counters) => total + count(counters), 0)
    const closed = new RouteStats().closed
    for (const counters of all) for (const reason of reasons(closed)) closed[reason] += counters.closed[reason]
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
