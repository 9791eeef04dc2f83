// Tests of event streams with injectSSE and node:test: no port, no waiting for the network. It does not listen. Run it alone:
//   npx tsx examples/testing.ts
import assert from 'node:assert/strict'
import { test } from 'node:test'
import Fastify, { type FastifyInstance } from 'fastify'
import sse from 'fastify-sse-routes'
import { injectSSE } from 'fastify-sse-routes/testing'

function build (): FastifyInstance {
  const app = Fastify()
  app.register(sse)
  app.register(async (app) => {
    app.sseRoute({ url: '/orders/:id', topics: ['orders'] })
  })
  return app
}

test('a client gets what is published after it connected', async (t) => {
  const app = build()
  t.after(() => app.close())
  const stream = await injectSSE(app, '/orders/7')
  const id = await app.sse.publish('orders', { event: 'packed', data: { parcels: 2 } })
  assert.deepEqual(await stream.next(), { id, event: 'packed', data: '{"parcels":2}' })
  stream.close()
})

test('a client that reconnects gets the events that it missed', async (t) => {
  const app = build()
  t.after(() => app.close())
  await app.ready()
  const lastEventId = await app.sse.publish('orders', 'first')
  await app.sse.publish('orders', 'second')
  const stream = await injectSSE(app, { url: '/orders/7', headers: { 'last-event-id': lastEventId } })
  assert.equal((await stream.next())?.data, 'second')
  stream.close()
})
