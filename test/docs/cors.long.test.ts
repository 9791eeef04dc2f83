import t, { test } from 'tap'
import { listen, makeApp } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/deployment.md')

const browser = await launchChromium(t)

test('a page of the allowed origin gets the stream with credentials, a page of another origin does not', async (t) => {
  const [code] = page.codeOf('CORS', 'ts')
  // app.close() would wait for a connection that Chromium opens in advance
  const site = await makeApp(t, {}, { forceCloseConnections: true })
  site.get('/', (request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  const sitePort = await listen(site)
  const origin = `http://localhost:${sitePort}`
  const app = await runApp(t, tenLines({ after: code.replace('https://app.example', origin) }))
  const url = `http://127.0.0.1:${await listen(app)}/stocks/ACME`
  const tab = await browser.newPage()
  t.teardown(() => tab.close())
  const outcome = (from: string) => tab.goto(from).then(() => tab.evaluate(`new Promise((resolve) => {
    const stock = new EventSource(${JSON.stringify(url)}, { withCredentials: true })
    stock.addEventListener('price', () => resolve('price'))
    stock.addEventListener('error', () => resolve(stock.readyState === EventSource.CLOSED ? 'closed' : 'error'))
  })`))
  t.equal(await outcome(origin), 'price')
  t.equal(await outcome(`http://127.0.0.1:${sitePort}`), 'closed')
})
