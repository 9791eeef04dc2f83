import { readdirSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { open } from '../helpers/app.js'
import { manifest, Page, pageOf, root } from './document.js'
import { runApp } from './run.js'

const page = pageOf('docs/getting-started.md')
const [code] = page.codeOf('Write the route', 'ts')

test('the first route has ten lines, is that of the README and sends the events shown', async (t) => {
  const [shown] = page.codeOf('Read it with curl', '')
  t.equal(/^app\.sseRoute\(.*?^\}\)$/ms.exec(code)?.[0].split('\n').length, 10)
  t.equal(code, pageOf('README.md').codeOf('A route in ten lines', 'ts')[0])
  const app = await runApp(t, code.replace('port: 3000', 'port: 0'))
  const client = await open(t, (app.server.address() as AddressInfo).port, '/stocks/ACME')
  await client.until('\n\n', 2)
  const price = /\d+\.\d+/g
  t.equal(client.text.replaceAll(price, 'N'), `${shown}\n`.replaceAll(price, 'N').repeat(2))
})

test('a quote is made once for all clients of a symbol', async (t) => {
  const counted = code.replace('price: 100 + Math.random()', 'price: ++calls').replace('const quote', 'let calls = 0\nconst quote').replace(/^await app\.listen.*$/m, '')
  const app = await runApp(t, counted)
  const streams = await Promise.all(Array.from({ length: 20 }, () => injectSSE(app, '/stocks/ACME')))
  for (const stream of streams) t.match(await stream.next(), { event: 'price', data: '{"symbol":"ACME","price":1}' })
  for (const stream of streams) stream.close()
})

test('the page names the versions of Node and Fastify that the package needs, and its commands install packages that it names', (t) => {
  const { engines, peerDependencies, devDependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  t.equal(`Node ${engines.node.replace('>=', '')} or later`, /Node [\d.]+ or later/.exec(page.text)?.[0])
  t.match(peerDependencies.fastify, /^\^?5/)
  for (const [, names = ''] of page.blocks.filter(({ language }) => language === 'sh').map(({ code }) => code).join('').matchAll(/npm install ([^&\n]+)/g)) {
    for (const name of names.split(' ')) t.ok(name === manifest.name || name in { ...peerDependencies, ...devDependencies }, name)
  }
  t.end()
})

test('the README of the demo names its environment variables, source files and pictures', (t) => {
  const demo = new Page('demo/README.md')
  const files = ['demo', 'demo/data'].flatMap((folder) => readdirSync(join(root, folder)).map((name) => join(folder, name))).filter((name) => name.endsWith('.ts')).map((name) => readFileSync(join(root, name), 'utf8')).join('')
  const variables = [...files.matchAll(/process\.env\.([A-Z_]+)/g), ...files.matchAll(/([A-Z_]+)(?:: \w+)?(?: = '[^']*')?(?=,.*\} = process\.env| \} = process\.env)/g)].map(([, name = '']) => name)
  t.ok(variables.includes('OPENAI_API_KEY') && variables.includes('REDIS_URL') && variables.includes('COOKIE_SECRET'))
  for (const name of new Set(variables)) t.match(demo.text, `\`${name}\``, name)
  for (const name of readdirSync(join(root, 'demo/pictures'))) t.match(demo.text, `pictures/${name}`, name)
  t.end()
})
