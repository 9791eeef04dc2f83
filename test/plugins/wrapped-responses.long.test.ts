import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { createRequire } from 'node:module'
import { createGunzip } from 'node:zlib'
import middie from '@fastify/middie'
import throttle from '@fastify/throttle'
import awsLambda from '@fastify/aws-lambda'
import Fastify from 'fastify'
import { type Test, test } from 'tap'
import sse from '../../lib/index.js'
import { open, until } from '../helpers/app.js'
import { eventsOf } from '../helpers/subscriber.js'
import { inBothOrders, PATHS } from './orders.js'

const require = createRequire(import.meta.url)

/** Reads as a client with gzip, as the bytes arrive. */
async function gunzipped (t: Test, port: number, path: string): Promise<() => string> {
  const request = get({ host: '127.0.0.1', port, path, agent: false, headers: { 'accept-encoding': 'gzip' } })
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response') as [IncomingMessage]
  t.equal(response.headers['content-encoding'], 'gzip', path)
  let text = ''
  response.on('error', () => {}).pipe(createGunzip().on('error', () => {}).on('data', (data) => { text += data }))
  return () => text
}

test('@fastify/middie', async (t) => {
  const apps = await inBothOrders(t, async (app) => {
    await app.register(middie)
    // its types would bring Express
    app.use(require('compression')())
  }, { sse: { headers: { 'cache-control': 'no-cache' } } })
  for (const { app, port } of apps) {
    for (const path of PATHS) {
      const text = await gunzipped(t, port, path)
      for (const data of ['one', 'x'.repeat(100_000), 'two']) {
        await app.sse.publish('a', data)
        await until(data, () => text().includes(`data: ${data}\n\n`))
      }
    }
  }
})

test('@fastify/throttle', async (t) => {
  const apps = await inBothOrders(t, (app) => app.register(throttle, { bytesPerSecond: 5_000 }), {
    routes: (app) => { app.sseRoute('/ends', { source: () => Array.from({ length: 10 }, () => 'x'.repeat(1_000)) }) }
  })
  for (const { port } of apps) {
    const begun = performance.now()
    const client = await open(t, port, '/ends')
    t.ok(await client.finished())
    t.equal(eventsOf(client.text).length, 10)
    t.ok(performance.now() - begun > 700, '10 KB at 5 KB/s')
  }
})

test('@fastify/aws-lambda', async (t) => {
  // the timers of streams keep no process alive, as the runtime's socket does there
  const alive = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(alive))
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse)
  app.sseRoute('/interval', { interval: 50, immediate: false, payload: () => 'x' })
  app.sseRoute('/source', { source: async function * () { await new Promise((resolve) => setTimeout(resolve, 50)); yield 'x' } })
  app.get('/hand', (_request, reply) => reply.sse(async (stream) => {
    await new Promise((resolve) => setTimeout(resolve, 50))
    await stream.send('x')
  }))
  const handler = awsLambda(app, { payloadAsStream: true })
  for (const rawPath of ['/interval', '/source', '/hand']) {
    const { meta, stream } = await handler({ version: '2.0', rawPath, rawQueryString: '', headers: {}, requestContext: { http: { method: 'GET', path: rawPath } } }, {})
    t.match(meta, { statusCode: 200, headers: { 'content-type': 'text/event-stream' } })
    let text = ''
    for await (const chunk of stream) {
      text += chunk
      if (text.includes('data: x\n\n')) break
    }
    t.match(eventsOf(text), [{ data: 'x' }], rawPath)
  }
})
