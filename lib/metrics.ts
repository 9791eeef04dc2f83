/**
 * Metrics of prom-client.
 *
 * @module fastify-sse-routes/metrics
 */
import type { FastifyInstance } from 'fastify'
import { Counter, Gauge, Histogram, type Metric, type OpenMetricsContentType, type PrometheusContentType, type Registry } from 'prom-client'
import { STATS, type RouteStats, type StatsByRoute } from './stats.js'
import { SSE_ERR_NOT_REGISTERED, SSE_ERR_OPTION, describeValue } from './errors.js'

/** The options of `sseMetrics`. */
export interface SSEMetricsOptions {
  /** The registry to which the metrics are added: `register` of prom-client, or another `Registry`. */
  register: Registry<PrometheusContentType> | Registry<OpenMetricsContentType>
  /** Prefix of each metric's name: with `'shop_'` the first metric is `shop_sse_streams_open`. Default: none. */
  prefix?: string
  /**
   * Labels of every sample in addition to `route` and `reason`. Several apps can share a registry if their labels have the same
   * names and different values. Default: none.
   */
  labels?: Readonly<Record<string, string>>
}

/** Upper bounds of the histogram buckets for the time from publish to write, seconds: from 1 ms, for a fast client, to a minute, for a slow one. */
const LAG_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
/** Upper bounds of the stream duration's histogram buckets, seconds: from clients that disconnect at once to streams open for a day. */
const DURATION_BUCKETS = [0.1, 1, 10, 60, 300, 900, 1_800, 3_600, 14_400, 43_200, 86_400]

/**
 * Maps the metric `sse_streams_open` of a registry to all metrics registered with it. The key is this metric and not the
 * registry, because `register.clear()` removes the metric. The next call of `sseMetrics` then registers new metrics.
 */
const families = new WeakMap<object, Family>()

/**
 * Registers the metrics of an app's event streams with prom-client, named as Prometheus asks
 * (https://prometheus.io/docs/practices/naming/). The label `route` is the route's URL pattern.
 *
 * Counters are read at each scrape from the counts that the plugin keeps anyway. Two times are measured in addition: the
 * duration of streams, and the lag. The lag of a write to a client's socket is the time that the oldest published event in the
 * write waited in this process before the write.
 *
 * @throws SSE_ERR_NOT_REGISTERED, SSE_ERR_OPTION; the errors of prom-client for a registry with other metrics of these names
 */
export function sseMetrics (app: Pick<FastifyInstance, 'sse'>, { register, prefix = '', labels = {} }: SSEMetricsOptions): void {
  const stats = statsOf(app)
  if (typeof prefix !== 'string') throw new SSE_ERR_OPTION('prefix', 'a string', describeValue(prefix))
  if (!areLabels(labels)) throw new SSE_ERR_OPTION('labels', 'an object of strings without "route", "reason", "state" and "le"', describeValue(labels))
  const open = register.getSingleMetric(`${prefix}sse_streams_open`)
  const family = (open && families.get(open)) ?? new Family(register, prefix, Object.keys(labels))
  family.add(stats, labels)
}

/** All metrics with one prefix in one registry. Several apps may share them, with different label values. */
class Family {
  readonly #labelNames: string[]
  readonly #apps: Array<{ stats: StatsByRoute, labels: Readonly<Record<string, string>> }> = []
  readonly #lag: Histogram
  readonly #duration: Histogram

