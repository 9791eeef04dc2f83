import type { Test } from 'tap'
import { open } from '../helpers/app.js'
import { startApache, testApache } from '../helpers/apache.js'
import { startCaddy, testCaddy } from '../helpers/caddy.js'
import { cert, key } from '../helpers/certificate.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { startHAProxy, testHAProxy } from '../helpers/haproxy.js'
import { closeHTTP2, openHTTP2 } from '../helpers/http2-client.js'
import { idsOf } from '../helpers/subscriber.js'
import { startVarnish, testVarnish } from '../helpers/varnish.js'
import { pageOf } from './document.js'
import { startNginx, testNginx } from './nginx.js'
import { ACCEPT, medianDelay, openStream, publishUntilClosed, sentToPaused, type Start, startApp, timeToNotice } from './proxied-app.js'

const page = pageOf('docs/proxies.md')

const [nginx] = page.codeOf('nginx', 'nginx')
const [haproxy] = page.codeOf('HAProxy', 'haproxy')
const [caddy] = page.codeOf('Caddy', 'caddyfile')
const [varnish] = page.codeOf('Varnish', 'vcl')
const [apache] = page.codeOf('Apache', 'apache')

const H2_MODULE = 'LoadModule http2_module /usr/lib/apache2/modules/mod_http2.so\nProtocols h2c http/1.1'

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

const [names = [], ...rows] = page.sectionOf('What was tried').split('\n').filter((line) => /^\|(?!-)/.test(line)).map((line) => line.split('|').map((cell) => cell.trim()).slice(1, -1))

/** Returns the cell of the table for a proxy. */
function cellOf (proxy: Proxy, row: string): string {
  const column = names.findIndex((name) => name.startsWith(`${proxy.name} `))
  return rows.find(([title]) => title === row)?.[column] ?? ''
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
