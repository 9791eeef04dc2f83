import { register, Registry } from 'prom-client'
import { test } from 'tap'
import { channels } from '../../lib/diagnostics.js'
import { sseMetrics } from '../../lib/metrics.js'
import { RouteStats } from '../../lib/stats.js'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'
import { membersOf } from './compile.js'
import { pageOf } from './document.js'
import { logged, runApp, tenLines } from './run.js'

const page = pageOf('docs/metrics.md')

test('the metrics are served to Prometheus', async (t) => {
  const [code] = page.codeOf('Serve metrics to Prometheus', 'ts')
  t.teardown(() => register.clear())
  const app = await runApp(t, tenLines({ after: code }))
  const stream = await injectSSE(app, { url: '/stocks/ACME' })
  await stream.next()
  const { headers, body } = await app.inject('/metrics')
  t.match(headers['content-type'], /^text\/plain; version=/)
  t.match(body, '\nsse_streams_open{route="/stocks/:symbol"} 1\n')
  stream.close()
})

test('two apps share a registry by the values of their labels', async (t) => {
  const [code] = page.codeOf('Share a registry between apps', 'ts')
  t.teardown(() => register.clear())
  const app = await runApp(t, code)
  app.sseRoute('/orders/:id', { source: () => ['x'] })
  await app.inject('/orders/7')
  t.match(await register.metrics(), '\nsse_streams_opened_total{app="shop",route="/orders/:id"} 1\n')
  t.throws(() => sseMetrics(app, { register, labels: { app: 'admin' } }), { code: 'SSE_ERR_OPTION' })
  t.doesNotThrow(() => sseMetrics(app, { register, prefix: 'shop_' }))
  t.ok(register.getSingleMetric('shop_sse_streams_open'))
})

test('a route reports counts of all streams', async (t) => {
  const [code] = page.codeOf('Read the counts in code', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  const stream = await injectSSE(app, { url: '/stocks/ACME' })
  t.strictSame((await app.inject('/health')).json(), { streams: 1, tooSlow: 0 })
  stream.close()
})

test('a diagnostics channel has a message for a closed stream', async (t) => {
  const [code] = page.codeOf('Diagnostics channels', 'ts')
  const lines = logged(t)
  const app = await runApp(t, tenLines({ after: code }))
  const stream = await injectSSE(app, { url: '/stocks/ACME' })
  stream.close()
  await until('the line', () => lines.length > 0)
  t.match(lines, [['/stocks/ACME', 'client', Number]])
})

test('there is a row for every metric, count, reason and field of the log line', async (t) => {
  const registry = new Registry()
  sseMetrics(await makeApp(t), { register: registry })
  const metrics = await registry.getMetricsAsJSON()
  for (const { name, type } of metrics) t.equal(page.rowOf(name)[2], type, name)
  t.equal(page.sectionOf('The metrics').match(/^\| `/gm)?.length, metrics.length, 'and no other')
  for (const name of membersOf('stats.ts')) t.equal(page.rowOf(name).length, 4, name)
  for (const reason of Object.keys(new RouteStats().closed)) t.equal(page.rowOf(reason).length, 4, reason)
  for (const name of ['closeReason', 'events', 'bytes', 'ms']) t.match(page.sectionOf('The log line of a stream'), `| \`${name}\` |`)
})

test('there is a heading for every option of sseMetrics and every diagnostics channel', (t) => {
  for (const name of [...membersOf('metrics.ts'), ...Object.values(channels).map(({ name }) => String(name))]) t.ok(page.headings.some(({ title }) => title === `\`${name}\``), name)
  t.end()
})
