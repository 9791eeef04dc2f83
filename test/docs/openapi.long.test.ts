import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import swagger from '@fastify/swagger'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import { build } from 'esbuild'
import Fastify from 'fastify'
import { test } from 'tap'
import ts from 'typescript'
import sse from '../../lib/index.js'
import { runProgram } from '../helpers/packed.js'
import { pageOf, root } from './document.js'

const page = pageOf('docs/openapi.md')

const VERSIONS = ['2.0', '3.0', '3.1', '3.2'] as const
type Version = typeof VERSIONS[number]

/** A generator of clients, in a row of the page's table. */
interface Generator {
  /** Packages that it needs, besides the one that names its row. */
  packages: string[]
  /** Generates a client in `gen/<name>`. */
  generate (name: string, document: string): Promise<unknown>
  /** Code beside the client, which exports `quotes`, `counts` and the type `Data`. */
  probe: string
}

// outside of the project, so that nothing is found in its node_modules
const folder = await mkdtemp(join(tmpdir(), 'generators-'))
const run = (name: string, ...args: string[]) => runProgram(process.execPath, [join(folder, 'node_modules/.bin', name), ...args], folder)
// the generators send no statistics
Object.assign(process.env, { REDOCLY_TELEMETRY: 'off', REDOCLY_SUPPRESS_UPDATE_NOTICE: 'true', KUBB_DISABLE_TELEMETRY: '1', DO_NOT_TRACK: '1' })
const write = (path: string, text: string) => writeFile(join(folder, path), text)

const app = Fastify({ forceCloseConnections: true }).withTypeProvider<TypeBoxTypeProvider>()
const info = { title: 'Stocks', version: '1.0.0' }
const symbol = Type.String()
await app.register(swagger, { swagger: { info } })
for (const version of VERSIONS.slice(1)) await app.register(swagger, { decorator: version, openapi: { openapi: `${version}.0`, info } })
await app.register(sse)
app.sseRoute({
  url: '/stocks/:symbol',
  schema: { params: Type.Object({ symbol }) },
  events: { price: Type.Object({ symbol, price: Type.Number() }), halted: Type.Object({ symbol, reason: Type.String() }) },
  source: async function * ({ params: { symbol } }) {
    while (true) {
      yield { event: 'price', data: { symbol, price: 1 } }
      await setTimeout(50)
      yield { event: 'halted', data: { symbol, reason: 'news' } }
    }
  }
})
app.sseRoute({
  url: '/counts',
  events: { count: Type.Object({ n: Type.Integer() }) },
  retry: 50,
  // the connection breaks after every second event
  source: async function * (request) {
    const last = Number(request.headers['last-event-id'] ?? 0)
    for (const id of [last + 1, last + 2]) yield { id, event: 'count', data: { n: id } }
    await setTimeout(50)
    request.raw.socket.destroy()
  }
})
app.get('/ended/stocks/:symbol', { schema: { hide: true } }, (_request, reply) => reply.code(204).send())
app.get('/names', { schema: { response: { 200: Type.Array(Type.String()) } } }, () => ['ACRE'])
const baseUrl = await app.listen({ host: '127.0.0.1', port: 0 })

