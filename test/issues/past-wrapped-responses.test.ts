// Symptom: with compression middleware a response says "content-encoding: gzip", and its bytes are plain.
// Cause: Express middleware replaces methods of the response (compression replaces `write`, `end` and `on`), and the plugin wrote to the socket directly.
import { once } from 'node:events'
import { get, type IncomingMessage, type ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { createGunzip } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import type { SSEStream } from '../../lib/index.js'
import { listen, makeApp, open, until } from '../helpers/app.js'

/** Required without its types, because they would install those of Express. */
const compression: () => (request: IncomingMessage, response: ServerResponse, next: () => void) => void = createRequire(import.meta.url)('compression')

/** Compresses all responses, as `app.use(compression())` does with @fastify/middie. */
function compress (app: FastifyInstance): void {
  const middleware = compression()
  app.addHook('onRequest', (request, reply, done) => middleware(request.raw, reply.raw, done))
}

const headers = { 'cache-control': 'no-cache' }

/** Requests a path and decompresses its response. */
async function openGzip (t: Test, port: number, path: string): Promise<{ response: IncomingMessage, text: () => string, error: () => unknown }> {
  const request = get({ host: '127.0.0.1', port, path, agent: false, headers: { 'accept-encoding': 'gzip' } })
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response') as [IncomingMessage]
  let text = ''
  let error: unknown
  const gunzip = createGunzip()
  gunzip.on('data', (data) => { text += data }).on('error', () => {})
  response.on('error', (failure) => { error = failure })
  response.pipe(gunzip)
  return { response, text: () => text, error: () => error }
}

test('a response that middleware has wrapped', async (t) => {
  t.test('a response wrapped by compression middleware carries each event at once', async (t) => {
    const app = await makeApp(t, { headers, heartbeat: 50 })
    compress(app)
    app.sseRoute('/', { topics: ['a'], retry: 5 })
    app.get('/reply', (_request, reply) => { reply.sse().subscribe('a') })
    app.sseRoute('/untouched', { topics: ['a'], headers: { 'cache-control': 'no-transform' } })
    const port = await listen(app)
    for (const path of ['/', '/reply']) {
      const client = await openGzip(t, port, path)
      t.equal(client.response.headers['content-encoding'], 'gzip')
      for (const data of ['1', '2', 'x'.repeat(200_000), '3']) {
        await app.sse.publish('a', data)
        await until('the event', () => client.text().includes(`data: ${data}\n\n`))
      }
      await until('a heartbeat', () => client.text().endsWith('\n:\n'))
    }
    const client = await open(t, port, '/untouched', { headers: { 'accept-encoding': 'gzip' } })
    await app.sse.publish('a', 'x')
    await client.until('data: x\n\n')
    t.notOk(client.response.headers['content-encoding'])
  })

  t.test('a response wrapped by compression middleware ends normally, and is aborted after a failure', async (t) => {
    const app = await makeApp(t, { headers })
    compress(app)
    app.sseRoute('/ends', { source: () => ['a', 'b'] })
    app.sseRoute('/fails', { source: async function * () { yield 'a'; throw new Error('on purpose') }, onError: () => {} })
    const port = await listen(app)
    const ends = await openGzip(t, port, '/ends')
    await once(ends.response, 'end')
    await until('all events', () => ends.text() === 'data: a\n\ndata: b\n\n')
    const fails = await openGzip(t, port, '/fails')
    await until('the error', () => fails.error())
    t.equal(fails.text(), 'data: a\n\n', 'the event before the failure has arrived')
  })

  t.test('a response wrapped by compression middleware applies backpressure repeatedly, without warnings about listeners', async (t) => {
    const app = await makeApp(t, { headers })
    compress(app)
    const warnings: unknown[] = []
    const warn = (warning: unknown) => warnings.push(warning)
    process.on('warning', warn)
    t.teardown(() => { process.off('warning', warn) })
    // random text, because compressed text has to fill the buffers
    const random = () => Array.from({ length: 3_000 }, () => Math.random().toString(36)).join('')
    app.sseRoute('/', { source: function * () { for (let i = 0; i < 40; i++) yield random(); yield 'end' } })
    const client = await openGzip(t, await listen(app), '/')
    client.response.pause()
    await new Promise((resolve) => setTimeout(resolve, 50))
    client.response.resume()
    await until('the last event', () => client.text().endsWith('data: end\n\n'))
    t.same(warnings, [])
  })

  t.test('a function that replaced response.write is called with each event', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    const seen: string[] = []
    app.addHook('onRequest', async (_request, { raw }) => {
      const write = raw.write.bind(raw)
      Object.assign(raw, { write: (chunk: string, ...rest: []) => { seen.push(String(chunk)); return write(chunk, ...rest) } })
    })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/')
    for (const event of ['a', 'b', 'x'.repeat(20_000)]) {
      await stream?.send(event)
      await client.until(`data: ${event}\n\n`)
    }
    stream?.close()
    t.ok(await client.finished())
    t.equal(seen.join(''), client.text)
  })
})
