import { get } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'
import type { Test } from 'tap'
import { connectSocket, makeApp, until } from '../helpers/app.js'
import { startApache, testApache } from '../helpers/apache.js'
import { startCaddy, testCaddy } from '../helpers/caddy.js'
import { freePort } from '../helpers/free-port.js'
import { startHAProxy, testHAProxy } from '../helpers/haproxy.js'
import { openHTTP2 } from '../helpers/http2-client.js'
import { startVarnish, testVarnish } from '../helpers/varnish.js'
import { pageOf } from './document.js'
import { ACCEPT, medianDelay, openStream, publishUntilClosed, sentToPaused, type Start, startApp, timeToNotice } from './proxied-app.js'

const page = pageOf('docs/proxies.md')

const [haproxy] = page.codeOf('HAProxy', 'haproxy')
const [caddy] = page.codeOf('Caddy', 'caddyfile')
const [caddyWithGzip] = page.codeOf('Compression by Caddy', 'caddyfile')
const [varnish] = page.codeOf('Varnish', 'vcl')
const [apache] = page.codeOf('Apache', 'apache')

/** Requests gzip. Returns whether the response is compressed, or null without a response, and the ticks that arrive within 1.6 s. */
async function receiveWithGzip (port: number, path: string): Promise<{ compressed: boolean | null, ticks: 'none' | 'few' | 'most' }> {
  let text = ''
  let compressed: boolean | null = null
  const request = get({ host: '127.0.0.1', port, path, agent: false, headers: { ...ACCEPT, 'accept-encoding': 'gzip' } }, (response) => {
    compressed = response.headers['content-encoding'] === 'gzip'
    const events = compressed ? response.pipe(createGunzip()) : response
    events.on('data', (data) => { text += data }).on('error', () => {})
  })
  request.on('error', () => {})
  await delay(1_600)
  request.destroy()
  const count = text.match(/tick/g)?.length ?? 0
  return { compressed, ticks: count === 0 ? 'none' : count < 4 ? 'few' : 'most' }
}

const PLAIN = { compressed: false, ticks: 'most' }
const COMPRESSED = { compressed: true, ticks: 'most' }
const HELD_BACK = { compressed: true, ticks: 'none' }

testHAProxy('HAProxy without http-no-delay delays events, and without abortonclose does not notice that a client leaves', async (t) => {
  const { app, appPort } = await startApp(t)
  const port = await startHAProxy(t, appPort, haproxy.replace(/^.*http-no-delay\n/m, '').replace(/^.*abortonclose\n/m, ''))
  const client = await openStream(t, port, '/')
  const median = await medianDelay(app, client)
  t.ok(median > 100, `a median delay of ${median.toFixed(1)} ms`)
  client.disconnect()
  await publishUntilClosed(app)
  t.equal(await timeToNotice(t, app, port, '/'), null)
})

testHAProxy('HAProxy does not compress streams of the plugin, and streams that it compresses are not delayed', async (t) => {
  const { appPort } = await startApp(t)
  const port = await startHAProxy(t, appPort, `${haproxy}  compression algo gzip\n  compression type text/event-stream\n`)
  t.strictSame(await receiveWithGzip(port, '/tick'), PLAIN)
  t.strictSame(await receiveWithGzip(port, '/transformable'), COMPRESSED)
})

testCaddy('Caddy with encode holds back large first events and late streams, and not with the matcher of the page', async (t) => {
  const { appPort } = await startApp(t)
  const port = await startCaddy(t, appPort, caddyWithGzip.replace(/@other.*\n/, '').replace('@other ', ''))
  t.strictSame(await receiveWithGzip(port, '/tick'), PLAIN)
  t.strictSame(await receiveWithGzip(port, '/big'), HELD_BACK)
  t.strictSame(await receiveWithGzip(port, '/silent'), { compressed: null, ticks: 'none' }, 'no headers')
  const selective = await startCaddy(t, appPort, caddyWithGzip)
  t.strictSame(await receiveWithGzip(selective, '/big'), PLAIN)
  t.strictSame(await receiveWithGzip(selective, '/silent'), { compressed: false, ticks: 'none' })
  const byPath = await startCaddy(t, appPort, caddyWithGzip.replace(/@other not .*/, '@other not path /big*'))
  t.strictSame(await receiveWithGzip(byPath, '/big'), PLAIN)
})

testVarnish('Varnish without pipe notices late that a client leaves, reads all of a stream that a client does not read, and lets clients wait for each other', async (t) => {
  const { app, appPort } = await startApp(t)
  const pass = varnish.replace('(pipe)', '(pass)')
  const port = await startVarnish(t, appPort, pass)
  t.equal(await timeToNotice(t, app, port, '/'), null)
  await publishUntilClosed(app)
  const withHeartbeat = await timeToNotice(t, app, port, '/heartbeat')
  t.ok(withHeartbeat !== null && withHeartbeat > 500, `${withHeartbeat} ms`)
  t.equal(await sentToPaused(t, (t, port) => startVarnish(t, port, pass)), 100e6)

  const overHTTP2 = await openHTTP2(t, `http://127.0.0.1:${await startVarnish(t, appPort, varnish, { feature: '+http2' })}`, '/', ACCEPT)
  await until('the stream', () => app.sse.streams.size === 1)
  overHTTP2.close()
  await delay(1_000)
  t.equal(app.sse.streams.size, 1, 'pipe has no effect over HTTP/2')
  await publishUntilClosed(app)

  for (const [code, least, most] of [[varnish.replace('return (pipe);', ''), 1_900, 5_000], [varnish, 900, 1_850]] as const) {
    const port = await startVarnish(t, appPort, code)
    const start = performance.now()
    await Promise.all([1, 2].map(async () => (await openStream(t, port, '/late')).finished()))
    const took = performance.now() - start
    t.ok(took > least && took < most, `both clients have their event after ${Math.round(took)} ms`)
  }
})