const generators: Record<string, Generator> = {
  '@hey-api/openapi-ts': {
    packages: [],
    generate: (name, document) => run('openapi-ts', '--silent', '-i', document, '-o', `gen/${name}/client`, '-p', '@hey-api/client-fetch', '@hey-api/sdk', '@hey-api/typescript'),
    probe: `
      import { getCounts, getStocksBySymbol } from './client/index.js'
      ${page.codeOf('@hey-api/openapi-ts', 'typescript')[0].replace(/^import.*$/m, '')}
      export type Data = Awaited<ReturnType<typeof getStocksBySymbol>>['stream'] extends AsyncGenerator<infer Data> ? Data : never
      export async function * counts (baseUrl: string, signal: AbortSignal) { yield * (await getCounts({ baseUrl, signal })).stream }`
  },
  '@redocly/cli': {
    packages: [],
    generate: (name, document) => run('redocly', 'generate-client', document, '--output', `gen/${name}/client.ts`, '--server-url', baseUrl),
    probe: `
      import { getCounts, getStocksSymbol } from './client.js'
      export type Data = ReturnType<typeof getStocksSymbol> extends AsyncGenerator<infer Event extends { data: unknown }> ? Event['data'] : never
      export async function * quotes (_url: string, symbol: string, signal: AbortSignal) { for await (const { data } of getStocksSymbol({ path: { symbol } }, { signal })) yield data }
      export async function * counts (_url: string, signal: AbortSignal) { for await (const { data } of getCounts({}, { signal })) yield data }`
  },
  'openapi-fetch': {
    packages: ['openapi-typescript@7.13.0', 'eventsource-parser@3.1.1'],
    generate: (name, document) => run('openapi-typescript', document, '-o', `gen/${name}/schema.ts`),
    probe: `${page.codeOf('openapi-fetch', 'typescript')[0].replace('type Data', 'export type Data')}
      export async function * counts (baseUrl: string, signal: AbortSignal) {
        const { data } = await createClient<paths>({ baseUrl }).GET('/counts', { parseAs: 'stream', signal })
        for await (const event of data!.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())) yield JSON.parse(event.data)
      }`
  },
  '@kubb/plugin-client': {
    packages: ['core', 'cli', 'plugin-oas', 'plugin-ts'].map((name) => `@kubb/${name}@4.39.3`),
    generate: async (name, document) => {
      const config = `kubb.${name.replaceAll('/', '-')}.config.mjs`
      await write(config, `
        import { defineConfig } from '@kubb/core'
        import { pluginClient } from '@kubb/plugin-client'
        import { pluginOas } from '@kubb/plugin-oas'
        import { pluginTs } from '@kubb/plugin-ts'
        const plugins = [pluginOas(), pluginTs(), pluginClient({ client: 'fetch', baseURL: ${JSON.stringify(baseUrl)} })]
        export default defineConfig({ root: '.', input: { path: ${JSON.stringify(document)} }, output: { path: './gen/${name}/client', format: false }, plugins })`)
      await run('kubb', 'generate', '--config', config)
    },
    probe: `
      import { getCounts, getStocksSymbol } from './client/index.ts'
      export type Data = Awaited<ReturnType<typeof getStocksSymbol>>
      export async function * quotes (_url: string, symbol: string, signal: AbortSignal) { yield await getStocksSymbol(symbol, { signal }) }
      export async function * counts (_url: string, signal: AbortSignal) { yield await getCounts({ signal }) }`
  },
  orval: {
    packages: [],
    generate: async (name, document) => {
      const config = `orval.${name.replaceAll('/', '-')}.config.mjs`
      await write(config, `export default { stocks: { input: '${document}', output: { client: 'fetch', target: 'gen/${name}/client.ts', baseUrl: '${baseUrl}' } } }`)
      await run('orval', '--config', config)
    },
    probe: `
      import { getCounts, getStocksSymbol } from './client.js'
      export type Data = Awaited<ReturnType<typeof getStocksSymbol>>['data']
      export async function * quotes (_url: string, symbol: string, signal: AbortSignal) { yield (await getStocksSymbol(symbol, { signal })).data }
      export async function * counts (_url: string, signal: AbortSignal) { yield (await getCounts({ signal })).data }`
  }
}

/** The version in the row of a generator. */
const versionOf = (name: string) => / (\d+\.\d+\.\d+)$/.exec(page.rowOf(name)[1] ?? '')?.[1] ?? ''

/** Type-checks files with all that they import. */
function typeCheck (files: string[]): ts.Program {
  return ts.createProgram(files.map((file) => join(folder, file)), {
    strict: true,
    noUncheckedIndexedAccess: true,
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2023.d.ts', 'lib.dom.d.ts', 'lib.dom.iterable.d.ts', 'lib.dom.asynciterable.d.ts'],
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    paths: { 'fastify-sse-routes/client': [join(root, 'lib/client/index.ts')] },
    allowImportingTsExtensions: true,
    noEmit: true,
    skipLibCheck: true,
    types: []
  })
}

/** Returns the errors of TypeScript in a folder or file below the temporary folder. */
function errorsIn (program: ts.Program, path: string): string[] {
  return ts.getPreEmitDiagnostics(program).filter(({ file }) => file?.fileName.startsWith(join(folder, path))).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}

/** Returns what the table says of the type `Data` that a probe exports. */
function kindOf (program: ts.Program, file: string): string {
  const source = program.getSourceFile(join(folder, file))
  const node = source?.statements.find((statement) => ts.isTypeAliasDeclaration(statement) && statement.name.text === 'Data')
  if (node === undefined) return ''
  const checker = program.getTypeChecker()
  const type = checker.getTypeAtLocation(node)
  const text = checker.typeToString(type, undefined, ts.TypeFormatFlags.NoTruncation | ts.TypeFormatFlags.InTypeAlias)
  if (/event: "price"/.test(text)) return 'wrong'
  return type.isUnion() && type.types.map((part) => part.getProperties().map(({ name }) => name).sort().join()).join(' ') === 'price,symbol reason,symbol' ? 'union' : text
}

/** Makes a module of a probe and the client that it imports. */
async function load (file: string) {
  const outfile = join(folder, file.replace(/\.ts$/, '.bundle.mjs'))
  await build({ entryPoints: [join(folder, file)], outfile, bundle: true, platform: 'node', format: 'esm', logLevel: 'error', alias: { 'fastify-sse-routes/client': join(root, 'lib/client/index.ts') } })
  return await import(outfile)
}

/** Returns the first items of a generator, or fewer if it ends, fails or takes longer than four seconds. */
async function first (count: number, open: (signal: AbortSignal) => AsyncIterable<unknown>): Promise<unknown[]> {
  const items: unknown[] = []
  try {
    for await (const item of open(AbortSignal.timeout(4_000))) if (items.push(item) === count) break
  } catch {
    // a client that waits for the end of the response fails with the abort
  }
  return items
}

