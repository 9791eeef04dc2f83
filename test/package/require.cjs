// The built package, as CommonJS sees it: the object that require gives is a plugin as it is.
const assert = require('node:assert/strict')
const Fastify = require('fastify')
const whole = require('fastify-sse-routes')
const { default: plugin, sse } = require('fastify-sse-routes')
const { sse: follow } = require('fastify-sse-routes/client')
const { sseMetrics } = require('fastify-sse-routes/metrics')
const { redisBackplane } = require('fastify-sse-routes/redis')
const { injectSSE } = require('fastify-sse-routes/testing')
const { testBackplane } = require('fastify-sse-routes/testing/backplane')
const { register, Registry } = require('prom-client')

assert.equal(plugin, sse)
assert.equal(typeof testBackplane, 'function')

async function check (registered, registry) {
  const app = Fastify()
  await app.register(registered)
  sseMetrics(app, { register: registry })
  app.sseRoute('/', { topics: ['news'] })
  const stream = await injectSSE(app, { url: '/' })
  await app.sse.publish('news', 'a')
  assert.equal((await stream.next())?.data, 'a')
  const metrics = await registry.metrics()
  assert.match(metrics, /^sse_events_sent_total\{route="\/"\} 1$/m)
  assert.match(metrics, /^sse_delivery_lag_seconds_count\{route="\/"\} 1$/m)
  await app.close()
}

async function run () {
  // prom-client's own registry, one of the application's, and the plugin's other copy
  await check(whole, register)
  await check(sse, new Registry())
  const imported = await import('fastify-sse-routes')
  assert.notEqual(imported.sse, sse, 'the package is there twice')
  await check(imported.sse, new Registry())
  assert.throws(() => sseMetrics(Fastify(), { register }), { code: 'SSE_ERR_NOT_REGISTERED' })
  const app = Fastify()
  await app.register(sse)
  app.sseRoute('/', { source: () => [{ id: 1, event: 'number', data: { n: 1 } }] })
  const events = follow(await app.listen({ host: '127.0.0.1', port: 0 }), { reconnect: false })
  assert.deepEqual(await events.next(), { done: false, value: { id: '1', event: 'number', data: { n: 1 } } })
  assert.equal((await events.next()).done, true)
  await app.close()
  // the package `redis` is found; nobody listens there
  const nowhere = { url: 'redis://127.0.0.1:1', timeout: 500 }
  await assert.rejects(async () => Fastify().register(sse, { backplane: redisBackplane(nowhere) }), ({ code, cause }) => code === 'SSE_ERR_BACKPLANE' && cause.code === 'ECONNREFUSED')
}

run().catch((error) => {
  console.error(error)
  process.exitCode = 1
})
