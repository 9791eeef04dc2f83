import { FastifyOtelInstrumentation } from '@fastify/otel'
import { SpanKind, SpanStatusCode } from '@opentelemetry/api'
import { test } from 'tap'
import { open, until } from '../helpers/app.js'
import { answerOf, inBothOrders, openAll, reach } from './orders.js'
import { checkFailures, checkTraces, declareTraced, startTracing, tellTrace, traceOf } from './tracing.js'

const spans = startTracing()

test('@fastify/otel', async (t) => {
  const apps = await inBothOrders(t, async (app) => {
    await app.register(new FastifyOtelInstrumentation().plugin())
    tellTrace(app)
  }, { routes: declareTraced })

  t.test('@fastify/otel ends the span of a request when its stream opens, and the stream continues', async (t) => {
    const clients = await openAll(t, apps)
    for (const client of clients) {
      t.match(await spans.ended(traceOf(client), 'request'), { kind: SpanKind.SERVER, status: { code: SpanStatusCode.UNSET }, attributes: { 'http.response.status_code': 200 } })
    }
    await reach(apps, clients, 'on')
  })

  for (const { port } of apps) {
    await t.test('callbacks run in the trace of their request', (t) => checkTraces(t, spans, port))
    await t.test('failures of an open stream are recorded where onError records them', (t) => checkFailures(t, spans, port))
    await t.test('the error of a handler that fails after reply.sse() is in its span if this plugin is registered after @fastify/otel', async (t) => {
      const client = await open(t, port, '/by-hand')
      await client.finished()
      await spans.ended(traceOf(client), 'onError')
      const handler = () => spans.in(traceOf(client)).find(({ name }) => name.startsWith('handler - '))
      await until('the end of the handler', handler)
      t.match(handler()?.status, port === apps[1].port ? { code: SpanStatusCode.ERROR, message: 'hand' } : { code: SpanStatusCode.UNSET })
    })
    await t.test('a failure before a stream opens is in the span of the request', async (t) => {
      const refused = await open(t, port, '/refused')
      t.match(await answerOf(refused), { status: 500, body: { message: 'topics' } })
      t.match(await spans.ended(traceOf(refused), 'request'), { status: { code: SpanStatusCode.ERROR, message: 'topics' }, attributes: { 'http.response.status_code': 500 } })
    })
  }
})
