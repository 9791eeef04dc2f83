import { once } from 'node:events'
import { type ClientRequest, get, type IncomingMessage, request } from 'node:http'
import { constants, createGunzip } from 'node:zlib'
import compress, { type FastifyCompressOptions } from '@fastify/compress'
import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import multipart from '@fastify/multipart'
import serveFiles from '@fastify/static'
import swagger from '@fastify/swagger'
import swaggerUI from '@fastify/swagger-ui'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import t, { type Test, test } from 'tap'
import { WebSocket } from 'undici'
import { Client, listen, open, until } from '../helpers/app.js'
import { openChromium } from '../helpers/chromium.js'
import { answerOf, type Beside, inBothOrders, openAll, PATHS, reach } from './orders.js'
import { fetched, seen, visit } from './page.js'

const browser = openChromium()
t.teardown(async () => (await browser).close())

/** Starts an app with an empty page. Returns its origin. */
async function pageOf (t: Test, csp?: Record<string, string[]> | null): Promise<string> {
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  if (csp !== undefined) await app.register(helmet, csp === null ? {} : { contentSecurityPolicy: { directives: csp } })
  app.get('/', (request, reply) => reply.type('text/html').send('<title>page</title>'))
  return `http://127.0.0.1:${await listen(app)}`
}

test('@fastify/cors', async (t) => {
  const origin = await pageOf(t)
  const page = await visit(browser, origin)
  const apps = await inBothOrders(t, (app) => app.register(cors, { origin, credentials: true, exposedHeaders: ['retry-after'] }), {
    sse: { maxStreams: 3 },
    routes: (app) => {
      app.sseRoute('/hello', { source: () => ['hello'] })
      app.sseRoute({ method: 'POST', url: '/posted', source: (request) => [`${request.headers['last-event-id']}`] })
    }
  })
  for (const beside of apps) {
    const { port } = beside
    const clients = await openAll(t, [beside], { origin })
    for (const { response } of clients) t.match(response.headers, { 'access-control-allow-origin': origin, 'access-control-allow-credentials': 'true' })
    t.equal(await seen(page, `http://127.0.0.1:${port}/hello`), 'hello')
    t.equal(await fetched(page, `http://127.0.0.1:${port}/posted`, 'POST'), 'data: 7\n\n')
    const third = await open(t, port, '/route')
    const refused = await open(t, port, '/route', { headers: { origin } })
    t.match(await answerOf(refused), { status: 503, body: { code: 'SSE_ERR_TOO_MANY_STREAMS' } })
    t.match(refused.response.headers, { 'access-control-allow-origin': origin, 'access-control-expose-headers': 'retry-after' })
    for (const client of [third, ...clients]) client.disconnect()
  }
  const [narrow] = await inBothOrders(t, (app) => app.register(cors, { origin, credentials: true, allowedHeaders: ['content-type'] }), { routes: (app) => app.sseRoute('/hello', { source: () => ['hello'] }) })
  t.equal(await fetched(page, `http://127.0.0.1:${narrow.port}/hello`, 'GET'), 'refused')
})

test('@fastify/helmet', async (t) => {
  const other = await pageOf(t)
  const apps = await inBothOrders(t, async (app) => {
    await app.register(helmet)
    await app.register(cors, { origin: true, credentials: true })
  }, { routes: (app) => app.sseRoute('/hello', { source: () => ['hello'] }) })
  for (const { response } of await openAll(t, apps)) {
    t.match(response.headers, { 'content-type': 'text/event-stream', 'content-security-policy': /default-src/, 'cross-origin-resource-policy': 'same-origin', 'x-content-type-options': 'nosniff' })
  }
  const { port } = apps[0]
  const url = `http://127.0.0.1:${port}`
  t.equal(await seen(await visit(browser, other), `${url}/hello`), 'hello', 'its Cross-Origin-Resource-Policy does not keep other origins out')
  t.equal(await seen(await visit(browser, await pageOf(t, null)), `${url}/hello`), 'failed', 'a page with its default policy')
  t.equal(await seen(await visit(browser, await pageOf(t, { connectSrc: ["'self'", url] })), `${url}/hello`), 'hello', 'a page that names the origin')
})

