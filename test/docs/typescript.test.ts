import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import ts from 'typescript'
import { EventSource as UndiciEventSource } from 'undici'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { manifest, pageOf, pathOf, root } from './document.js'
import { run, runApp, tenLines, toJavaScript } from './run.js'

const page = pageOf('docs/typescript.md')

/** Returns the names of the types that an entry of lib exports. */
function exportedTypes (file: string): string[] {
  const { statements } = ts.createSourceFile(file, readFileSync(join(root, 'lib', file), 'utf8'), ts.ScriptTarget.Latest, true)
  return statements.flatMap((statement) => {
    if (ts.isExportDeclaration(statement) && statement.isTypeOnly && statement.exportClause && ts.isNamedExports(statement.exportClause)) {
      return statement.exportClause.elements.map(({ name }) => name.text)
    }
    const isType = ts.isInterfaceDeclaration(statement) || ts.isTypeAliasDeclaration(statement)
    return isType && statement.modifiers?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword) ? [statement.name.text] : []
  })
}

/** Returns the types in the first cells of the tables below a heading. */
function typesBelow (title: string): string[] {
  return Array.from(page.sectionOf(title).matchAll(/^\| `(\w+)` \|/gm), ([, name = '']) => name)
}

test('the tables of exported types have the types of each entry', (t) => {
  t.strictSame(typesBelow('From `fastify-sse-routes`').sort(), exportedTypes('index.ts').sort())
  t.strictSame(typesBelow('From `fastify-sse-routes/client`').sort(), exportedTypes('client/index.ts').sort())
  const others = Array.from(page.sectionOf('From the other entries').matchAll(/^\| `fastify-sse-routes\/([\w/]+)` \| (.*) \|$/gm), ([, entry = '', types = '']) => ({ entry, types: types.match(/\w+/g) ?? [] }))
  const files: Record<string, string> = { metrics: 'metrics.ts', react: 'client/react.ts', redis: 'redis/index.ts', testing: 'testing.ts', 'testing/backplane': 'testing/backplane/index.ts' }
  for (const { entry, types } of others) t.strictSame(types.sort(), exportedTypes(files[entry] ?? '').sort(), entry)
  const entries = Object.keys(manifest.exports).map((name) => name.slice(2)).filter((name) => name !== '' && name !== 'package.json')
  t.strictSame(['client', ...others.map(({ entry }) => entry)].sort(), entries.sort())
  t.end()
})

test('a route with a type provider has typed params and query', async (t) => {
  const [code] = page.codeOf('Type the request', 'ts')
  const app = await runApp(t, code)
  t.equal((await app.inject('/stocks/ACME?days=2')).body, 'data: ACME: 3 days\n\n')
})

test('the routes that do not compile are declared all the same', async (t) => {
  const [code] = page.codeOf('Check events at compile time', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  for (const url of ['/typed', '/typed-too']) t.ok(app.hasRoute({ method: 'GET', url }), url)
})

test('items that are data are the data of message, and a message of text can be a string', async (t) => {
  const [items] = page.codeOf('Check data without event names', 'ts')
  const [text] = page.codeOf('Send a string without an object', 'ts')
  const app = await runApp(t, tenLines({ after: `${items}\n${text}` }))
  t.match((await app.inject('/numbers')).body, /^(event: message\n)?data: \{"n":1\}\n\n/)
  t.equal((await app.inject('/lines')).body, 'data: first line\n\ndata: second line\n\n')
})

test('a route with schemas of zod sends its events', async (t) => {
  const [code] = page.codeOf('Use another schema library', 'ts')
  const app = await runApp(t, code)
  t.equal((await app.inject('/readings/hall')).body, 'event: reading\ndata: {"room":"hall","celsius":21}\n\n')
})

test('a route without a type provider sends events of its types', async (t) => {
  const [names] = page.codeOf('Work without a type provider', 'ts')
  t.equal((await (await runApp(t, names)).inject('/ticks')).body, 'event: tick\ndata: {"n":1}\n\n')
  const [code] = page.codeOf('Give the types of the request by hand', 'ts')
  const app = await runApp(t, code)
  t.equal((await app.inject('/orders/42')).body, 'event: order\ndata: {"id":"42"}\n\n')
})

test('a function outside of the route sends payloads of the route', async (t) => {
  const [code] = page.codeOf('Write callbacks outside of the route', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  const stream = await injectSSE(app, '/job')
  const data: string[] = []
  for await (const event of stream) data.push(event.data)
  t.strictSame(data, [0, 50, 100].map((done) => JSON.stringify({ done })))
})

test('server and client share one declaration of events', async (t) => {
  const files: Record<string, Record<string, string>> = {}
  for (const code of page.codeOf('Share events with a client', 'ts')) {
    const [folder = '', file = ''] = pathOf(code)?.split('/') ?? []
    files[folder] = { ...files[folder], [file.replace('.ts', '.js')]: toJavaScript(code) }
  }
  const folder = t.testdir({ 'package.json': '{ "type": "module" }', ...files })
  // Node's fetch opens another connection when it disconnects
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  await app.register((await import(join(folder, 'server/quotes.js'))).default)
  const { watchQuotes } = await import(join(folder, 'web/quotes.js'))
  const shown: string[] = []
  await watchQuotes(`http://127.0.0.1:${await listen(app)}`, (text: string) => { shown.push(text) })
  t.strictSame(shown, ['ACME 100', 'halted: end of the day'])
  t.notMatch(files.web?.['quotes.js'] ?? '', 'shared/quotes', 'only the type is imported')
})

test('a page reads the shared events by EventSource', async (t) => {
  const [code] = page.codeOf('Use the types with EventSource', 'ts')
  t.notMatch(toJavaScript(code), 'shared/quotes', 'only the type is imported')
  const before = globalThis.EventSource
  t.teardown(() => { globalThis.EventSource = before })
  Object.assign(globalThis, { EventSource: UndiciEventSource })
  const watchQuotes = await run<(url: string, show: (text: string) => void) => UndiciEventSource>(t, code.replace('export function', 'function'), 'watchQuotes')
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  app.sseRoute('/quotes', { source: () => [{ event: 'quote', data: { symbol: 'ACME', price: 100 } }, { event: 'halted', data: 'end of the day' }] })
  const shown: string[] = []
  const source = watchQuotes(`http://127.0.0.1:${await listen(app)}/quotes`, (text) => { shown.push(text) })
  await until('both events', () => shown.length === 2)
  source.close()
  t.strictSame(shown, ['ACME 100', 'halted: end of the day'])
})
