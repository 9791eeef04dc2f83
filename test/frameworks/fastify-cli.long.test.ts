import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'fastify-cli/helper.js'
import { type Test, test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { freePort } from '../helpers/free-port.js'
import { open, until } from '../helpers/app.js'

const root = fileURLToPath(new URL('../..', import.meta.url))
const app = fileURLToPath(new URL('app/app.js', import.meta.url))
const cli = join(dirname(createRequire(import.meta.url).resolve('fastify-cli/package.json')), 'cli.js')

/** `fastify start` of the app, in a separate process on a free port. */
async function start (t: Test, ...options: string[]) {
  const port = await freePort()
  const { PATH, HOME } = process.env
  const child = spawn(process.execPath, [cli, 'start', '--address', '127.0.0.1', '--port', `${port}`, '--log-level', 'info', '--options', app, ...options], {
    cwd: root,
    env: { PATH, HOME, NODE_OPTIONS: '--import=./test/typescript.mjs', _TAPJS_PROCESSINFO_COVERAGE_: '0' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const printed = { port, child, ended, text: '' }
  for (const output of [child.stdout, child.stderr]) output.setEncoding('utf8').on('data', (text) => { printed.text += text })
  return printed
}

test('fastify-cli', async (t) => {
  await t.test('fastify start serves the streams, and SIGTERM ends them', async (t) => {
    const server = await start(t, '--', '--database', 'postgres://db')
    await until('the server to listen', () => server.text.includes('Server listening'), 30_000)
    const client = await open(t, server.port, '/prices/hand')
    await client.until('retry: 1234\n')
    await fetch(`http://127.0.0.1:${server.port}/prices`, { method: 'POST', body: 'new', headers: { 'content-type': 'text/plain' } })
    await client.until('data: new')
    server.child.kill('SIGTERM')
    t.ok(await client.finished())
    t.match(client.text, /retry: \d+\n$/)
    t.strictSame(await server.ended, [0, null])
  })

  await t.test('a number given after -- is a string, which ends the start', async (t) => {
    const server = await start(t, '--', '--heartbeat', '20')
    t.strictSame(await server.ended, [1, null])
    t.match(server.text, 'SSE_ERR_OPTION')
  })

  await t.test('build of fastify-cli/helper.js makes an app for injectSSE', async (t) => {
    const built = await build([app])
    const stream = await injectSSE(built, { url: '/prices' })
    t.match(await stream.next(), { event: 'price', data: '100' })
    await built.close()
    t.equal(await stream.next(), undefined)
  })
})
