import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { redisBackplane } from '../../lib/redis/index.js'
import { freePort } from '../helpers/free-port.js'
import { pageOf, root } from './document.js'
import { runApp } from './run.js'

const page = pageOf('docs/redis.md')

test('the page has a heading for each option of redisBackplane, and no other', (t) => {
  const section = page.sectionOf('Options of redisBackplane')
  const options = Array.from(section.matchAll(/^### `(\w+)`$/gm), ([, name]) => name)
  const taken = /it takes (.*)$/.exec(messageOf(() => redisBackplane({ url: 'redis://127.0.0.1', other: 1 } as { url: string })))?.[1]
  t.equal(options.join(', '), taken)
  t.end()
})

test('the defaults and the least maxLength on the page are those of redisBackplane', (t) => {
  const code = readFileSync(join(root, 'lib/redis/index.ts'), 'utf8')
  const [, key = '', timeout = ''] = /key = ('\w+'), maxLength, timeout = (\w+)/.exec(code) ?? []
  t.match(page.sectionOf('`key`'), `Default: \`${key}\``)
  t.match(page.sectionOf('`timeout`'), `Default: \`${timeout.replace('_', '')}\``)
  t.match(page.sectionOf('`maxLength`'), `at least ${/LEAST = (\d+)/.exec(code)?.[1]}.`)
  t.end()
})

test('the page names the versions of the client packages that are installed', (t) => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  const section = page.sectionOf('Versions of the client packages')
  for (const [name, title] of [['redis', 'node-redis'], ['ioredis', 'ioredis']] as const) {
    const [major] = packages[`node_modules/${name}`].version.split('.')
    t.match(section, `${title} ${major}.`, name)
  }
  t.end()
})

test('the app listens on the port that PORT contains', async (t) => {
  const [code] = page.codeOf('Put the processes behind a load balancer', 'ts')
  const port = await freePort()
  t.teardown(() => { delete process.env.PORT })
  process.env.PORT = String(port)
  const app = await runApp(t, `import Fastify from 'fastify'\nconst app = Fastify()\n${code}`)
  t.match(app.addresses(), [{ address: '127.0.0.1', port }])
})

function messageOf (run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  return ''
}
