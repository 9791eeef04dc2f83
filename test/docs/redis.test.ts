import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import { redisBackplane } from '../../lib/redis/index.js'
import { injectSSE } from '../../lib/testing.js'
import { freePort } from '../helpers/free-port.js'
import { testRedis } from '../helpers/redis-server.js'
import { pageOf, root } from './document.js'
import { run, runApp } from './run.js'

const page = pageOf('docs/redis.md')

test('the page has a heading for each option of redisBackplane, and no other', (t) => {
  const section = page.sectionOf('Options of redisBackplane')
  const options = Array.from(section.matchAll(/^### `(\w+)`$/gm), ([, name]) => name)
  const taken = /it takes (.*)$/.exec(messageOf(() => redisBackplane({ url: 'redis://127.0.0.1', other: 1 } as { url: string })))?.[1]
  t.equal(options.join(', '), taken)
  t.end()
})

test('the defaults and the least maxLength on the page are those of redisBackplane', (t) => {
  const [index, options] = ['index', 'options'].map((name) => readFileSync(join(root, `lib/redis/${name}.ts`), 'utf8'))
  const [, key = '', timeout = ''] = /key = ('\w+'), timeout = (\w+)/.exec(options ?? '') ?? []
  t.match(page.sectionOf('`key`'), `Default: \`${key}\``)
  t.match(page.sectionOf('`timeout`'), `Default: \`${timeout.replace('_', '')}\``)
  t.match(page.sectionOf('`maxLength`'), `at least ${/LEAST = (\d+)/.exec(index ?? '')?.[1]}.`)
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

test('cluster clients of both packages are accepted', async (t) => {
  const blocks = page.codeOf('Cluster', 'ts')
  t.equal(blocks.length, 2)
  for (const code of blocks) t.type(await run(t, code, 'backplane'), 'function')
})

testRedis('a publisher without Fastify publishes to a topic and a client id, and closes the streams of the client id', async (t, server) => {
  const [block] = page.codeOf('From Node without Fastify', 'js')
  const [code] = page.codeOf('Share one log', 'ts')
  const address = 'redis://127.0.0.1:6379'
  const app = await runApp(t, code.replace(address, server.url))
  app.sseRoute('/', { topics: ['orders'], clientId: () => 'ann' })
  const stream = await injectSSE(app, { url: '/' })
  await run(t, block.replace(address, server.url), 'publisher')
  t.match(await stream.next(), { event: 'shipped', data: '{"id":7}' })
  t.match(await stream.next(), { data: 'for Ann' })
  t.equal(await stream.next(), undefined)
})

testRedis('the permissions of the page suffice for an ACL user', async (t, server) => {
  const [, rules = ''] = /- `(~\{sse\}.*)`/.exec(page.sectionOf('Passwords and ACL users')) ?? []
  await server.call('ACL', 'SETUSER', 'app', 'on', '>secret', ...rules.split(' '))
  const [code] = page.codeOf('Share one log', 'ts')
  const url = server.url.replace('//', '//app:secret@')
  const app = await runApp(t, code.replace('redis://127.0.0.1:6379', url))
  app.sseRoute('/', { topics: ['a'], rewind: 'all' })
  const id = await app.sse.publish('a', 'x')
  const stream = await injectSSE(app, { url: '/' })
  t.match(await stream.next(), { id, data: 'x' })
  stream.close()
  const unknown = await injectSSE(app, { url: '/', headers: { 'last-event-id': '1-1' } })
  t.match(await unknown.next(), { event: 'gap' })
  unknown.close()
})

function messageOf (run: () => unknown): string {
  try {
    run()
  } catch (error) {
    return (error as Error).message
  }
  return ''
}