const outcomes = new Map<string, string>()
const clients = Object.keys(generators).flatMap((name) => VERSIONS.map((version) => ({ name, version, path: `${name}/${version}` })))
let program: ts.Program

test('the versions of the generators in the table are installed, and generate clients', async (t) => {
  t.teardown(async () => {
    if (!t.passing()) await cleanUp()
  })
  await write('package.json', '{ "name": "generators", "private": true, "type": "module" }')
  const packages = Object.entries(generators).flatMap(([name, { packages }]) => [`${name}@${versionOf(name)}`, ...packages])
  await runProgram('npm', ['install', '--no-audit', '--no-fund', '--legacy-peer-deps', ...packages, 'typescript@5.9'], folder)
  const documents: Record<Version, object> = { '2.0': app.swagger(), '3.0': documentOf('3.0'), 3.1: documentOf('3.1'), 3.2: documentOf('3.2') }
  for (const [version, document] of Object.entries(documents)) await write(`openapi-${version}.json`, JSON.stringify(document))
  for (const { name, version, path } of clients) {
    const generator = generators[name]
    await mkdir(join(folder, 'gen', path), { recursive: true })
    try {
      await generator?.generate(path, `openapi-${version}.json`)
    } catch (error) {
      t.match(String(error), 'Unsupported Swagger version', path)
      outcomes.set(path, 'refused')
    }
    await write(`gen/${path}/probe.ts`, generator?.probe ?? '')
  }
  program = typeCheck(clients.filter(({ path }) => !outcomes.has(path)).map(({ path }) => `gen/${path}/probe.ts`))
})

function documentOf (version: string): object {
  return app.getDecorator<() => object>(version)()
}

test('the table has the type of the data in the client of each generator for each version', async (t) => {
  for (const { path } of clients) {
    if (outcomes.has(path)) continue
    const errors = errorsIn(program, `gen/${path}/`)
    if (errors.length > 0) t.match(errors.join(), 'Type \'string\' is not assignable', path)
    outcomes.set(path, errors.length > 0 ? 'compile error' : kindOf(program, `gen/${path}/probe.ts`))
  }
  for (const name of Object.keys(generators)) t.strictSame(page.rowOf(name).slice(2, 6), VERSIONS.map((version) => outcomes.get(`${name}/${version}`)), name)
})

for (const name of Object.keys(generators)) {
  test(`the table says whether the client of ${name} gives each event as it arrives, and whether it reconnects`, async (t) => {
    const { quotes, counts } = await load(`gen/${name}/3.1/probe.ts`)
    const prices = await first(3, (signal) => quotes(baseUrl, 'ACRE', signal))
    const numbers = await first(5, (signal) => counts(baseUrl, signal))
    const [streams, reconnects] = page.rowOf(name).slice(6)
    t.equal(prices.length === 3 ? 'yes' : 'no', streams)
    t.equal(numbers.length === 5 ? 'yes' : 'no', reconnects)
    if (streams === 'yes') t.match(prices, [{ symbol: 'ACRE', price: 1 }, { symbol: 'ACRE', reason: 'news' }, { symbol: 'ACRE', price: 1 }])
    if (reconnects === 'yes') t.strictSame(numbers, [1, 2, 3, 4, 5].map((n) => ({ n })))
  })
}

test('with the mutator, the client of orval compiles, and its types and addresses serve the client of this package', async (t) => {
  const [config] = page.codeOf('orval and kubb', 'js')
  const [reader, request = ''] = page.codeOf('orval and kubb', 'typescript')
  await write('orval.config.mjs', config.replace('http://127.0.0.1:3000', baseUrl))
  await write('request.ts', request)
  await write('reader.ts', `${reader}\nimport { getNames } from './client.js'\nexport const names = getNames`)
  await run('orval', '--config', 'orval.config.mjs')
  t.strictSame(['client.ts', 'request.ts', 'reader.ts'].flatMap((file) => errorsIn(typeCheck(['reader.ts']), file)), [])
  const { quotes, names } = await load('reader.ts')
  t.match(await first(2, (signal) => quotes('ACRE', signal)), [{ symbol: 'ACRE' }, { symbol: 'ACRE' }])
  t.match(await names(), { status: 200, data: ['ACRE'] })
})

test('the client of @hey-api/openapi-ts ends after an error status and a 204 with the onSseError of the page', async (t) => {
  const { quotes } = await load('gen/@hey-api/openapi-ts/3.1/probe.ts')
  for (const path of ['missing', 'ended']) {
    const items: unknown[] = []
    for await (const item of quotes(`${baseUrl}/${path}`, 'ACRE')) items.push(item)
    t.strictSame(items, [], path)
  }
})

test('the app closes', cleanUp)

async function cleanUp (): Promise<void> {
  await app.close()
  await rm(folder, { recursive: true, force: true })
}