testVarnish('Varnish with do_gzip holds back events, and not with pipe', async (t) => {
  const { appPort } = await startApp(t)
  const code = `${varnish}\nsub vcl_backend_response {\n  set beresp.do_gzip = true;\n}\n`
  t.strictSame(await receiveWithGzip(await startVarnish(t, appPort, code.replace('(pipe)', '(pass)')), '/tick'), HELD_BACK)
  t.strictSame(await receiveWithGzip(await startVarnish(t, appPort, code), '/tick'), PLAIN)
})

testVarnish('Varnish without pipe cuts a silent stream after between_bytes_timeout', async (t) => {
  const { appPort } = await startApp(t)
  const port = await startVarnish(t, appPort, varnish.replace('(pipe)', '(pass)'), { between_bytes_timeout: '1' })
  const [silent, kept] = [await openStream(t, port, '/'), await openStream(t, port, '/heartbeat')]
  t.notOk(await silent.finished())
  await kept.until(':\n', 7)
  t.notOk(kept.ended || kept.error)
})

testApache('Apache with DEFLATE passes each event on at once', async (t) => {
  const { appPort } = await startApp(t)
  const port = await startApache(t, appPort, apache.replace('ProxyPass', 'AddOutputFilterByType DEFLATE text/event-stream\nProxyPass'))
  t.strictSame(await receiveWithGzip(port, '/tick'), COMPRESSED)
})

testApache('each stream occupies one of the workers of Apache', async (t) => {
  const { app, appPort } = await startApp(t)
  const port = await startApache(t, appPort, apache, 'ServerLimit 1\nStartServers 1\nThreadsPerChild 5\nMinSpareThreads 1\nMaxSpareThreads 5\nMaxRequestWorkers 5')
  const sockets = await Promise.all(Array.from({ length: 8 }, () => connectSocket(t, port)))
  for (const socket of sockets) socket.write('GET / HTTP/1.1\r\nhost: x\r\n\r\n')
  await until('five streams', () => app.sse.streams.size === 5)
  await delay(1_000)
  t.equal(app.sse.streams.size, 5)
  t.equal(sockets.filter(({ text }) => text.includes('200 OK')).length, 5)
})

const patientCaddy = caddy.replace(/(reverse_proxy .*)/, '$1 {\nlb_try_duration 5s\n}')

/** Opens a stream through a proxy while the app is down, and starts the app 1 s later. Returns the status. */
async function openBeforeApp (t: Test, start: Start): Promise<number | undefined> {
  const appPort = await freePort()
  const opening = openStream(t, await start(t, appPort), '/')
  await delay(1_000)
  await listenOn(t, appPort)
  return (await opening).response.statusCode
}

/** Starts an app on a port. */
async function listenOn (t: Test, port: number): Promise<void> {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'] })
  await app.listen({ host: '127.0.0.1', port })
}

/** Opens four streams through a proxy with two servers, of which the first is down. Returns the statuses. */
async function openWithOneOfTwo (t: Test, start: (t: Test, down: number, up: number) => Promise<number>): Promise<unknown[]> {
  const [down, up] = [await freePort(), await freePort()]
  await listenOn(t, up)
  const port = await start(t, down, up)
  const statuses: unknown[] = []
  for (let i = 0; i < 4; i++) statuses.push((await openStream(t, port, '/')).response.statusCode)
  return statuses
}

testHAProxy('HAProxy waits for an app that restarts, and with redispatch uses another server at once', async (t) => {
  t.equal(await openBeforeApp(t, (t, port) => startHAProxy(t, port, haproxy)), 200)
  const two = (up: number) => `${haproxy}  server app2 127.0.0.1:${up}\n`
  t.strictSame((await openWithOneOfTwo(t, (t, down, up) => startHAProxy(t, down, two(up)))).sort(), [200, 200, 503, 503])
  const start = performance.now()
  t.strictSame(await openWithOneOfTwo(t, (t, down, up) => startHAProxy(t, down, two(up).replace('mode http', 'mode http\n  option redispatch 1'))), [200, 200, 200, 200])
  t.ok(performance.now() - start < 3_000)
})

testCaddy('Caddy with lb_try_duration waits for an app that restarts, or uses another server', async (t) => {
  t.equal(await openBeforeApp(t, (t, port) => startCaddy(t, port, patientCaddy)), 200)
  t.strictSame(await openWithOneOfTwo(t, (t, down, up) => startCaddy(t, down, patientCaddy.replace(':3000', `:3000 127.0.0.1:${up}`))), [200, 200, 200, 200])
})
