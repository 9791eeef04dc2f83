import { join } from 'node:path'
import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { register } from 'prom-client'
import { type Test, test } from 'tap'
import { z } from 'zod'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { pageOf, pathOf } from './document.js'
import { run, runApp, tenLines, toJavaScript } from './run.js'

const page = pageOf('README.md')

/** Collects the lines for the console from now on instead of printing them. */
function logged (t: Test): unknown[][] {
  const lines: unknown[][] = []
  const { log } = console
  t.teardown(() => { console.log = log })
  console.log = (...line) => { lines.push(line) }
  return lines
}

test('README, Client: the client reads a price and an answer', async (t) => {
  const model = 'const model = async function * (prompt) { yield * prompt.split(\' \') }'
  const app = await runApp(t, tenLines({ after: [model, ...page.codeOf('More ways to send', 'ts')].join('\n') }))
  const port = await listen(app)
  const [watchCode, askCode = ''] = page.codeOf('Client', 'ts')
  const watch = await run<(signal: AbortSignal) => Promise<void>>(t, watchCode.replace(':3000', `:${port}`), 'watch')
  const ask = await run<(prompt: string, stop: AbortSignal, show: (token: string) => void) => Promise<void>>(t, askCode.replace(':3000', `:${port}`), 'ask')
  const lines = logged(t)
  const leave = new AbortController()
  const watching = watch(leave.signal)
  await until('two lines', () => lines.length >= 2)
  leave.abort()
  await t.rejects(watching, { name: 'AbortError' })
  t.match(lines, [['live'], ['price', Number]])
  let answer = ''
  await ask('one two', new AbortController().signal, (token) => { answer += `${token} ` })
  t.equal(answer, 'one two ')
})

test('README, Client: an expired token is refreshed', async (t) => {
  const [, , code = ''] = page.codeOf('Client', 'ts')
  type SignedIn = (url: string, refresh: () => Promise<string>, options: object) => AsyncIterator<{ data: unknown }>
  const signedIn = await run<SignedIn>(t, code, 'signedIn')
  // Node's fetch opens another connection when it disconnects
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  const tokens = ['old', 'new']
  const seen: unknown[] = []
  app.sseRoute('/', {
    preHandler: async ({ headers }, reply) => {
      seen.push(headers.authorization)
      if (headers.authorization !== 'Bearer new') return reply.code(401).send()
    },
    source: () => [{ data: { fine: true } }]
  })
  const events = signedIn(`http://127.0.0.1:${await listen(app)}/`, async () => tokens.shift() ?? '', {})
  t.match(await events.next(), { value: { data: { fine: true } } })
  await events.return?.()
  t.strictSame([seen, tokens], [['Bearer old', 'Bearer new'], []])
})

test('README: server and client share one declaration of events', async (t) => {
  const files: Record<string, Record<string, string>> = {}
  for (const code of page.codeOf('One declaration for both sides', 'ts')) {
    const [folder = '', file = ''] = pathOf(code)?.split('/') ?? []
    files[folder] = { ...files[folder], [file.replace('.ts', '.js')]: toJavaScript(code) }
  }
  const folder = t.testdir({ 'package.json': '{ "type": "module" }', ...files })
  // Node's fetch opens another connection when it disconnects
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  await app.register((await import(join(folder, 'server/stocks.js'))).default)
  const { watchStocks } = await import(join(folder, 'web/stocks.js'))
  await t.rejects(watchStocks(`http://127.0.0.1:${await listen(app)}`, (text: string) => { throw new Error(text) }), { message: 'ACME 100' })
})

test('README, Metrics: the metrics are served to Prometheus', async (t) => {
  const [code] = page.codeOf('Metrics', 'ts')
  t.teardown(() => register.clear())
  const app = await runApp(t, tenLines({ after: code }))
  const stream = await injectSSE(app, { url: '/stocks/ACME' })
  await stream.next()
  const { headers, body } = await app.inject('/metrics')
  t.match(headers['content-type'], /^text\/plain; version=/)
  t.match(body, '\nsse_streams_open{route="/stocks/:symbol"} 1\n')
  stream.close()
})

