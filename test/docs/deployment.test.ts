import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:http2'
import { get } from 'node:https'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { Client, listen, open, until } from '../helpers/app.js'
import { cert, key } from '../helpers/certificate.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/deployment.md')

test('one port serves the stream over HTTP/2 and over HTTP/1.1', async (t) => {
  const [code] = page.codeOf('HTTP/2', 'ts')
  const files = { 'key.pem': key, 'cert.pem': cert }
  const app = await runApp(t, code.replaceAll(/'(\w+\.pem)'/g, (_, file) => JSON.stringify(join(t.testdirName, file))), files)
  const trust = { ca: cert, servername: 'localhost' }
  const port = await listen(app)
  const session = connect(`https://127.0.0.1:${port}`, trust)
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/time' })
  let text = ''
  stream.setEncoding('utf8').on('data', (chunk) => { text += chunk })
  await until('the time', () => text.endsWith('\n\n'))
  t.match(text, /^data: \d{4}-\d\d-\d\dT.*Z\n\n$/)
  stream.close()

  const request = get({ host: '127.0.0.1', port, path: '/time', agent: false, ...trust })
  const [response] = await once(request, 'response') as [IncomingMessage]
  const client = new Client(request, response)
  await client.until('\n\n')
  t.equal(response.httpVersion, '1.1')
  client.disconnect()
})

test('SIGTERM ends each stream with a retry between a fifth of drain.spread and all of it', async (t) => {
  const [code] = page.codeOf('Close the app on SIGTERM', 'ts')
  const before = process.listeners('SIGTERM')
  const app = await runApp(t, tenLines({ after: code }))
  const [onSignal, ...others] = process.listeners('SIGTERM').filter((listener) => !before.includes(listener))
  t.strictSame(others, [])
  t.teardown(() => { if (onSignal) process.off('SIGTERM', onSignal) })
  const client = await open(t, await listen(app), '/stocks/ACME')
  await client.until('\n\n')
  onSignal?.('SIGTERM')
  t.ok(await client.finished(), 'a normal end')
  const retry = Number(/\nretry: (\d+)\n$/.exec(client.text)?.[1])
  t.ok(retry >= 600 && retry <= 3_000, String(retry))
})

test('a timer that is stopped in preClose publishes until the close and logs no error; without the hook it does', async (t) => {
  const [code] = page.codeOf('Stop timers that publish', 'ts')
  const withoutHook = code.replace(/^app\.addHook.*$/m, 'app.addHook(\'onClose\', () => { setTimeout(() => clearInterval(timer), 200) })')
  for (const [source, errors] of [[code, 0], [withoutHook, 1]] as const) {
    const logger = 'const lines = []\nconst logger = { level: \'error\', stream: { write: (line) => { lines.push(line) } } }'
    const ten = tenLines({ after: `app.decorate('lines', lines)\napp.sseRoute('/clock', { topics: ['clock'] })\n${source.replace('1_000', '20')}` })
    const app = await runApp(t, ten.replace('const app = Fastify()', () => `${logger}\nconst app = Fastify({ logger })`))
    const stream = await injectSSE(app, { url: '/clock' })
    t.match(await stream.next(), { data: /^\d{4}-/ })
    await app.close()
    await delay(100)
    const lines = app.getDecorator<string[]>('lines')
    t.equal(Math.min(lines.filter((line) => line.includes('SSE_ERR_CLOSING')).length, 1), errors)
  }
})
