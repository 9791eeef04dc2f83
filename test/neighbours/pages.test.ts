import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import serveFiles from '@fastify/static'
import swagger from '@fastify/swagger'
import swaggerUI from '@fastify/swagger-ui'
import Fastify from 'fastify'
import t, { type Test, test } from 'tap'
import { listen, open } from '../harness.js'
import { openChromium } from '../integration/chromium.js'
import { answerOf, inBothOrders, openAll, PATHS, reach } from './orders.js'

const browser = await openChromium()
t.teardown(() => browser.close())

/** What a page of one app gets of a stream of another: an event's data, or that it failed. */
async function seen (t: Test, origin: string, url: string, script = `
  const stream = new EventSource(url, { withCredentials: true })
  stream.onmessage = ({ data }) => { stream.close(); resolve(data) }
  stream.onerror = () => { stream.close(); resolve('failed') }
`): Promise<unknown> {
  const page = await browser.newPage()
  t.teardown(() => page.close())
  await page.goto(origin)
  return page.evaluate(`new Promise((resolve) => { const url = ${JSON.stringify(url)}; ${script} })`)
}

/** The origin of an app that serves an empty page. */
async function pageOf (t: Test, csp?: Record<string, string[]> | null): Promise<string> {
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  if (csp !== undefined) await app.register(helmet, csp === null ? {} : { contentSecurityPolicy: { directives: csp } })
  app.get('/', (request, reply) => reply.type('text/html').send('<title>page</title>'))
  return `http://127.0.0.1:${await listen(app)}`
}

test('@fastify/cors', async (t) => {
  const origin = await pageOf(t)
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
    t.equal(await seen(t, origin, `http://127.0.0.1:${port}/hello`), 'hello')
    t.match(await seen(t, origin, `http://127.0.0.1:${port}/posted`, `
      fetch(url, { method: 'POST', headers: { 'last-event-id': '7' }, credentials: 'include' }).then((answer) => answer.text()).then(resolve, (error) => resolve(String(error)))
    `), 'data: 7')
    const third = await open(t, port, '/route')
    const refused = await open(t, port, '/route', { headers: { origin } })
    t.match(await answerOf(refused), { status: 503, body: { code: 'SSE_ERR_TOO_MANY_STREAMS' } })
    t.match(refused.response.headers, { 'access-control-allow-origin': origin, 'access-control-expose-headers': 'retry-after' })
    for (const client of [third, ...clients]) client.leave()
  }
  const [narrow] = await inBothOrders(t, (app) => app.register(cors, { origin, allowedHeaders: ['content-type'] }), { routes: (app) => app.sseRoute('/hello', { source: () => ['hello'] }) })
  const url = `http://127.0.0.1:${narrow.port}/hello`
  t.equal(await seen(t, origin, url, 'fetch(url, { headers: { \'last-event-id\': \'7\' } }).then(() => resolve(\'read\'), () => resolve(\'refused\'))'), 'refused')
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
  t.equal(await seen(t, other, `${url}/hello`), 'hello', 'its Cross-Origin-Resource-Policy does not keep other origins out')
  t.equal(await seen(t, await pageOf(t, null), `${url}/hello`), 'failed', 'a page with its default policy')
  t.equal(await seen(t, await pageOf(t, { connectSrc: ["'self'", url] }), `${url}/hello`), 'hello', 'a page that names the origin')
})

test('@fastify/static', async (t) => {
  const root = t.testdir({ 'index.html': 'page', route: 'a file of that name' })
  const apps = await inBothOrders(t, (app) => app.register(serveFiles, { root, maxAge: '1h', setHeaders: (reply) => { reply.header('x-file', '1') } }))
  const clients = await openAll(t, apps)
  for (const { response } of clients) t.match(response.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache, no-transform', 'x-file': undefined })
  await reach(apps, clients, 'on')
  for (const { port } of apps) {
    const page = await open(t, port, '/')
    t.ok(await page.over())
    t.equal(page.text, 'page')
    t.equal(page.response.headers['x-file'], '1')
    for (const path of PATHS) {
      const head = await open(t, port, path, { method: 'HEAD' })
      t.ok(await head.over())
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
    const page = await browser.newPage()
    await page.goto(`http://127.0.0.1:${port}/docs/`)
    await page.getByText('/route').first().waitFor()
    await page.close()
  }
  await reach(apps, await openAll(t, apps), 'on')
})