test('README, Testing: a test reads a stream without a port and closes the app', async (t) => {
  const [code] = page.codeOf('Testing', 'ts')
  const lines = logged(t)
  const app = await runApp(t, tenLines({ after: code }))
  t.match(lines, [[200, 'text/event-stream'], [undefined, 'price', { symbol: 'ACME', price: Number }]])
  t.strictSame([lines.length, app.server.listening, app.sse.stats().active], [2, false, 0])
  await t.rejects(app.sse.broadcast('late'), { code: 'SSE_ERR_CLOSING' })
})

test('README, Testing: a test with fake timers reads the next price', async (t) => {
  const [, code = ''] = page.codeOf('Testing', 'ts')
  const lines = logged(t)
  await runApp(t, tenLines({ after: code }))
  t.strictSame(lines, [['price']])
})

test('README: a diagnostics channel has a message for a closed stream', async (t) => {
  const [code] = page.codeOf('Diagnostics channels', 'ts')
  const lines = logged(t)
  const app = await runApp(t, tenLines({ after: code }))
  const stream = await injectSSE(app, { url: '/stocks/ACME' })
  stream.close()
  await until('the line', () => lines.length > 0)
  t.match(lines, [['/stocks/ACME', 'client', Number]])
})

test('README: a new client is sent the state, a client that resumes is not', async (t) => {
  const [code] = page.codeOf('Gaps', 'ts')
  const app = await runApp(t, tenLines({ before: 'const stateOf = async (id) => ({ id, state: \'new\' })', after: code }))
  const fresh = await injectSSE(app, { url: '/parcels/7' })
  t.match(await fresh.next(), { event: 'state', data: '{"id":"7","state":"new"}' })
  const [, missed] = [await app.sse.publish('parcel:7', 'first'), await app.sse.publish('parcel:7', 'second')]
  const { id } = await fresh.next() ?? {}
  const resumed = await injectSSE(app, { url: '/parcels/7', headers: { 'last-event-id': String(id) } })
  t.match(await resumed.next(), { id: missed, data: 'second' })
  for (const stream of [fresh, resumed]) stream.close()
})

/** Starts the app of the route in ten lines with Swagger. Returns its document. */
async function withSwagger (t: Test, version: string) {
  const [code] = page.codeOf('Swagger', 'ts')
  const app = await runApp(t, tenLines({ before: code.replace('3.1.0', version) }))
  return { app, document: (await app.inject('/docs/json')).json() }
}

test('README, OpenAPI: the 3.2 description of the route in ten lines is the one shown', async (t) => {
  const [shown] = page.codeOf('OpenAPI', 'json')
  const { document } = await withSwagger(t, '3.2.0')
  t.strictSame(document.paths['/stocks/{symbol}'].get.responses['200'].content, JSON.parse(shown))
})

test('README, Your own transforms: a global transform that both plugins are given runs on ordinary routes and on SSE routes', async (t) => {
  const [code] = page.codeOf('Your own transforms', 'ts')
  const app = await runApp(t, `import Fastify from 'fastify'\nconst app = Fastify()\n${code}`)
  app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
  const schema = { params: z.object({ symbol: z.string().min(2) }) }
  app.get('/names/:symbol', { schema }, () => '')
  app.sseRoute('/stocks/:symbol', { schema, events: { price: z.object({ price: z.number() }) }, source: () => [] })
  await app.ready()
  const { paths } = JSON.parse(JSON.stringify(app.swagger()))
  const parameters = [{ schema: { type: 'string', minLength: 2 }, in: 'path', name: 'symbol', required: true }]
  for (const path of ['/names/{symbol}', '/stocks/{symbol}']) t.strictSame(paths[path].get.parameters, parameters)
  t.match(paths['/stocks/{symbol}'].get.responses['200'].content['text/event-stream'].schema, { type: 'object', properties: { price: { type: 'number' } } })
})

test('README, Swagger: Swagger UI is served with a document of the given version and title', async (t) => {
  const { app, document } = await withSwagger(t, '3.1.0')
  t.match(document, { openapi: '3.1.0', info: { title: 'Stocks' }, paths: { '/stocks/{symbol}': {} } })
  const { statusCode, body } = await app.inject('/docs')
  t.equal(statusCode, 200)
  t.match(body, 'swagger-ui')
})
