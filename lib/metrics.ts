import type { FastifyInstance } from 'fastify'
import { Counter, Gauge, Histogram, type OpenMetricsContentType, type PrometheusContentType, type Registry } from 'prom-client'
import { COUNTERS, type Counters, type RouteCounters } from './counters.js'
import { SSE_ERR_NOT_REGISTERED } from './errors.js'

export interface SSEMetricsOptions {
  /** Where the metrics are registered: prom-client's `register`, or a `Registry` of your own. */
  register: Registry<PrometheusContentType> | Registry<OpenMetricsContentType>
}

/** Delivery takes less than a ms to a client that keeps up, and up to minutes to one that does not; seconds. */
const LAG_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]

/**
 * Registers the metrics of an app's event streams with prom-client, named as Prometheus asks
 * (https://prometheus.io/docs/practices/naming/). The label `route` is the route's URL pattern.
 *
 * All but the lag are read when they are asked for, from what is counted anyway. The lag is how long the oldest
 * published event of each write waited in this process for its client's socket.
 *
 * @throws SSE_ERR_NOT_REGISTERED; what prom-client throws where the registry has metrics of these names
 */
export function sseMetrics (app: Pick<FastifyInstance, 'sse'>, { register }: SSEMetricsOptions): void {
  const counters = countersOf(app)
  const registers = [register]

  /** A metric that is read from the counters of each route when it is asked for. */
  function read (Metric: typeof Counter | typeof Gauge, name: string, help: string, values: (counters: Counters) => Values): void {
    const labelNames = ['route', 'reason']
    const metric = new Metric({
      name,
      help,
      labelNames,
      registers,
      collect () {
        metric.reset()
        for (const [route, of] of counters.entries()) {
          for (const [labels, value] of values(of)) metric.inc({ route, ...labels }, value)
        }
      }
    })
  }

  read(Gauge, 'sse_streams_open', 'Event streams that are open', ({ active }) => single(active))
  read(Counter, 'sse_streams_opened_total', 'Event streams opened', ({ opened }) => single(opened))
  read(Counter, 'sse_streams_closed_total', 'Event streams closed, by reason', ({ closed }) => byReason(closed))
  read(Counter, 'sse_streams_rejected_total', 'Requests refused by a limit, by limit', ({ rejected }) => byReason(rejected))
  read(Counter, 'sse_events_sent_total', 'Events written to clients', ({ sent }) => single(sent))
  read(Counter, 'sse_events_dropped_total', 'Events left out for clients that were behind', ({ dropped }) => single(dropped))
  read(Counter, 'sse_events_replayed_total', 'Published events written to clients that had missed them', ({ replayed }) => single(replayed))
  read(Counter, 'sse_gaps_total', 'Gap events sent', ({ gaps }) => single(gaps))
  read(Counter, 'sse_bytes_sent_total', 'Bytes written to clients, without those of HTTP', ({ bytes }) => single(bytes))

  const lag = new Histogram({
    name: 'sse_delivery_lag_seconds',
    help: 'How long the oldest published event of each write waited for its client, in this process',
    labelNames: ['route'],
    buckets: LAG_BUCKETS,
    registers
  })
  counters.measureLag((route) => {
    const ofRoute = lag.labels(route)
    return (ms) => ofRoute.observe(ms / 1_000)
  })
}

type Values = Array<[labels: { reason?: string }, value: number]>

function single (value: number): Values {
  return [[{}, value]]
}

function byReason (counts: Record<string, number>): Values {
  return Object.entries(counts).map(([reason, count]) => [{ reason }, count])
}

function countersOf ({ sse }: Pick<FastifyInstance, 'sse'>): RouteCounters {
  // undefined as long as the plugin is not loaded, whatever its type says
  const given: FastifyInstance['sse'] | undefined = sse
  if (given === undefined || !(COUNTERS in given)) throw new SSE_ERR_NOT_REGISTERED('sseMetrics()')
  return given[COUNTERS] as RouteCounters
}
