// Started by servers.long.test.ts on Node, Bun and Deno: one app with the built plugin for each protocol. Prints their ports.
import { AsyncLocalStorage } from 'node:async_hooks'
import process from 'node:process'
import Fastify from 'fastify'

const { default: sse } = await import(`${process.env.PLUGIN}/index.js`)
const { injectSSE } = await import(`${process.env.PLUGIN}/testing.js`)

const users = new AsyncLocalStorage()

/** Callbacks that were called, and the user in whose context. */
const calls = []
let produced = 0

const callbacks = {
  onConnect: ({ routeOptions }, { signal }) => {
    signal.addEventListener('abort', () => calls.push(`${routeOptions.url} signal ${users.getStore()}`))
  },
  onDisconnect: ({ routeOptions }, { closeReason }) => { calls.push(`${routeOptions.url} ${closeReason} ${users.getStore()}`) }
}

function declare (app) {
  app.sseRoute('/interval', { ...callbacks, interval: 20, payload: () => users.getStore() })
  app.sseRoute('/shared', { ...callbacks, interval: 20, shared: true, payload: () => 'tick' })
  app.sseRoute('/topics', { ...callbacks, topics: ['a'] })
  app.sseRoute('/lifetime', { ...callbacks, maxLifetime: 50 })
  app.sseRoute('/flooded', { ...callbacks, topics: ['flood'], maxBufferedBytes: 65_536, overflow: 'disconnect' })
  app.sseRoute('/dropped', { ...callbacks, topics: ['flood'], maxBufferedBytes: 65_536, overflow: 'drop' })
  app.sseRoute('/endless', {
    ...callbacks,
    source: async function * () {
      for (;;) {
        produced++
        yield 'x'.repeat(10_000)
      }
    }
  })
  app.sseRoute('/failing', { source: async function * () { yield 'one'; throw new Error('on purpose') }, onError: () => {} })
  app.sseRoute({ method: 'POST', url: '/posted', openOn: 'first-event', source: ({ body }) => body === 'refuse' ? Promise.reject(Object.assign(new Error('no'), { statusCode: 422 })) : [{ data: body }] })
  app.get('/words', (request, reply) => reply.sse(async function * ({ signal }) {
    try {
      yield 'one'
      yield 'two'
      if ('wait' in request.query) await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
    } finally {
      calls.push(`/words finally ${users.getStore()}`)
    }
  }))
  app.get('/hand', async (request, reply) => {
    const stream = reply.sse()
    for (let n = 0; n < 3; n++) await stream.send({ id: n, event: 'count', data: { n } })
    stream.close()
  })
  app.post('/publish/:topic', async ({ params, body }) => ({ id: await app.sse.publish(params.topic, body) }))
  app.post('/flood', async () => {
    // more than the kernel buffers for two connections
    for (let n = 0; n < 2_000; n++) await app.sse.publish('flood', 'x'.repeat(10_000))
  })
  app.get('/injected', async () => {
    const stream = await injectSSE(app, { url: '/hand' })
    const { data } = await stream.next()
    stream.close()
    return { data }
  })
  app.get('/state', async () => ({ calls, produced, streams: app.sse.streams.size, rss: process.memoryUsage().rss }))
  app.post('/close', async () => { setImmediate(close) })
}

async function start (options) {
  const app = Fastify(options)
  app.addHook('onRequest', (request, _reply, done) => { users.run(request.query.user, done) })
  await app.register(sse, { heartbeat: 50 })
  declare(app)
  await app.listen({ host: '127.0.0.1', port: 0 })
  return app
}

const { key, cert } = JSON.parse(process.env.CERTIFICATE)
const apps = { http: await start({}), https: await start({ https: { key, cert } }), http2: await start({ http2: true }) }

function close () {
  for (const app of Object.values(apps)) app.close()
}

console.log(JSON.stringify(Object.fromEntries(Object.entries(apps).map(([name, app]) => [name, app.server.address().port]))))
