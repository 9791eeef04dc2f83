// The built package, as an ES module sees it.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import Fastify from 'fastify'
import plugin, { defineTopic, sse } from 'fastify-sse-routes'
import { sse as follow } from 'fastify-sse-routes/client'
import { sseMetrics } from 'fastify-sse-routes/metrics'
import { redisBackplane } from 'fastify-sse-routes/redis'
import { injectSSE } from 'fastify-sse-routes/testing'
import { testBackplane } from 'fastify-sse-routes/testing/backplane'
import { register, Registry } from 'prom-client'

const require = createRequire(import.meta.url)
const required = require('fastify-sse-routes')

assert.equal(plugin, sse)
assert.equal(typeof testBackplane, 'function')
assert.notEqual(required.sse, sse, 'the package is there twice')
assert.notEqual(require('fastify-sse-routes/metrics').sseMetrics, sseMetrics)

// prom-client's own registry, one of the application's, and the plugin's other copy
for (const [registered, registry] of [[plugin, register], [plugin, new Registry()], [required, new Registry()]]) {
  const app = Fastify()
  await app.register(registered)
  sseMetrics(app, { register: registry })
  app.sseRoute('/', { topics: [required.defineTopic('news')] })
  const stream = await injectSSE(app, { url: '/' })
  await app.sse.publish(defineTopic('news')(), 'a')
  assert.equal((await stream.next())?.data, 'a')
  const metrics = await registry.metrics()
  assert.match(metrics, /^sse_events_sent_total\{route="\/"\} 1$/m)
  assert.match(metrics, /^sse_delivery_lag_seconds_count\{route="\/"\} 1$/m)
  await app.close()
}
assert.throws(() => sseMetrics(Fastify(), { register }), { code: 'SSE_ERR_NOT_REGISTERED' })

// the package `redis` is found; nobody listens there
const nowhere = { url: 'redis://127.0.0.1:1', timeout: 500 }
await assert.rejects(async () => Fastify().register(plugin, { backplane: redisBackplane(nowhere) }), ({ code, cause }) => code === 'SSE_ERR_BACKPLANE' && cause.code === 'ECONNREFUSED')

const app = Fastify()
await app.register(plugin)
app.sseRoute('/', { source: () => [{ id: 1, event: 'number', data: { n: 1 } }] })
const events = follow(await app.listen({ host: '127.0.0.1', port: 0 }), { reconnect: false })
assert.deepEqual(await events.next(), { done: false, value: { id: '1', event: 'number', data: { n: 1 } } })
assert.equal((await events.next()).done, true)
await app.close()