test('@fastify/static', async (t) => {
  const root = t.testdir({ 'index.html': 'page', route: 'a file of that name' })
  const apps = await inBothOrders(t, (app) => app.register(serveFiles, { root, maxAge: '1h', setHeaders: (reply) => { reply.header('x-file', '1') } }))
  const clients = await openAll(t, apps)
  for (const { response } of clients) t.match(response.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-file': undefined })
  await reach(apps, clients, 'on')
  for (const { port } of apps) {
    const page = await open(t, port, '/')
    t.ok(await page.finished())
    t.equal(page.text, 'page')
    t.equal(page.response.headers['x-file'], '1')
    for (const path of PATHS) {
      const head = await open(t, port, path, { method: 'HEAD' })
      t.ok(await head.finished())
      t.match(head.response.headers, { 'content-type': 'text/event-stream' })
    }
  }
})

test('@fastify/swagger', async (t) => {
  const apps = await inBothOrders(t, (app) => app.register(swagger, { openapi: { openapi: '3.2.0' } }))
  for (const { app } of apps) t.match(app.swagger().paths, { '/route': { get: { responses: { 200: { content: { 'text/event-stream': { itemSchema: {} } } } } } }, '/hand': { get: { responses: { 200: { description: 'Default Response' } } } } })
})

test('@fastify/swagger-ui', async (t) => {
  const apps = await inBothOrders(t, async (app) => {
    await app.register(swagger, { openapi: { openapi: '3.1.0' } })
    await app.register(swaggerUI, { routePrefix: '/docs' })
  })
  for (const { port } of apps) {
    t.match(await answerOf(await open(t, port, '/docs/json')), { status: 200, body: { paths: { '/route': { get: { responses: { 200: { content: { 'text/event-stream': {} } } } } } } } })
    const page = await open(t, port, '/docs/')
    t.ok(await page.finished())
    t.match(page.text, 'swagger-ui-bundle.js')
  }
  await reach(apps, await openAll(t, apps), 'on')
})

/** Reads a compressed stream as it arrives. */
async function openCompressed (t: Test, port: number, path: string): Promise<{ text: string, bytes: number }> {
  const request = get({ host: '127.0.0.1', port, path, agent: false, headers: { 'accept-encoding': 'gzip' } })
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response') as [IncomingMessage]
  t.equal(response.headers['content-encoding'], 'gzip')
  const read = { text: '', bytes: 0 }
  const gunzip = createGunzip().on('data', (text) => { read.text += String(text) })
  response.on('data', (data: Buffer) => {
    read.bytes += data.length
    gunzip.write(data)
  })
  return read
}

test('@fastify/compress', async (t) => {
  const compressing = (options: FastifyCompressOptions = {}) => inBothOrders(t, (app) => app.register(compress, { threshold: 0, encodings: ['gzip'], ...options }))
  const apps = await compressing()
  const plain = await openAll(t, apps, { 'accept-encoding': 'gzip' })
  for (const { response } of plain) t.notOk('content-encoding' in response.headers)
  await reach(apps, plain, 'at once')

  const forced = await compressing({ customTypes: /event-stream/ })
  for (const { app, port } of forced) {
    const reads = await Promise.all(PATHS.map((path) => openCompressed(t, port, path)))
    const witness = await open(t, port, '/route')
    for (let n = 0; n < 10; n++) await app.sse.publish('a', 'held back')
    await witness.until('held back', 10)
    for (const read of reads) t.strictSame(read, { text: '', bytes: 10 }, 'nothing but the header of gzip')
  }

  const flushed = await compressing({ customTypes: /event-stream/, zlibOptions: { flush: constants.Z_SYNC_FLUSH } })
  for (const { app, port } of flushed) {
    for (const path of PATHS) {
      const read = await openCompressed(t, port, path)
      for (const data of ['one', 'two']) {
        await app.sse.publish('a', data)
        await until(data, () => read.text.includes(`data: ${data}\n`))
      }
    }
  }

  const refusing = await compressing({ onUnsupportedEncoding: () => 'none of these' })
  for (const client of await openAll(t, refusing, { 'accept-encoding': 'gzip' })) {
    t.ok(await client.finished())
    t.equal(client.text, 'none of these')
  }
})

const BOUNDARY = 'x-boundary'
const LAST = `\r\n--${BOUNDARY}--\r\n`

/** Starts to send a form with a file. */
function upload (t: Test, port: number, path: string): ClientRequest {
  const sending = request({ host: '127.0.0.1', port, path, method: 'POST', agent: false, headers: { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` } })
  t.teardown(() => sending.destroy())
  sending.write(`--${BOUNDARY}\r\ncontent-disposition: form-data; name="file"; filename="a.bin"\r\ncontent-type: application/octet-stream\r\n\r\n`)
  return sending
}

async function answered (sending: ClientRequest): Promise<Client> {
  const [response] = await once(sending, 'response') as [IncomingMessage]
  sending.on('error', () => {})
  return new Client(sending, response)
}

test('@fastify/multipart', async (t) => {
  const reasons: unknown[] = []
  const apps = await inBothOrders(t, (app) => app.register(multipart, { limits: { fileSize: 100_000 } }), {
    routes: (app) => {
      app.sseRoute({
        method: 'POST',
        url: '/progress',
        source: async function * (request) {
          const part = await request.file()
          let bytes = 0
          for await (const chunk of part?.file ?? []) {
            bytes += chunk.length
            yield { event: 'progress', data: bytes }
          }
          yield { event: 'done', data: { bytes, truncated: part?.file.truncated } }
        },
        onError: (error, request, stream) => { reasons.push(error) },
        onDisconnect: (request, stream) => { reasons.push(stream.closeReason) }
      })
      app.sseRoute({
        method: 'POST',
        url: '/whole',
        openOn: 'first-event',
        source: async function * (request) {
          const file = await (await request.file())?.toBuffer()
          yield { event: 'done', data: file?.length }
        }
      })
      app.post('/hand', async (request, reply) => {
        const file = await (await request.file())?.toBuffer()
        return reply.sse([{ event: 'done', data: file?.length }])
      })
    }
  })
  for (const { port } of apps) {
    const sending = upload(t, port, '/progress')
    sending.write('x'.repeat(10_000))
    const client = await answered(sending)
    await client.until('event: progress')
    t.notMatch(client.text, 'done')
    sending.end(`${'y'.repeat(10_000)}${LAST}`)
    t.ok(await client.finished())
    t.match(client.text, 'event: done\ndata: {"bytes":20000,"truncated":false}\n')

    for (const path of ['/whole', '/hand']) {
      const fits = upload(t, port, path)
      fits.end(`${'x'.repeat(20_000)}${LAST}`)
      const client = await answered(fits)
      t.ok(await client.finished())
      t.equal(client.text, 'event: done\ndata: 20000\n\n')
      const tooLarge = upload(t, port, path)
      tooLarge.end(`${'x'.repeat(200_000)}${LAST}`)
      t.match(await answerOf(await answered(tooLarge)), { status: 413, body: { code: 'FST_REQ_FILE_TOO_LARGE' } })
    }

    const cut = upload(t, port, '/progress')
    cut.end(`${'x'.repeat(200_000)}${LAST}`)
    const short = await answered(cut)
    t.ok(await short.finished())
    t.match(short.text, 'event: done\ndata: {"bytes":100000,"truncated":true}\n')

    reasons.length = 0
    const leaving = upload(t, port, '/progress')
    leaving.write('x'.repeat(10_000))
    const leaver = await answered(leaving)
    await leaver.until('event: progress')
    leaver.disconnect()
    await until('the end', () => reasons.length > 0)
    t.strictSame(reasons, ['client'])
  }
})

test('@fastify/websocket', async (t) => {
  const apps = await inBothOrders(t, async (app) => {
    await app.register(swagger, { openapi: { openapi: '3.2.0' } })
    await app.register(websocket)
  }, {
    routes: (app) => {
      app.get('/socket', { websocket: true }, (socket) => { socket.send('hello') })
      app.sseRoute('/prices', { events: { price: { type: 'number' } }, openOn: 'first-event', source: () => JSON.parse('[{ "event": "prize", "data": 17 }]') })
    }
  })

  t.test('@fastify/websocket wraps handlers, and their routes are recognised', async (t) => {
    for (const { app, port } of apps) {
      t.match(await answerOf(await open(t, port, '/prices')), { body: { code: 'SSE_ERR_UNKNOWN_EVENT' } })
      t.match(app.swagger().paths?.['/prices'], { get: { responses: { 200: { content: { 'text/event-stream': {} } } } } })
    }
  })

  t.test('a WebSocket ends beside the streams', async (t) => {
    const close = async (beside: Beside) => {
      const clients = await openAll(t, [beside])
      const socket = new WebSocket(`ws://127.0.0.1:${beside.port}/socket`)
      const [{ data }] = await once(socket, 'message')
      t.equal(data, 'hello')
      const misled = new WebSocket(`ws://127.0.0.1:${beside.port}/route`)
      await once(misled, 'close')
      await reach([beside], clients, 'on')
      const closed = once(socket, 'close')
      await beside.app.close()
      await closed
      for (const client of clients) t.ok(await client.finished())
    }
    await Promise.all(apps.map(close))
  })
})
