import t, { test } from 'tap'
import { listen, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/getting-started.md')

const browser = await launchChromium(t)

test('a page in a browser reads the first route', async (t) => {
  const [code] = page.codeOf('Read it in a browser', 'js')
  const app = await runApp(t, tenLines({}))
  app.get('/', (request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  const tab = await browser.newPage()
  t.teardown(() => tab.close())
  await tab.goto(`http://127.0.0.1:${await listen(app)}/`)
  const prices: unknown[] = []
  tab.on('console', async (message) => { prices.push(await message.args()[0]?.jsonValue()) })
  await tab.addScriptTag({ content: code })
  await until('two prices', () => prices.length >= 2)
  t.match(prices.slice(0, 2), [{ symbol: 'ACME', price: Number }, { symbol: 'ACME', price: Number }])
})
