import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'
import type { Test } from 'tap'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { idsOf } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { startNginx, testNginx } from './nginx.js'
import { runApp } from './run.js'

const page = pageOf('docs/proxies.md')

const [configuration] = page.codeOf('nginx', 'nginx')

/** Adds directives to the location of the page's configuration. */
const withDirectives = (directives: string) => configuration.replace('proxy_pass', () => `${directives} proxy_pass`)

testNginx('through nginx each event arrives as it is sent, a disconnect is seen, and a reconnect misses nothing', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'] })
  const port = await startNginx(t, await listen(app), configuration)
  const client = await open(t, port, '/')
  t.notOk('x-accel-buffering' in client.response.headers, 'nginx has removed it')
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

/** Returns the events that arrive within 1.6 s. */
async function receive (t: Test, port: number, headers: Record<string, string> = {}): Promise<string> {
  let text = ''
  const request = get({ host: '127.0.0.1', port, path: '/', agent: false, headers }, (response) => {
    const compressed = response.headers['content-encoding'] === 'gzip'
    t.equal(compressed, 'accept-encoding' in headers)
    const events = compressed ? response.pipe(createGunzip()) : response
    events.on('data', (data) => { text += data }).on('error', () => {})
  })
  request.on('error', () => {})
  await delay(1_600)
  request.destroy()
  return text
}

testNginx('nginx that ignores x-accel-buffering holds events back over HTTP/1.0 to the app, unless proxy_buffering is off', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { interval: 300, payload: () => 'tick' })
  const appPort = await listen(app)
  const ignoring = withDirectives('proxy_ignore_headers X-Accel-Buffering;')
  const old = ignoring.replace('proxy_http_version 1.1', 'proxy_http_version 1.0')
  const ports = await Promise.all([old, old.replace('proxy_pass', 'proxy_buffering off; proxy_pass'), ignoring].map((code) => startNginx(t, appPort, code)))
  t.match(await Promise.all(ports.map((port) => receive(t, port))), [/^$/, /^(data: tick\n\n){4}/, /^(data: tick\n\n){4}/])
})

testNginx('nginx with gzip for text/event-stream passes each event on as it is sent', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { interval: 300, payload: () => 'tick' })
  const port = await startNginx(t, await listen(app), withDirectives('gzip on; gzip_types text/event-stream; gzip_min_length 0;'))
  t.match(await receive(t, port, { 'accept-encoding': 'gzip' }), /^(data: tick\n\n){4}/)
})

testNginx('through nginx a source that fails is distinct from a source that ends, and over HTTP/1.0 to the app it is not', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/fails', { source: function * () { yield 'one'; throw new Error('x') }, onError: () => {} })
  app.sseRoute('/ends', { source: () => ['one'] })
  const appPort = await listen(app)
  const port = await startNginx(t, appPort, configuration)
  const old = await startNginx(t, appPort, configuration.replace('proxy_http_version 1.1', 'proxy_http_version 1.0'))
  for (const [server, path, normal] of [[port, '/fails', false], [port, '/ends', true], [old, '/fails', true]] as const) {
    const client = await open(t, server, path)
    t.equal(await client.finished(), normal, path)
    t.equal(client.text, 'data: one\n\n')
  }
})

testNginx('nginx answers 502 while the app is down', async (t) => {
  const app = await makeApp(t)
  const port = await startNginx(t, await listen(app), configuration)
  await app.close()
  t.equal((await open(t, port, '/')).response.statusCode, 502)
})

testNginx('nginx cuts a silent stream after proxy_read_timeout, unless a heartbeat comes first', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/silent', { heartbeat: 15_000, topics: [] })
  app.sseRoute('/heartbeat', { heartbeat: 300, topics: [] })
  const port = await startNginx(t, await listen(app), withDirectives('proxy_read_timeout 1s;'))
  const [silent, kept] = [await open(t, port, '/silent'), await open(t, port, '/heartbeat')]
  t.notOk(await silent.finished())
  await kept.until(':\n', 5)
  t.notOk(kept.ended || kept.error)
})

/** Opens `/` from an address of this machine, as a client that claims to have another address. */
const openFrom = (t: Test, port: number, localAddress: string) => open(t, port, '/', { localAddress, headers: { 'x-forwarded-for': '192.0.2.7' } })

testNginx('behind nginx request.ip is the address of the client with trustProxy: \'127.0.0.1\', and an address that the client chooses with true', async (t) => {
  const [code] = page.codeOf('The address of the client', 'ts')
  for (const [trustProxy, ip] of [['\'127.0.0.1\'', '127.0.0.2'], ['true', '192.0.2.7'], ['false', '127.0.0.1']] as const) {
    const app = await runApp(t, code.replace('\'127.0.0.1\'', trustProxy))
    app.sseRoute('/', { source: ({ ip }) => [ip] })
    const client = await openFrom(t, await startNginx(t, await listen(app), configuration), '127.0.0.2')
    await client.until(`data: ${ip}\n\n`)
  }
})

testNginx('behind nginx maxStreamsPerClient counts each client separately with trustProxy, and all together without', async (t) => {
  const [code] = page.codeOf('The address of the client', 'ts')
  for (const [source, status] of [[code, 200], [code.replace('\'127.0.0.1\'', 'false'), 429]] as const) {
    const app = await runApp(t, source)
    app.sseRoute('/', { topics: [] })
    const port = await startNginx(t, await listen(app), configuration)
    for (let i = 0; i < 6; i++) t.equal((await openFrom(t, port, '127.0.0.2')).response.statusCode, 200)
    t.equal((await openFrom(t, port, '127.0.0.2')).response.statusCode, 429)
    t.equal((await openFrom(t, port, '127.0.0.3')).response.statusCode, status)
  }
})
