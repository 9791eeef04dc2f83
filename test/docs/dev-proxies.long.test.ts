import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { runInNewContext } from 'node:vm'
import { EventSource } from 'eventsource'
import type { FastifyInstance } from 'fastify'
import { createProxyMiddleware, type Options } from 'http-proxy-middleware'
import { type Test, test } from 'tap'
import { createServer as createVite, type ProxyOptions, type UserConfig } from 'vite'
import { pageOf } from './document.js'
import { makeApp, open, until } from '../helpers/app.js'
import { freePort } from '../helpers/free-port.js'

/** Starts a proxy to an app. Returns its port. */
type StartProxy = (t: Test, target: string) => Promise<number>

/** Starts the dev server of Vite with an entry of `server.proxy`. */
const vite = (options: ProxyOptions): StartProxy => async (t, target) => {
  const port = await freePort()
  const server = await createVite({
    configFile: false,
    root: t.testdir({}),
    logLevel: 'silent',
    optimizeDeps: { noDiscovery: true },
    server: { host: '127.0.0.1', port, strictPort: true, hmr: false, watch: null, proxy: { '/events': { ...options, target } } }
  })
  t.teardown(() => server.close())
  await server.listen()
  return port
}

/** Starts a server of Node with http-proxy-middleware. */
const middleware = (options: Options): StartProxy => async (t, target) => {
  const proxy = createProxyMiddleware({ ...options, target })
  const server = createServer((request, response) => { proxy(request, response) }).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

const page = pageOf('docs/proxies.md')
const [viteConfig, middlewareConfig] = page.codeOf('Dev servers', 'js')

/** The options of each proxy in the documentation. */
const documented: { vite: ProxyOptions, middleware: Options } = {
  vite: runInNewContext(viteConfig.replace(/^import .*$/m, '').replace('export default', ''), { defineConfig: (config: UserConfig) => config.server?.proxy?.['/events'] }),
  middleware: runInNewContext(`${middlewareConfig}proxy`, { createProxyMiddleware: (options: Options) => options })
}

/** Starts an app that listens on a port. */
async function startApp (t: Test, port: number): Promise<FastifyInstance> {
  const app = await makeApp(t, { heartbeat: 50, retry: 100, drain: { spread: 100 } })
  app.sseRoute('/events/topics', { topics: ['a'] })
  app.sseRoute('/events/fails', {
    async * source () {
      yield 'x'
      throw new Error('on purpose')
    },
    onError: () => {}
  })
  await app.listen({ host: '127.0.0.1', port })
  return app
}

const proxies = [
  { name: 'the dev server of Vite', plain: vite({}), documented: vite(documented.vite), whileDown: 500 },
  { name: 'http-proxy-middleware', plain: middleware({}), documented: middleware(documented.middleware), whileDown: 504 }
]

for (const { name, plain, documented, whileDown } of proxies) {
  for (const [settings, start] of [['without settings', plain], ['with the documented settings', documented]] as const) {
    test(`${name} ${settings} passes events at once, disconnects and the close of the app`, async (t) => {
      const appPort = await freePort()
      const app = await startApp(t, appPort)
      const port = await start(t, `http://127.0.0.1:${appPort}`)
      const client = await open(t, port, '/events/topics', { headers: { 'last-event-id': '1-1' } })
      t.match(client.response.headers, { 'content-type': 'text/event-stream', 'x-accel-buffering': 'no' })
      await client.until('event: gap')
      for (const data of ['one', 'two']) {
        const id = await app.sse.publish('a', data)
        await client.until(`id: ${id}\ndata: ${data}\n\n`)
      }
      await app.sse.publish('b', 'for others')
      await client.until('id: ', 4)
      client.disconnect()
      await until('the app to see the disconnect', () => app.sse.streams.size === 0)
      t.match(app.sse.stats().closed, { client: 1 })

      const last = await open(t, port, '/events/topics')
      await last.until('id: ')
      await app.close()
      t.ok(await last.finished(), 'a normal end')
      t.match(last.text, /retry: \d+\n$/)
    })
  }

  test(`${name} passes no failure of a stream, and answers ${whileDown} while the app is down, without settings`, async (t) => {
    const appPort = await freePort()
    const app = await startApp(t, appPort)
    const port = await plain(t, `http://127.0.0.1:${appPort}`)
    const failed = await open(t, port, '/events/fails')
    await failed.until('data: x')
    await until('the failure', () => app.sse.stats().closed.error === 1)
    // a whole request through the proxy takes longer than the end of another one
    const other = await open(t, port, '/events/topics')
    await app.close()
    await other.finished()
    t.notOk(failed.ended || failed.error !== null, 'the stream of the client stays open')
    const refused = await open(t, port, '/events/topics')
    t.equal(refused.response.statusCode, whileDown)
  })

  test(`${name} passes failures, and EventSource reconnects after a restart of the app, with the documented settings`, async (t) => {
    const appPort = await freePort()
    const app = await startApp(t, appPort)
    const port = await documented(t, `http://127.0.0.1:${appPort}`)
    const failed = await open(t, port, '/events/fails')
    await failed.until('data: x')
    t.notOk(await failed.finished(), 'a broken connection')

    const source = new EventSource(`http://127.0.0.1:${port}/events/topics`)
    t.teardown(() => source.close())
    const events: string[] = []
    let errors = 0
    source.addEventListener('message', ({ data }) => { events.push(data) })
    source.addEventListener('error', () => { errors++ })
    await until('the stream', () => app.sse.streams.size === 1)
    await app.sse.publish('a', 'before')
    await until('an event', () => events.length === 1)
    await app.close()
    await until('attempts that fail', () => errors > 3)
    const restarted = await startApp(t, appPort)
    await until('the stream', () => restarted.sse.streams.size === 1)
    await restarted.sse.publish('a', 'after')
    await until('another event', () => events.length === 2)
    t.strictSame(events, ['before', 'after'])
  })
}
