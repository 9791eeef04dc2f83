import { get, type OutgoingHttpHeaders } from 'node:http'
import { setTimeout as delay } from 'node:timers/promises'
import { createGunzip } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { type Client, connectSocket, listen, makeApp, open, until } from '../helpers/app.js'
import { startApache, testApache } from '../helpers/apache.js'
import { startCaddy, testCaddy } from '../helpers/caddy.js'
import { cert, key } from '../helpers/certificate.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { freePort } from '../helpers/free-port.js'
import { startHAProxy, testHAProxy } from '../helpers/haproxy.js'
import { closeHTTP2, openHTTP2 } from '../helpers/http2-client.js'
import { idsOf } from '../helpers/subscriber.js'
import { startVarnish, testVarnish } from '../helpers/varnish.js'
import { pageOf } from './document.js'
import { startNginx, testNginx } from './nginx.js'

const page = pageOf('docs/proxies.md')

const [nginx] = page.codeOf('nginx', 'nginx')
const [haproxy] = page.codeOf('HAProxy', 'haproxy')
const [caddy] = page.codeOf('Caddy', 'caddyfile')
const [caddyWithGzip] = page.codeOf('Compression by Caddy', 'caddyfile')
const [varnish] = page.codeOf('Varnish', 'vcl')
const [apache] = page.codeOf('Apache', 'apache')

const ACCEPT = { accept: 'text/event-stream' }
const H2_MODULE = 'LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so\nProtocols h2c http/1.1'

/** Starts a proxy in front of an app's port. Returns its port. */
type Start = (t: Test, appPort: number) => Promise<number>

interface Proxy {
  /** Its name in the table of the page. */
  name: string
  /** Declares a test that is skipped if the proxy is not installed. */
  test: (name: string, run: (t: Test) => Promise<void>) => void
  start: Start
  /** Starts it with an idle timeout of 1 s. */
  startImpatient: Start
  /** Starts it with HTTP/2 for clients. Returns its URL. */
  startHTTP2: (t: Test, appPort: number) => Promise<string>
}

