import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import { type Test, test } from 'tap'
import ts from 'typescript'
import * as errors from '../lib/errors.js'
import { sseMetrics } from '../lib/metrics.js'
import { readPluginOptions } from '../lib/options.js'
import { injectSSE } from '../lib/testing.js'
import { listen, makeApp, open, until } from './harness.js'
import { launchChromium } from './integration/chromium.js'
import { anchors, blocks, membersOf, pathOf, readme, root, typeErrors } from './readme.js'

const inTypeScript = blocks().filter(({ language }) => language === 'ts')
const under = (...sections: string[]) => inTypeScript.filter(({ section }) => sections.includes(section)).map(({ code }) => code).join('\n')

const fileUrl = (path: string) => pathToFileURL(join(root, path)).href

/** A block as JavaScript, with lib in place of the package. */
function toJavaScript (code: string): string {
  const source = code.replaceAll('\'fastify-sse-routes\'', JSON.stringify(fileUrl('lib/index.js'))).replaceAll('\'fastify-sse-routes/client\'', JSON.stringify(fileUrl('lib/client/index.js')))
  return ts.transpileModule(source, { compilerOptions: { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 } }).outputText
}

/** Runs code of the README that makes an `app`. */
async function run (t: Test, code: string): Promise<FastifyInstance> {
  const { app } = await import(join(t.testdir({ 'readme.mjs': toJavaScript(`${code}\nexport { app }`) }), 'readme.mjs'))
  t.teardown(() => app.close())
  return app
}

/** The cells of the README's table row for a name. */
const row = (name: string) => readme.split('\n').find((line) => line.startsWith(`| \`${name}\``))?.split('|').map((cell) => cell.trim()) ?? []

test('all its TypeScript compiles, with what must not compile in it', (t) => {
  t.ok(inTypeScript.length > 5)
  t.strictSame(typeErrors(inTypeScript), [])
  t.end()
})

test('the route in ten lines has ten lines, and sends what is said', async (t) => {
  const code = under('A route in ten lines')
  t.equal(/^app\.sseRoute\(.*?^\}\)$/ms.exec(code)?.[0].split('\n').length, 10)
  const app = await run(t, code.replace('port: 3000', 'port: 0'))
  const stream = await injectSSE(app, { url: '/stocks/ACME' })
  const [first, second] = [await stream.next(), await stream.next()]
  stream.close()
  t.match([first, second], [{ event: 'price' }, { event: 'price' }])
  t.match(JSON.parse(String(first?.data)), { symbol: 'ACME', price: Number })
})

test('the other ways to send do what is said', async (t) => {
  const model = 'const model = async function * (prompt) { yield * prompt.split(\' \') }'
  const app = await run(t, `${model}\n${under('A route in ten lines', 'More ways to send').replace(/^await app\.listen.*$/m, '')}`)
  t.match((await app.inject('/progress')).body, /^(data: \{"done":\d+\}\n\n){11}$/)
  t.strictSame((await app.inject({ method: 'POST', url: '/v1/words', payload: { stream: false } })).json(), { words: ['one', 'two', 'three'] })
  t.equal((await app.inject({ method: 'POST', url: '/v1/words', payload: { stream: true } })).body, 'event: word\ndata: one\n\nevent: word\ndata: two\n\nevent: word\ndata: three\n\n')
  t.equal((await app.inject({ method: 'POST', url: '/chat', payload: { prompt: 'a b' } })).body, 'event: token\ndata: a\n\nevent: token\ndata: b\n\nevent: done\ndata: \n\n')
  const news = await injectSSE(app, { url: '/news', headers: { 'last-event-id': '7' } })
  t.match(await news.next(), { event: 'hello', data: '{"since":"7"}' })
  news.close()
  const order = await injectSSE(app, { url: '/orders/42' })
  const post = (id: string) => app.inject({ method: 'POST', url: `/orders/${id}/parcels`, payload: { carrier: 'DHL' } })
  await post('41')
  const { id } = (await post('42')).json()
  t.strictSame(await order.next(), { id, event: 'shipped', data: '{"carrier":"DHL"}' })
  order.close()
})

test('the client follows a price and an answer as it says', async (t) => {
  const model = 'const model = async function * (prompt) { yield * prompt.split(\' \') }'
  const app = await run(t, `${model}\n${under('A route in ten lines', 'More ways to send').replace(/^await app\.listen.*$/m, '')}`)
  const port = await listen(app)
  const [watch = '', ask = ''] = inTypeScript.filter(({ section }) => section === 'Client').map(({ code }) => code.replace(':3000', `:${port}`))
  const folder = t.testdir({ 'watch.mjs': toJavaScript(`${watch}\nexport { watch }`), 'ask.mjs': toJavaScript(`${ask}\nexport { ask }`) })
  const lines: unknown[][] = []
  const { log } = console
  t.teardown(() => { console.log = log })
  console.log = (...line) => { lines.push(line) }
  const leave = new AbortController()
  const watching = (await import(join(folder, 'watch.mjs'))).watch(leave.signal)
  await until('two lines', () => lines.length >= 2)
  leave.abort()
  await t.rejects(watching, { name: 'AbortError' })
  t.match(lines, [['live'], ['price', Number]])
  let answer = ''
  await (await import(join(folder, 'ask.mjs'))).ask('one two', new AbortController().signal, (token: string) => { answer += `${token} ` })
  t.equal(answer, 'one two ')
})

