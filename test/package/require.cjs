// The built package, as CommonJS sees it: the object that require gives is a plugin as it is.
const assert = require('node:assert/strict')
const Fastify = require('fastify')
const whole = require('fastify-sse-routes')
const { default: plugin, sse } = require('fastify-sse-routes')
const { injectSSE } = require('fastify-sse-routes/testing')

assert.equal(plugin, sse)

async function check (registered) {
  const app = Fastify()
  await app.register(registered)
  app.sseRoute('/', { source: () => ['a'] })
  const stream = await injectSSE(app, { url: '/' })
  assert.equal((await stream.next())?.data, 'a')
  await app.close()
}

check(whole).then(() => check(sse)).catch((error) => {
  console.error(error)
  process.exitCode = 1
})
