import { test } from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { listen, until } from '../helpers/app.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('README.md')

test('a page reads the route in ten lines', async (t) => {
  const [code] = page.codeOf('A route in ten lines', 'js')
  const app = await runApp(t, tenLines({}))
  app.get('/', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  const browser = await launchChromium(t)
  const tab = await browser.newPage()
  t.teardown(() => tab.close())
  await tab.goto(`http://127.0.0.1:${await listen(app)}/`)
  const prices: unknown[] = []
  tab.on('console', async (message) => { prices.push(await message.args()[0]?.jsonValue()) })
  await tab.addScriptTag({ content: code })
  await until('two prices', () => prices.length >= 2)
  t.match(prices.slice(0, 2), [{ symbol: 'ACME', price: Number }, { symbol: 'ACME', price: Number }])
})