test('server and client share one declaration as it says', async (t) => {
  const files: Record<string, Record<string, string>> = {}
  for (const { code } of inTypeScript) {
    const [folder, file] = pathOf(code)?.split('/') ?? []
    if (folder !== undefined && file !== undefined) files[folder] = { ...files[folder], [file.replace('.ts', '.js')]: toJavaScript(code) }
  }
  const folder = t.testdir({ 'package.json': '{ "type": "module" }', ...files })
  // Node's fetch opens a connection once more when it leaves
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  await app.register((await import(join(folder, 'server/stocks.js'))).default)
  const { watchStocks } = await import(join(folder, 'web/stocks.js'))
  await t.rejects(watchStocks(`http://127.0.0.1:${await listen(app)}`, (text: string) => { throw new Error(text) }), { message: 'ACME 100' })
})

test('it names every option, member, error code and room', async (t) => {
  for (const name of ['types.ts', 'event.ts', 'backplane.ts', 'metrics.ts', 'client/types.ts'].flatMap(membersOf)) t.ok(new RegExp(`\`(reply\\.|app\\.)?${name}[\`(]`).test(readme), name)
  for (const [code, error] of Object.entries(errors)) if (code.startsWith('SSE_ERR_')) t.equal(row(code)[2], String(new (error as new () => { statusCode: number })().statusCode), code)
  for (const file of readdirSync(join(root, 'lib'), { recursive: true })) if (String(file).endsWith('.ts')) t.ok(readme.includes(`\`${file}\``), String(file))
})

test('it has a row for every metric', async (t) => {
  const register = new Registry()
  sseMetrics(await makeApp(t), { register })
  for (const { name, type } of await register.getMetricsAsJSON()) t.equal(row(name)[2], type, name)
})

test('a page that follows a stream as it says comes back after a refusal, and misses nothing', async (t) => {
  const [code = ''] = blocks().filter(({ code }) => code.includes('function follow')).map(({ code }) => code)
  const app = await makeApp(t, { maxStreams: 1, retry: 300 })
  app.get('/', (request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  app.sseRoute('/orders/42', { topics: ['order:42'] })
  const port = await listen(app)
  const publish = (carrier: string) => app.sse.publish('order:42', { event: 'shipped', data: { carrier } })
  const refused = (times: number) => until(`${times} refusals`, () => app.sse.stats().rejected >= times)
  const closed = (times: number) => until(`${times} streams closed`, () => app.sse.streams.size === 0 && app.sse.stats().opened === times)
  const page = await (await launchChromium(t)).newPage()
  const seen = (count: number) => page.waitForFunction('seen.length >= ' + count).then(() => page.evaluate('seen'))

  const first = await open(t, port, '/orders/42')
  await page.goto(`http://127.0.0.1:${port}/`)
  await page.addScriptTag({ content: `const seen = []; const load = () => seen.push('load'); const show = ({ carrier }) => seen.push(carrier)\n${code.replaceAll('1_000', '50')}` })
  await refused(1)
  first.leave()
  t.strictSame(await seen(1), ['load'], 'it has no id, so it loads')
  await publish('a')
  t.strictSame(await seen(2), ['load', 'a'])

  for (const stream of app.sse.streams.values()) stream.close()
  await closed(2)
  const second = await open(t, port, '/orders/42')
  await refused(app.sse.stats().rejected + 1)
  await publish('b')
  second.leave()
  t.strictSame(await seen(3), ['load', 'a', 'b'])
  t.match(app.sse.stats(), { opened: 4, resumed: 1, replayed: 1, gaps: 0 })
})

test('the defaults it names are those of the options', async (t) => {
  const { stream, drain, history, openapi } = readPluginOptions({})
  const { heartbeat, maxBufferedBytes, overflow, idleTimeout, maxLifetime } = stream
  t.equal(row('drain')[3], `\`{ spread: ${drain.spread} }\``)
  t.equal(row('history')[3], `\`{ size: ${history.size}, maxAge: ${history.maxAge} }\``)
  t.equal(row('overflow')[3], `\`'${overflow}'\``)
  for (const [name, value] of Object.entries({ heartbeat, maxBufferedBytes, idleTimeout, maxLifetime, openapi })) t.match(row(name)[3], `\`${value}\``, name)
})

test('its links lead somewhere, and it justifies the dependencies there are', async (t) => {
  for (const [, target = ''] of readme.matchAll(/\]\((?!https?:)([^)]+)\)/g)) {
    t.ok(target.startsWith('#') ? anchors().includes(target.slice(1)) : existsSync(join(root, target)), target)
  }
  const { dependencies, peerDependenciesMeta } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  const [, list = ''] = readme.split('\n## Dependencies\n')
  t.strictSame([...(list.split('\n## ')[0] ?? '').matchAll(/^- `(.*?)`/gm)].map(([, name]) => name).sort(), Object.keys({ ...dependencies, ...peerDependenciesMeta }).sort())
})
