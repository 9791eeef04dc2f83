import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import type { BrowserContext, Page } from 'playwright-core'
import t from 'tap'
import type * as Client from '../../lib/client/index.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { freeze, launchChromium, launchTabs } from '../helpers/chromium.js'
import { randomFrom, seed } from '../integration/random.js'
import { serveTopics } from '../helpers/subscriber.js'
import { bundle, chunkSizes } from './bundle.js'
import { startFlakyProxy } from '../helpers/flaky-proxy.js'
import { dies, ends, opens, says, serve } from './server.js'

/** The globals of the page: the client, and the events that it got. */
declare global {
  var client: typeof Client, said: unknown[]
}

/** A page without a request for an icon. */
const PAGE = '<link rel="icon" href="data:,">'

t.test('the client without the parser is at most 2.75 KB, the chunk for sharing at most 1.2 KB, compressed', async (t) => {
  const sizes = await chunkSizes()
  t.comment(`${sizes} bytes`)
  t.equal(sizes.length, 2)
  const [client = NaN, share = NaN] = sizes
  t.ok(client <= 2.75 * 1_024)
  t.ok(share <= 1.2 * 1_024)
})

t.test('the client in Chromium', async (t) => {
  const browser = await launchChromium(t)
  const script = await bundle({ format: 'iife', globalName: 'client' })

  /** Opens a page with the client. Its events are collected in `said`. */
  async function openPage (origin: string, context?: BrowserContext): Promise<Page> {
    const page = await (context ?? await browser.newContext()).newPage()
    await page.goto(origin)
    await page.addScriptTag({ content: `${script}; globalThis.said = []` })
    return page
  }

  /** Iterates over a url in a page. The events are collected in `said`. */
  const follow = (page: Page, url: string, options: Client.SSEClientOptionsFor<Record<string, unknown>> = {}) => page.evaluate(([url, options]) => {
    const told = {
      onOpen: ({ attempt, lastEventId }: { attempt: number, lastEventId: string | null }) => { said.push(['open', attempt, lastEventId]) },
      onRetry: ({ error }: { error?: { code: string, status?: number } }) => { said.push(['retry', error?.code, error?.status]) }
    }
    const run = async () => {
      try {
        for await (const { id, data } of client.sse(url, { retry: { delay: 2 }, ...options, ...told })) said.push([id, data])
        said.push('end')
      } catch (error) {
        const { code, status, body } = error as Client.SSEError
        said.push([code, status, body])
      }
    }
    run()
  }, [url, options] as const)
  const saidOn = (page: Page) => page.evaluate(() => said)

  t.test('the client in Chromium reads, reconnects and ends as in Node', async (t) => {
    const bytes = Buffer.from('id: …\ndata: "a€𝄞"\n\n')
    const server = await serve(t, says(200, PAGE, { 'content-type': 'text/html' }), opens(...Array.from(bytes, (byte) => Uint8Array.of(byte)), 'id: 2\n\n'),
      dies, says(503, '', { 'retry-after': '1' }), ends('data: 3\n\n'), says(404, 'gone'))
    const page = await openPage(server.url)
    await follow(page, server.url, { inactivityTimeout: 400 })
    await until('the end', async () => (await saidOn(page)).length >= 9)
    t.strictSame(await saidOn(page), [
      ['open', 1, null], ['…', 'a€𝄞'], ['retry', 'SSE_ERR_INACTIVITY_TIMEOUT', undefined], ['retry', 'SSE_ERR_CONNECTION', undefined], ['retry', 'SSE_ERR_NO_STREAM', 503],
      ['open', 4, '2'], [undefined, 3], ['retry', undefined, undefined], ['SSE_ERR_NO_STREAM', 404, 'gone']
    ])
    t.ok(Number(server.times[4]) - Number(server.times[3]) >= 1_000, 'Retry-After')
    t.equal(server.requests[2]?.headers['last-event-id'], '2')
  })

  t.test('no event is lost or repeated after connections are cut', async (t) => {
    const app = await makeApp(t, { heartbeat: 5, history: { size: 100_000 } })
    serveTopics(app)
    // not on the connection that is kept alive
    app.get('/', (_request, reply) => { reply.type('text/html').header('connection', 'close').send(PAGE) })
    const cuts = 100
    const random = randomFrom(seed)
    const proxy = await startFlakyProxy(t, await listen(app), random)
    const page = await openPage(`http://127.0.0.1:${proxy.port}/`)
    proxy.maxDisconnects = cuts
    await follow(page, '/on/news', { text: true, lastEventId: '0-0' })
    const published: string[] = []
    await until('the cuts', async () => {
      published.push(await app.sse.publish('news', 'aé€𝄞'.repeat(random(40) + 1)))
      return proxy.disconnects >= cuts
    }, 30_000)
    const ids = async () => (await saidOn(page)).flatMap((line) => Array.isArray(line) && typeof line[0] === 'string' && published.includes(line[0]) ? [line[0]] : [])
    await until('the last event', async () => (await ids()).at(-1) === published.at(-1))
    t.strictSame(await ids(), published, `seed ${seed}`)
  })

  t.test('a response that breaks anywhere in its headers is retried', async (t) => {
    const head = 'HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n'
    let length = -1
    const server = createServer((socket) => {
      socket.on('error', () => {}).once('data', () => {
        if (length < 0) socket.end(head.replace('event-stream', 'html') + PAGE)
        else socket.end(length < head.length ? head.slice(0, length) : head + 'data: 1\n\n')
        length++
      })
    }).listen(0, '127.0.0.1')
    t.teardown(() => server.close())
    await once(server, 'listening')
    const page = await openPage(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    await follow(page, '/stream', { retry: { delay: 1, maxDelay: 1 } })
    await until('the answer that is whole', async () => (await saidOn(page)).some((line) => Array.isArray(line) && line[1] === 1 && line[0] !== 'open'))
    t.ok(length > head.length)
  })

  t.test('a page that was frozen continues with the events that it missed', async (t) => {
    const app = await makeApp(t, { heartbeat: 20 })
    serveTopics(app)
    app.get('/', (_request, reply) => { reply.type('text/html').send(PAGE) })
    const context = await launchTabs(t)
    const page = await openPage(`http://127.0.0.1:${await listen(app)}/`, context)
    const inactivityTimeout = 500
    await follow(page, '/on/news', { inactivityTimeout })
    await until('it is open', async () => (await saidOn(page)).length === 1)
    await (await context.newPage()).bringToFront()
    const resume = await freeze(page)
    const frozenAt = performance.now()
    for (let i = 0; i < 5; i++) await app.sse.publish('news', { data: i })
    await until('a pause longer than inactivityTimeout', () => performance.now() - frozenAt > 3 * inactivityTimeout)
    t.equal((await saidOn(page)).length, 1, 'nothing runs in a frozen page')
    await resume()
    await page.bringToFront()
    const data = async () => (await saidOn(page)).flatMap((line) => Array.isArray(line) && typeof line[1] === 'number' && line[0] !== 'open' ? [line[1]] : [])
    await until('the events that it missed', async () => (await data()).length >= 5)
    await app.sse.publish('news', { data: 5 })
    await until('the next event', async () => (await data()).length >= 6)
    t.strictSame(await data(), [0, 1, 2, 3, 4, 5])
  })
})
