import type { FastifyInstance } from 'fastify'
import t, { type Test, test } from 'tap'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const readme = pageOf('README.md')

const browser = await launchChromium(t)

// app.close() would wait for a connection that Chromium opens in advance
const server = { forceCloseConnections: true }

/** Starts an app and opens an empty page of it. */
async function openPage (t: Test, app: FastifyInstance) {
  app.get('/', (request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  const port = await listen(app)
  const page = await browser.newPage()
  t.teardown(() => page.close())
  await page.goto(`http://127.0.0.1:${port}/`)
  const seen = (count: number) => page.waitForFunction(`seen.length >= ${count}`).then(() => page.evaluate<unknown[]>('seen'))
  return { page, port, seen }
}

test('README: a page reads the route in ten lines', async (t) => {
  const [code] = readme.codeOf('A route in ten lines', 'js')
  const { page } = await openPage(t, await runApp(t, tenLines({})))
  const prices: unknown[] = []
  page.on('console', async (message) => { prices.push(await message.args()[0]?.jsonValue()) })
  await page.addScriptTag({ content: code })
  await until('two prices', () => prices.length >= 2)
  t.match(prices.slice(0, 2), [{ symbol: 'ACME', price: Number }, { symbol: 'ACME', price: Number }])
})

test('README, Gaps: a page loads its state when its stream opens, and again after a gap', async (t) => {
  const [code] = readme.codeOf('Gaps', 'js')
  const app = await makeApp(t, { history: { size: 1 }, retry: 300 }, server)
  let loads = 0
  app.sseRoute('/orders/42', { topics: ['order:42'] })
  app.get('/orders/42/state', async () => ({ text: `state ${++loads}` }))
  const { page, seen } = await openPage(t, app)
  const publish = (carrier: string) => app.sse.publish('order:42', { event: 'shipped', data: { carrier } })
  await page.addScriptTag({ content: `const seen = []; const show = ({ carrier }) => seen.push(carrier); const showAll = ({ text }) => seen.push(text)\n${code}` })
  t.strictSame(await seen(1), ['state 1'])
  await publish('a')
  t.strictSame(await seen(2), ['state 1', 'a'])
  for (const stream of app.sse.streams.values()) stream.close()
  await until('the stream to be closed', () => app.sse.streams.size === 0)
  await publish('b')
  await publish('c')
  t.strictSame((await seen(4)).slice(2).sort(), ['c', 'state 2'])
  t.match(app.sse.stats(), { opened: 2, resumed: 1, gaps: 1 })
})

test('README: a page with a new EventSource reconnects after a refusal and misses no event', async (t) => {
  const [code] = readme.codeOf('What a browser does with an answer', 'js')
  const app = await makeApp(t, { maxStreams: 1, retry: 300 }, server)
  app.sseRoute('/orders/42', { topics: ['order:42'] })
  const { page, port, seen } = await openPage(t, app)
  const publish = (carrier: string) => app.sse.publish('order:42', { event: 'shipped', data: { carrier } })
  const refused = (times: number) => until(`${times} refusals`, () => app.sse.stats().rejected >= times)
  const closed = (times: number) => until(`${times} streams closed`, () => app.sse.streams.size === 0 && app.sse.stats().opened === times)

  const first = await open(t, port, '/orders/42')
  await page.addScriptTag({ content: `const seen = []; const load = () => seen.push('load'); const show = ({ carrier }) => seen.push(carrier)\n${code.replaceAll('1_000', '50')}` })
  await refused(1)
  first.disconnect()
  t.strictSame(await seen(1), ['load'], 'it has no id, so it loads')
  await publish('a')
  t.strictSame(await seen(2), ['load', 'a'])

  for (const stream of app.sse.streams.values()) stream.close()
  await closed(2)
  const second = await open(t, port, '/orders/42')
  await refused(app.sse.stats().rejected + 1)
  await publish('b')
  second.disconnect()
  t.strictSame(await seen(3), ['load', 'a', 'b'])
  t.match(app.sse.stats(), { opened: 4, resumed: 1, replayed: 1, gaps: 0 })
})

test('README, CORS: a page of the allowed origin gets the stream with credentials, another page does not', async (t) => {
  const [code] = readme.codeOf('CORS', 'ts')
  const pages = await openPage(t, await makeApp(t, {}, server))
  const origin = `http://localhost:${pages.port}`
  const app = await runApp(t, tenLines({ after: code.replace('https://app.example', origin) }))
  const url = `http://127.0.0.1:${await listen(app)}/stocks/ACME`
  const outcome = (from: string) => pages.page.goto(from).then(() => pages.page.evaluate(`new Promise((resolve) => {
    const stock = new EventSource(${JSON.stringify(url)}, { withCredentials: true })
    stock.addEventListener('price', () => resolve('price'))
    stock.addEventListener('error', () => resolve(stock.readyState === EventSource.CLOSED ? 'closed' : 'error'))
  })`))
  t.equal(await outcome(origin), 'price')
  t.equal(await outcome(`http://127.0.0.1:${pages.port}`), 'closed')
})
