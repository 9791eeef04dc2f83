import { serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { type Test, test } from 'tap'
import { z } from 'zod'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/openapi.md')

const [setUp] = page.codeOf('Set up a document and Swagger UI', 'ts')

/** Starts the app of the route in ten lines with Swagger. Returns its document. */
async function withSwagger (t: Test, version: string, after = '') {
  const app = await runApp(t, tenLines({ before: setUp.replace('3.1.0', version), after }))
  return { app, document: (await app.inject('/docs/json')).json() }
}

test('the 3.2 description of the route in ten lines is the one shown', async (t) => {
  const [shown] = page.codeOf('An event in the document', 'json')
  const { document } = await withSwagger(t, '3.2.0')
  t.strictSame(document.paths['/stocks/{symbol}'].get.responses['200'].content, JSON.parse(shown))
})

test('the table of versions says which keyword has the event, and what is in schema', async (t) => {
  for (const [, version = '', schema, event = ''] of page.sectionOf('What each version shows').matchAll(/^\| (3\.\d) \| (.*?) \| `([\w-]+)`/gm)) {
    const { document } = await withSwagger(t, `${version}.0`)
    const media = document.paths['/stocks/{symbol}'].get.responses['200'].content['text/event-stream']
    t.ok(event in media, `${version}: ${event}`)
    t.equal(Object.keys(media.schema).length === 0, schema === '`{}`', version)
    t.equal(JSON.stringify(media).includes('"x-contentSchema"'), version === '3.0')
  }
})

test('Swagger UI is served with a document of the given version and title', async (t) => {
  const { app, document } = await withSwagger(t, '3.1.0')
  t.match(document, { openapi: '3.1.0', info: { title: 'Stocks' }, paths: { '/stocks/{symbol}': {} } })
  const { statusCode, body } = await app.inject('/docs')
  t.equal(statusCode, 200)
  t.match(body, 'swagger-ui')
})

test('a route that uses reply.sse() has the description that its schema gives, and streams', async (t) => {
  const [code] = page.codeOf('Routes that use reply.sse', 'ts')
  const { app, document } = await withSwagger(t, '3.1.0', code)
  t.strictSame(document.paths['/search'].get.responses, { 200: { description: 'Results', content: { 'text/event-stream': { schema: { type: 'string' } } } } })
  t.equal((await app.inject('/search')).body, 'data: first result\n\ndata: second result\n\n')
})

test('a global transform that both plugins are given runs on ordinary routes and on SSE routes', async (t) => {
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

test('two registrations of @fastify/swagger describe the routes in two versions', async (t) => {
  const [code] = page.codeOf('Several versions at once', 'ts')
  const app = await runApp(t, tenLines({ before: code }))
  await app.ready()
  const media = (document: object) => {
    const { paths } = JSON.parse(JSON.stringify(document))
    return Object.keys(paths['/stocks/{symbol}'].get.responses['200'].content['text/event-stream'])
  }
  t.match(app.swagger(), { openapi: '3.1.0' })
  t.strictSame(media(app.swagger()), ['schema', 'x-itemSchema'])
  const newest = (await app.inject('/openapi/3.2.json')).json()
  t.match(newest, { openapi: '3.2.0' })
  t.strictSame(media(newest), ['schema', 'itemSchema'])
  t.notOk('/openapi/3.2.json' in newest.paths)
})