const proxies: Proxy[] = [
  {
    name: 'nginx',
    test: testNginx,
    start: (t, port) => startNginx(t, port, nginx),
    startImpatient: (t, port) => startNginx(t, port, nginx.replace('proxy_pass', 'proxy_read_timeout 1s; proxy_pass')),
    startHTTP2: async (t, port) => `http://127.0.0.1:${await startNginx(t, port, nginx.replace('listen 8080', 'listen 8080 http2'))}`
  },
  {
    name: 'HAProxy',
    test: testHAProxy,
    start: (t, port) => startHAProxy(t, port, haproxy),
    startImpatient: (t, port) => startHAProxy(t, port, haproxy.replace('server 60s', 'server 1s')),
    startHTTP2: async (t, port) => {
      const file = `${t.testdir({ 'both.pem': `${cert}\n${key}` })}/both.pem`
      return `https://localhost:${await startHAProxy(t, port, haproxy.replace(':8080', `:8080 ssl crt ${file} alpn h2`))}`
    }
  },
  {
    name: 'Caddy',
    test: testCaddy,
    start: (t, port) => startCaddy(t, port, caddy),
    startImpatient: (t, port) => startCaddy(t, port, caddy.replace(/(reverse_proxy .*)/, '$1 {\ntransport http {\nread_timeout 1s\n}\n}')),
    startHTTP2: async (t, port) => {
      const folder = t.testdir({ 'cert.pem': cert, 'key.pem': key })
      return `https://localhost:${await startCaddy(t, port, caddy.replace('{', `{\ntls ${folder}/cert.pem ${folder}/key.pem`), 'https')}`
    }
  },
  {
    name: 'Varnish',
    test: testVarnish,
    start: (t, port) => startVarnish(t, port, varnish),
    startImpatient: (t, port) => startVarnish(t, port, varnish, { pipe_timeout: '1' }),
    startHTTP2: async (t, port) => `http://127.0.0.1:${await startVarnish(t, port, varnish, { feature: '+http2' })}`
  },
  {
    name: 'Apache',
    test: testApache,
    start: (t, port) => startApache(t, port, apache),
    startImpatient: (t, port) => startApache(t, port, apache, 'ProxyTimeout 1'),
    startHTTP2: async (t, port) => `http://127.0.0.1:${await startApache(t, port, apache, H2_MODULE)}`
  }
]

const [, names = [], ...rows] = page.sectionOf('What was tried').split('\n').filter((line) => /^\|(?!-)/.test(line)).map((line) => line.split('|').map((cell) => cell.trim()).slice(1, -1)).reduce<string[][]>((rows, row) => rows.length === 0 ? [[], row] : [...rows, row], [])

/** Returns the cell of the table for a proxy. */
function cellOf (proxy: Proxy, row: string): string {
  const column = names.findIndex((name) => name.startsWith(`${proxy.name} `))
  return rows.find(([title]) => title === row)?.[column] ?? ''
}

async function startApp (t: Test): Promise<{ app: FastifyInstance, appPort: number }> {
  const app = await makeApp(t, { heartbeat: 15_000, onError: () => {} }, { trustProxy: '127.0.0.1', forceCloseConnections: true })
  app.sseRoute('/', { topics: ['a'] })
  app.sseRoute('/heartbeat', { topics: ['a'], heartbeat: 300 })
  app.sseRoute('/tick', { interval: 300, payload: () => 'tick' })
  app.sseRoute('/big', { interval: 300, payload: () => `tick${'x'.repeat(1_000)}` })
  app.sseRoute('/transformable', { interval: 300, payload: () => 'tick', headers: { 'cache-control': 'no-cache' } })
  app.sseRoute('/silent', { interval: 2_000, immediate: false, payload: () => 'tick' })
  app.sseRoute('/late', { openOn: 'first-event', source: async function * () { await delay(1_000); yield 'late' } })
  app.sseRoute('/fails', { source: async function * () { yield 'one'; await delay(100); throw new Error('on purpose') } })
  app.sseRoute('/ends', { source: () => ['one'] })
  app.sseRoute('/ip', { source: ({ ip }) => [ip] })
  return { app, appPort: await listen(app) }
}

/** Opens a stream as EventSource does. */
function openStream (t: Test, port: number, path: string, headers: OutgoingHttpHeaders = {}): Promise<Client> {
  return open(t, port, path, { headers: { ...ACCEPT, ...headers } })
}

/** Publishes events, one every 50 ms, and returns the median of their delays in ms. */
async function medianDelay (app: FastifyInstance, client: Client): Promise<number> {
  const delays: number[] = []
  for (let i = 0; i < 21; i++) {
    const start = performance.now()
    await app.sse.publish('a', `event ${i}`)
    await client.until(`data: event ${i}\n\n`)
    delays.push(performance.now() - start)
    await delay(50)
  }
  return delays.sort((a, b) => a - b)[10] ?? NaN
}

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

/** Opens a stream without events, disconnects, and returns the time until the app notices, or null after 1.5 s. */
async function timeToNotice (t: Test, app: FastifyInstance, port: number, path: string): Promise<number | null> {
  const client = await openStream(t, port, path)
  await client.until('\n')
  await until('the stream to be the only one', () => app.sse.streams.size === 1)
  const start = performance.now()
  client.disconnect()
  while (app.sse.streams.size > 0) {
    if (performance.now() - start > 1_500) return null
    await delay(5)
  }
  return performance.now() - start
}

/** Opens a stream of 100 MB that the client does not read, and returns the bytes that the app has sent when it waits. */
async function sentToPaused (t: Test, start: Start): Promise<number> {
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  let sent = 0
  app.sseRoute('/', { source: function * () { for (; sent < 100e6; sent += 5_000) yield 'x'.repeat(5_000) } })
  const socket = await connectSocket(t, await start(t, await listen(app)))
  socket.pause()
  socket.write('GET / HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n')
  for (let last = -1; last <= 0 || sent > last;) {
    last = sent
    await delay(500)
  }
  socket.destroy()
  return sent
}

for (const proxy of proxies) {
  proxy.test(`through ${proxy.name} each event arrives at once, a reconnect misses nothing, and the end of a stream is normal`, async (t) => {
    const { app, appPort } = await startApp(t)
    const port = await proxy.start(t, appPort)
    const client = await openStream(t, port, '/')
    const median = await medianDelay(app, client)
    t.ok(median < 60, `a median delay of ${median.toFixed(1)} ms`)
    client.disconnect()
    await app.sse.publish('a', 'missed')
    const again = await openStream(t, port, '/', { 'last-event-id': idsOf(client.text).at(-1) })
    await again.until('data: missed\n\n')
    t.equal((again.text.match(/data: /g) ?? []).length, 1)
    const ends = await openStream(t, port, '/ends')
    t.equal(await ends.finished() ? 'normal end' : 'broken', cellOf(proxy, 'the end of a stream'))
    t.equal(ends.text, 'data: one\n\n')
    await app.close()
    t.ok(await again.finished())
    t.match(again.text, /\nretry: \d+\n$/)
  })

  proxy.test(`${proxy.name} answers while the app is down as the page says`, async (t) => {
    const { app, appPort } = await startApp(t)
    const port = await proxy.start(t, appPort)
    await app.close()
    const answer = await openStream(t, port, '/').then(({ response }) => String(response.statusCode), (error: Error) => {
      t.match(error, { message: 'socket hang up' })
      return 'closes the connection'
    })
    t.equal(answer, cellOf(proxy, 'the app is down'))
  })

  proxy.test(`through ${proxy.name} a client sees a failure of the app as the page says`, async (t) => {
    const { appPort } = await startApp(t)
    const fails = await openStream(t, await proxy.start(t, appPort), '/fails')
    const documented = cellOf(proxy, 'the source fails, HTTP/1.1 to the client')
    t.equal(await fails.finished() ? 'normal end' : 'broken', documented)
    t.equal(fails.text, 'data: one\n\n')

    const killed = await startDemoServer(t, {}, 'test/docs/proxied-server.ts')
    const stream = await openStream(t, await proxy.start(t, Number(new URL(killed.url).port)), '/')
    await stream.until('data: one\n\n')
    killed.signal('SIGKILL')
    t.equal(await stream.finished() ? 'normal end' : 'broken', documented, 'the process is killed')
  })

  proxy.test(`through ${proxy.name} a client with HTTP/2 sees a failure of the app as the page says`, async (t) => {
    const { appPort } = await startApp(t)
    const url = await proxy.startHTTP2(t, appPort)
    const fails = await openHTTP2(t, url, '/fails', ACCEPT)
    t.equal(await closeHTTP2(fails) ? 'normal end' : 'broken', cellOf(proxy, 'the source fails, HTTP/2 to the client'))
    t.equal(fails.text, 'data: one\n\n')
    t.ok(await closeHTTP2(await openHTTP2(t, url, '/ends', ACCEPT)), 'a normal end')
  })

  proxy.test(`the app behind ${proxy.name} notices that a client leaves as the page says`, async (t) => {
    const { app, appPort } = await startApp(t)
    const port = await proxy.start(t, appPort)
    const atOnce = cellOf(proxy, 'a client leaves') === 'noticed at once'
    const withoutHeartbeat = await timeToNotice(t, app, port, '/')
    t.equal(withoutHeartbeat !== null, atOnce, `a stream that sends nothing: ${withoutHeartbeat} ms`)
    if (!atOnce) await publishUntilClosed(app)
    const withHeartbeat = await timeToNotice(t, app, port, '/heartbeat')
    t.ok(withHeartbeat !== null && withHeartbeat < 1_400, `a stream with a heartbeat of 300 ms: ${withHeartbeat} ms`)
    t.equal(app.sse.stats().closed.client, 2)
  })

  proxy.test(`${proxy.name} cuts a silent stream after its idle timeout, unless a heartbeat comes first`, async (t) => {
    const { appPort } = await startApp(t)
    const port = await proxy.startImpatient(t, appPort)
    const [silent, kept] = [await openStream(t, port, '/'), await openStream(t, port, '/heartbeat')]
    t.equal(await silent.finished(), proxy.name === 'Caddy')
    await kept.until(':\n', 7)
    t.notOk(kept.ended || kept.error)
  })

  proxy.test(`behind ${proxy.name} request.ip is the address of the client, whatever header it sends`, async (t) => {
    const { appPort } = await startApp(t)
    const port = await proxy.start(t, appPort)
    const client = await open(t, port, '/ip', { localAddress: '127.0.0.2', headers: { ...ACCEPT, 'x-forwarded-for': '192.0.2.7' } })
    await client.until('data: 127.0.0.2\n\n')
  })

  proxy.test(`an app behind ${proxy.name} waits for a client that does not read`, async (t) => {
    t.equal(cellOf(proxy, 'a client that does not read'), 'the app waits')
    const sent = await sentToPaused(t, proxy.start)
    t.ok(sent > 0 && sent < 60e6, `${sent / 1e6} MB of 100 MB`)
  })
}

/** Publishes events until all streams are closed. */
async function publishUntilClosed (app: FastifyInstance): Promise<void> {
  await until('all streams to be closed', async () => {
    await app.sse.publish('a', 'x')
    await delay(50)
    return app.sse.streams.size === 0
  })
}

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
