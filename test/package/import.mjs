// The built package, as an ES module sees it.
import assert from 'node:assert/strict'
import Fastify from 'fastify'
import plugin, { sse } from 'fastify-sse-routes'
import { injectSSE } from 'fastify-sse-routes/testing'

assert.equal(plugin, sse)
const app = Fastify()
await app.register(plugin)
app.sseRoute('/', { source: () => ['a'] })
const stream = await injectSSE(app, { url: '/' })
assert.equal((await stream.next())?.data, 'a')
await app.close()
