// Symptom: sseMetrics throws "A metric with the name sse_… has already been registered".
// Cause: two apps of one process share one prom-client registry.
import { Gauge, Registry } from 'prom-client'
import { test } from 'tap'
import { sseMetrics, type SSEMetricsOptions } from '../../lib/metrics.js'
import { makeApp } from '../helpers/app.js'

const ofSource = (text: string, labels: string) => text.match(new RegExp(`\\w*sse_(?:streams_opened_total|stream_duration_seconds_count)\\{[^}]*${labels}[^}]*\\} \\d+`, 'g'))

test('two apps share one registry', async (t) => {
  const apps = [await makeApp(t), await makeApp(t)] as const
  for (const app of apps) app.sseRoute('/', { source: () => ['x'] })
  for (const app of [...apps, apps[1]]) await app.inject('/')

  t.test('two apps can share one registry by prefix', async (t) => {
    const register = new Registry()
    sseMetrics(apps[0], { register })
    sseMetrics(apps[1], { register, prefix: 'other_' })
    await apps[1].inject('/')
    const text = await register.metrics()
    t.strictSame(ofSource(text, 'route="/"'), [
      'sse_streams_opened_total{route="/"} 1', 'other_sse_streams_opened_total{route="/"} 3', 'other_sse_stream_duration_seconds_count{route="/",reason="server"} 1'
    ])
  })

  t.test('two apps can share one registry by labels, in any order', async (t) => {
    const register = new Registry()
    sseMetrics(apps[0], { register, prefix: 'x_', labels: { app: 'one', zone: 'a' } })
    sseMetrics(apps[1], { register, prefix: 'x_', labels: { zone: 'a', app: 'two' } })
    for (const app of apps) await app.inject('/')
    const text = await register.metrics()
    t.strictSame(ofSource(text, 'app="one"'), [
      'x_sse_streams_opened_total{app="one",zone="a",route="/"} 2', 'x_sse_stream_duration_seconds_count{app="one",zone="a",route="/",reason="server"} 1'
    ])
    t.strictSame(ofSource(text, 'app="two"')?.length, 2)
    t.match(text, 'app="two"')
  })

  t.test('labels that do not distinguish the apps are refused, and the metrics stay unchanged', async (t) => {
    const register = new Registry()
    sseMetrics(apps[0], { register, labels: { app: 'one' } })
    const before = await register.metrics()
    for (const [options, message] of [
      [{ labels: { app: 'one' } }, /other values than those of the app/],
      [{ labels: { zone: 'a' } }, /the names that the metrics of this registry have \(app\), got zone/],
      [{ labels: { app: 'two', zone: 'a' } }, /\(app\), got app, zone/],
      [{}, /\(app\), got none/],
      [{ labels: { route: 'x' } }, /without "route", "reason", "state" and "le"/],
      [{ labels: { app: 1 } }, /an object of strings/],
      [{ labels: null }, /an object of strings/],
      [{ prefix: 1 }, /"prefix" takes a string, got 1/]
    ] as Array<[Partial<SSEMetricsOptions>, RegExp]>) {
      t.throws(() => sseMetrics(apps[1], { register, ...options }), { code: 'SSE_ERR_OPTION', message })
    }
    const plain = new Registry()
    sseMetrics(apps[0], { register: plain })
    t.throws(() => sseMetrics(apps[1], { register: plain, labels: { app: 'two' } }), { message: /\(none\), got app/ })
    t.equal(await register.metrics(), before)
  })

  t.test('a cleared registry accepts the metrics again, and a registry with other metrics of these names refuses them', async (t) => {
    const register = new Registry()
    sseMetrics(apps[0], { register })
    register.clear()
    sseMetrics(apps[0], { register })
    t.match(await register.metrics(), 'sse_streams_opened_total{route="/"}')
    const taken = new Registry()
    const other = new Gauge({ name: 'sse_streams_open', help: 'of something else', registers: [taken] })
    t.throws(() => sseMetrics(apps[0], { register: taken }), /sse_streams_open has already been registered/)
    t.equal(taken.getSingleMetric('sse_streams_open'), other)
  })
})
