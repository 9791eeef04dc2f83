import { type Test, test } from 'tap'
import { codeOf } from './document.js'
import { runApp, tenLines } from './run.js'

/** The app of the route in ten lines with Swagger, and its document as it is served. */
async function withSwagger (t: Test, version: string) {
  const [code] = codeOf('Swagger', 'ts')
  const app = await runApp(t, tenLines({ before: code.replace('3.1.0', version) }))
  return { app, document: (await app.inject('/docs/json')).json() }
}

test('the 3.2 description of the route in ten lines is the one shown', async (t) => {
  const [shown] = codeOf('OpenAPI', 'json')
  const { document } = await withSwagger(t, '3.2.0')
  t.strictSame(document.paths['/stocks/{symbol}'].get.responses['200'].content, JSON.parse(shown))
})

test('Swagger UI is served, with a document of the version and title that were given', async (t) => {
  const { app, document } = await withSwagger(t, '3.1.0')
  t.match(document, { openapi: '3.1.0', info: { title: 'Stocks' }, paths: { '/stocks/{symbol}': {} } })
  const { statusCode, body } = await app.inject('/docs')
  t.equal(statusCode, 200)
  t.match(body, 'swagger-ui')
})