  constructor (register: SSEMetricsOptions['register'], prefix: string, labelNames: string[]) {
    this.#labelNames = labelNames
    const registers = [register]
    const common = (name: string, help: string, ...names: string[]) => ({ name: `${prefix}${name}`, help, labelNames: [...labelNames, ...names], registers })

    /** Registers a counter or gauge. At each scrape the metric's samples are set to the results of `samples` for each app. */
    const readApps = (Kind: typeof Counter | typeof Gauge, name: string, help: string, names: string[], samples: (stats: StatsByRoute) => Samples): Metric => {
      const metric = new Kind({
        ...common(name, help, ...names),
        collect: () => {
          metric.reset()
          for (const { stats, labels } of this.#apps) {
            for (const [own, value] of samples(stats)) metric.inc({ ...labels, ...own }, value)
          }
        }
      })
      return metric
    }
    const read = (Kind: typeof Counter | typeof Gauge, name: string, help: string, samples: (stats: RouteStats) => Samples): Metric =>
      readApps(Kind, name, help, ['route', 'reason'], (stats) => Array.from(stats.entries()).flatMap(([route, of]) =>
        samples(of).map(([own, value]): Samples[number] => [{ route, ...own }, value])))

    families.set(read(Gauge, 'sse_streams_open', 'Event streams that are open', ({ active }) => single(active)), this)
    read(Counter, 'sse_streams_opened_total', 'Event streams opened', ({ opened }) => single(opened))
    read(Counter, 'sse_streams_resumed_total', 'Event streams opened whose client sent an id of the log', ({ resumed }) => single(resumed))
    read(Counter, 'sse_streams_closed_total', 'Event streams closed, by reason', ({ closed }) => byReason(closed))
    read(Counter, 'sse_streams_rejected_total', 'Requests refused by a limit, by limit', ({ rejected }) => byReason(rejected))
    read(Counter, 'sse_events_sent_total', 'Events written to clients', ({ sent }) => single(sent))
    read(Counter, 'sse_events_dropped_total', 'Events left out for clients that were behind', ({ dropped }) => single(dropped))
    read(Counter, 'sse_events_replayed_total', 'Published events written to clients that had missed them', ({ replayed }) => single(replayed))
    read(Counter, 'sse_ticks_skipped_total', 'Ticks of intervals skipped because a client was behind or a payload slow', ({ skipped }) => single(skipped))
    read(Counter, 'sse_gaps_total', 'Gap events sent', ({ gaps }) => single(gaps))
    read(Counter, 'sse_bytes_sent_total', 'Bytes written to clients, without those of HTTP', ({ bytes }) => single(bytes))
    readApps(Gauge, 'sse_runs_open', 'Runs whose source is running', [], ({ runs }) => single(runs.open))
    readApps(Gauge, 'sse_run_readers', 'Event streams that are reading a run', [], ({ runs }) => single(runs.readers))
    readApps(Counter, 'sse_runs_ended_total', 'Runs that have ended, by state', ['state'], ({ runs: { done, failed, stopped } }) =>
      Object.entries({ done, failed, stopped }).map(([state, count]) => [{ state }, count]))
    this.#lag = new Histogram({
      ...common('sse_delivery_lag_seconds', 'How long the oldest published event of each write waited for its client, in this process', 'route'),
      buckets: LAG_BUCKETS
    })
    this.#duration = new Histogram({
      ...common('sse_stream_duration_seconds', 'How long event streams that have closed were open, by reason', 'route', 'reason'),
      buckets: DURATION_BUCKETS
    })
  }

  /** Adds an app's counts to the metrics. @throws SSE_ERR_OPTION for label names that the metrics do not have, or label values that another app has */
  add (stats: StatsByRoute, labels: Readonly<Record<string, string>>): void {
    const names = Object.keys(labels)
    if (names.length !== this.#labelNames.length || this.#labelNames.some((name) => !names.includes(name))) {
      throw new SSE_ERR_OPTION('labels', `the names that the metrics of this registry have (${this.#labelNames.join(', ') || 'none'})`, names.join(', ') || 'none')
    }
    if (this.#apps.some((app) => names.every((name) => app.labels[name] === labels[name]))) {
      throw new SSE_ERR_OPTION('labels', 'other values than those of the app that has registered its metrics before, or another "prefix"', describeValue(labels))
    }
    this.#apps.push({ stats, labels })
    stats.measure((route) => {
      const lag = this.#lag.labels({ ...labels, route })
      return {
        lag: (ms) => lag.observe(ms / 1_000),
        duration: (reason, ms) => this.#duration.observe({ ...labels, route, reason }, ms / 1_000)
      }
    })
  }
}

/** Samples of one metric: values, each with its own labels. */
type Samples = Array<[own: Record<string, string>, value: number]>

function single (value: number): Samples {
  return [[{}, value]]
}

function byReason (counts: Record<string, number>): Samples {
  return Object.entries(counts).map(([reason, count]) => [{ reason }, count])
}

function areLabels (labels: unknown): boolean {
  if (typeof labels !== 'object' || labels === null) return false
  return Object.entries(labels).every(([name, value]) => typeof value === 'string' && !['route', 'reason', 'state', 'le'].includes(name))
}

function statsOf ({ sse }: Pick<FastifyInstance, 'sse'>): StatsByRoute {
  // `app.sse` is undefined until the plugin is loaded, although its type does not say so
  const given: FastifyInstance['sse'] | undefined = sse
  if (given === undefined || !(STATS in given)) throw new SSE_ERR_NOT_REGISTERED('sseMetrics()')
  return given[STATS] as StatsByRoute
}
