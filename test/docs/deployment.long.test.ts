import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:http2'
import { get } from 'node:https'
import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { cert, key } from '../helpers/certificate.js'
import { Client, listen, makeApp, open, until } from '../helpers/app.js'
import { testRedis } from '../helpers/redis-server.js'
import { idsOf } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { startNginx, testNginx } from './nginx.js'
import { runApp } from './run.js'

const page = pageOf('README.md')

testNginx('through nginx events come as they are sent, a client that leaves is seen, and misses nothing', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'] })
  const port = await startNginx(t, await listen(app))
  const client = await open(t, port, '/')
  t.notOk('x-accel-buffering' in client.response.headers, 'nginx has taken it')
  for (const text of ['one', 'two', 'three']) {
    await app.sse.publish('a', text)
    await client.until(`data: ${text}\n\n`)
  }
  const lastEventId = idsOf(client.text).at(-1)
  client.disconnect()
  await until('the stream to be closed', () => app.sse.stats().closed.client === 1)
  await app.sse.publish('a', 'four')
  const again = await open(t, port, '/', { headers: { 'last-event-id': lastEventId } })
  await again.until('data: four\n\n')
  await app.sse.publish('a', 'five')
  await again.until('data: five\n\n')
  t.strictSame(again.text.match(/data: .*/g), ['data: four', 'data: five'])
  await app.close()
  t.ok(await again.finished(), 'the end reaches the client')
  t.match(again.text, /\nretry: \d+\n$/)
})

testNginx('through nginx a source that fails is no end', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/fails', { source: function * () { yield 'one'; throw new Error('x') }, onError: () => {} })
  app.sseRoute('/ends', { source: () => ['one'] })
  const port = await startNginx(t, await listen(app))
  for (const [path, clean] of [['/fails', false], ['/ends', true]] as const) {
    const client = await open(t, port, path)
    t.equal(await client.finished(), clean, path)
    t.equal(client.text, 'data: one\n\n')
  }
})

testNginx('behind nginx request.ip is the client\'s with trustProxy: \'127.0.0.1\', and what the client makes up with true', async (t) => {
  for (const [trustProxy, ip] of [['127.0.0.1', '127.0.0.2'], [true, '192.0.2.7'], [false, '127.0.0.1']] as const) {
    const app = await makeApp(t, {}, { trustProxy })
    app.sseRoute('/', { source: ({ ip }) => [ip] })
    const port = await startNginx(t, await listen(app))
    const client = await open(t, port, '/', { localAddress: '127.0.0.2', headers: { 'x-forwarded-for': '192.0.2.7' } })
    await client.until(`data: ${ip}\n\n`)
  }
})

test('README, HTTP/2: the time is sent over HTTP/2, and over HTTP/1.1 on the same port', async (t) => {
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

testRedis('README, Several processes: an event of one process is sent by another, also to a client that reconnects', async (t, server) => {
  const [code] = page.codeOf('Several processes', 'ts')
  const apps: FastifyInstance[] = []
  for (let i = 0; i < 2; i++) {
    const app = await runApp(t, code.replace('redis://127.0.0.1:6379', server.url))
    app.sseRoute('/', { topics: ['a'] })
    apps.push(app)
  }
  const [one, other] = apps as [FastifyInstance, FastifyInstance]
  const stream = await injectSSE(one, { url: '/' })
  const first = await other.sse.publish('a', 'first')
  t.strictSame(await stream.next(), { id: first, event: 'message', data: 'first' })
  stream.close()
  const second = await one.sse.publish('a', 'second')
  const back = await injectSSE(other, { url: '/', headers: { 'last-event-id': first } })
  t.strictSame(await back.next(), { id: second, event: 'message', data: 'second' })
  back.close()
})
