import { readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { open } from '../helpers/app.js'
import { isRecipe, manifest, pageOf, pages, root } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('README.md')

test('the README has at most 1,500 words', (t) => {
  t.ok(page.text.split(/\s+/).length <= 1_500, `${page.text.split(/\s+/).length} words`)
  t.end()
})

test('each block of code in the README is run by a test', (t) => {
  const tests = ['readme.test.ts', 'readme.long.test.ts', 'run.ts'].map((file) => readFileSync(join(root, 'test/docs', file), 'utf8')).join('')
  for (const { section, language } of page.blocks) if (language !== 'sh' && language !== 'mermaid') t.ok(tests.includes(`codeOf('${section}', '${language}')`), `${section}, ${language}`)
  t.end()
})

test('the README links to every page of docs except the recipes, and its table has every option', (t) => {
  for (const { path } of pages) if (path !== 'README.md' && path !== 'docs/README.md' && !isRecipe({ path })) t.ok(page.text.includes(`](${path})`), path)
  t.notMatch(page.text, 'docs/recipes/', 'docs/recipes.md lists the recipes')
  const options: string[] = page.sectionOf('Options').match(/(?<=\[`)\w+(?=`\])/g) ?? []
  const documented = pageOf('docs/options.md').headings.map(({ title }) => title).filter((title) => /^`\w+`$/.test(title)).map((title) => title.slice(1, -1))
  t.strictSame([...options].sort(), documented.filter((name) => name !== 'url' && name !== 'method').sort(), 'the table has every option of the page')
  t.end()
})

test('the packages that the README installs are those that the plugin and its examples need', (t) => {
  const names = Array.from(page.text.matchAll(/npm install ([^&\n]+)/g), ([, list = '']) => list.trim().split(' ')).flat()
  for (const name of names) t.ok(name === manifest.name || name in manifest.peerDependencies || ['fastify', '@fastify/type-provider-typebox', '@sinclair/typebox'].includes(name), name)
  t.ok(names.includes(manifest.name))
  t.end()
})

test('the route in ten lines has ten lines and sends the events shown', async (t) => {
  const [code] = page.codeOf('A route in ten lines', 'ts')
  const [shown] = page.codeOf('A route in ten lines', '')
  t.equal(/^app\.sseRoute\(.*?^\}\)$/ms.exec(code)?.[0].split('\n').length, 10)
  const app = await runApp(t, code.replace('port: 3000', 'port: 0'))
  const client = await open(t, (app.server.address() as AddressInfo).port, '/stocks/ACME')
  await client.until('\n\n', 2)
  const price = /\d+\.\d+/g
  t.equal(client.text.replaceAll(price, 'N'), `${shown}\n`.replaceAll(price, 'N').repeat(2))
})

test('the four ways to send do what the text says', async (t) => {
  const model = 'const model = async function * (prompt) { yield * prompt.split(\' \') }'
  const codes = [page.codeOf('At an interval', 'ts'), page.codeOf('From a source', 'ts'), page.codeOf('To topics', 'ts'), page.codeOf('By hand', 'ts')].flat()
  for (const code of codes) t.ok(code.trim().split('\n').length <= 16, `${code.trim().split('\n').length} lines`)
  const app = await runApp(t, tenLines({ after: [model, ...codes, 'app.post(\'/ship\', () => ship(\'42\', \'DHL\').then(() => ({})))'].join('\n') }))
  const time = await injectSSE(app, { url: '/time' })
  t.match(await time.next(), { event: 'time', data: /^\d{4}-/ })
  time.close()
  t.equal((await app.inject({ method: 'POST', url: '/chat', payload: { prompt: 'a b' } })).body, 'event: token\ndata: a\n\nevent: token\ndata: b\n\nevent: done\ndata: \n\n')
  const order = await injectSSE(app, { url: '/orders/42' })
  await app.inject({ method: 'POST', url: '/ship' })
  t.match(await order.next(), { event: 'shipped', data: '{"carrier":"DHL"}' })
  order.close()
  t.match((await app.inject('/progress')).body, /^(data: \{"done":\d+\}\n\n){11}$/)
})

test('the versions and figures of the comparison in the README are those of the page Comparison', (t) => {
  const full = pageOf('docs/comparison.md').text
  const facts = page.sectionOf('Beside other libraries').match(/\S+ \d+\.\d+\.\d+|\d+ (?:MiB|ms|s)\b(?= [^h]| \||,)/g) ?? []
  t.ok(facts.length >= 8, facts.join(', '))
  for (const fact of facts) t.ok(full.includes(fact), fact)
  t.end()
})
