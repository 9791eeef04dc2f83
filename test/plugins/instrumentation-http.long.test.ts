import { FastifyOtelInstrumentation } from '@fastify/otel'
import { SpanKind } from '@opentelemetry/api'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import { test } from 'tap'
import { type Client, until } from '../helpers/app.js'
import { inBothOrders, openAll, reach } from './orders.js'
import { checkFailures, checkTraces, declareTraced, startTracing, tellTrace, traceOf } from './tracing.js'

const spans = startTracing(new HttpInstrumentation({ disableOutgoingRequestInstrumentation: true }))

test('@opentelemetry/instrumentation-http', async (t) => {
  for (const [kind, otel] of [['alone', false], ['with @fastify/otel', true]] as const) {
    const apps = await inBothOrders(t, async (app) => {
      if (otel) await app.register(new FastifyOtelInstrumentation().plugin())
      tellTrace(app)
    }, { routes: declareTraced })

    await t.test(`${kind}: the span of a request ends with its stream`, async (t) => {
      const clients = await openAll(t, apps)
      await reach(apps, clients, 'on')
      const serverSpan = (client: Client) => spans.in(traceOf(client)).find(({ kind }) => kind === SpanKind.SERVER)
      for (const client of clients) t.equal(serverSpan(client), undefined)
      for (const client of clients) client.disconnect()
      for (const client of clients) await until('the end', () => serverSpan(client))
      for (const client of clients) t.match(serverSpan(client), { attributes: { 'http.response.status_code': 200 } })
    })

    for (const { port } of apps) {
      await t.test(`${kind}: callbacks run in the trace of their request`, (t) => checkTraces(t, spans, port))
      await t.test(`${kind}: failures of an open stream are recorded where onError records them`, (t) => checkFailures(t, spans, port))
    }
  }
})
