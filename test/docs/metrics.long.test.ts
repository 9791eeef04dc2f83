import { test } from 'tap'
import { listen, open } from '../helpers/app.js'
import { startTracing, tellTrace, traceOf } from '../plugins/tracing.js'
import { pageOf } from './document.js'
import { runApp } from './run.js'

const page = pageOf('docs/metrics.md')

const spans = startTracing()

test('onError records a failure of an open stream in the trace of its request', async (t) => {
  const [code] = page.codeOf('Trace streams with OpenTelemetry', 'js')
  // these packages are those of the tests
  const app = await runApp(t, code.replaceAll(/'(@(?:fastify\/otel|opentelemetry\/api))'/g, (_, name) => JSON.stringify(import.meta.resolve(name))))
  tellTrace(app)
  app.sseRoute('/failing', { source: async function * () { yield 'x'; throw new Error('no more') } })
  const client = await open(t, await listen(app), '/failing')
  t.equal(await client.finished(), false)
  const span = await spans.ended(traceOf(client), 'stream')
  t.match(span.events, [{ name: 'exception', attributes: { 'exception.message': 'no more' } }])
  const request = await spans.ended(traceOf(client), 'request')
  t.equal(request.attributes['http.response.status_code'], 200)
  t.strictSame(request.events, [], 'which has no error')
})
