import type { Page } from 'playwright-core'
import t from 'tap'
import { launchChromium } from './chromium.js'
import { startExampleServer } from './example-server.js'
import { until } from '../until.js'

t.test('the example pages, in a browser', async (t) => {
  const browser = await launchChromium(t)
  const server = await startExampleServer(t)

  /** Opens a page in a context of its own, hands it to `look`, and expects that nothing went wrong on it meanwhile. */
  async function visit (path: string, look: (page: Page) => Promise<void>): Promise<void> {
    const context = await browser.newContext()
    const page = await context.newPage()
    const faults: string[] = []
    page.on('console', (message) => { if (message.type() === 'error') faults.push(message.text()) })
    page.on('pageerror', (error) => { faults.push(error.message) })
    page.on('requestfailed', (request) => {
      const reason = request.failure()?.errorText
      // What the page itself has left did not fail.
      if (reason !== 'net::ERR_ABORTED') faults.push(`${request.url()} failed: ${reason}`)
    })
    page.on('response', (response) => { if (response.status() >= 400) faults.push(`${response.url()} answered ${response.status()}`) })
    await page.goto(server.url + path)
    await look(page)
    t.strictSame(faults, [], `${path} shows no console error and no failed request`)
    await context.close()
  }

  /** A placeholder and two values that followed it, or three values. */
  async function moves (what: string, read: () => Promise<string | null>): Promise<void> {
    const seen = new Set<string | null>()
    await until(`${what} moves`, async () => seen.add(await read()).size >= 3)
    t.pass(`${what} moves`)
  }

  const shown = (page: Page, selector: string) => () => page.locator(selector).textContent()
  const drawn = (page: Page, selector: string) => () => page.evaluate<string>(`document.querySelector('${selector} canvas')?.toDataURL() ?? ''`)

  await Promise.all([
    visit('/dashboard.html', async (page) => {
      await Promise.all([
        moves('the dashboard’s time', shown(page, '#measured')),
        ...['cpu', 'memory', 'delay', 'traffic'].map((chart) => moves(`the ${chart} chart`, drawn(page, `#${chart}`)))
      ])
    }),
    visit('/stocks.html?symbol=CRUX', async (page) => {
      await Promise.all([
        moves('the price', shown(page, '#price')),
        moves('the price’s chart', drawn(page, '#chart'))
      ])
    }),
    visit('/logs.html', async (page) => {
      const rows = page.locator('#lines li')
      await until('the end of the log is shown', async () => await rows.count() > 0)
      const before = await rows.count()
      await fetch(`${server.url}/a-line-for-the-log`)
      await until('the new line is shown', async () => await rows.filter({ hasText: '/a-line-for-the-log' }).count() > 0)
      t.ok(await rows.count() > before, 'the list of log lines grows')
      const moved = await page.locator('#lines').evaluate((list) => list.scrollTop + list.clientHeight >= list.scrollHeight - 8)
      t.ok(moved, 'and is scrolled to its end')
      await page.locator('#level').selectOption('warn')
      await until('only warnings are left', async () => await rows.count() > 0 && await rows.count() === await page.locator('#lines li[data-level=warn]').count())
    })
  ])

  await visit('/', async (page) => {
    await moves('the clock', shown(page, '#clock'))
  })
  await visit('/chat.html', async (page) => {
    await page.locator('#send').click()
    await moves('the answer', async () => (await page.locator('#talk .writing').allTextContents()).join())
    await page.locator('#send').click()
    await page.locator('#talk .answered').waitFor()
    t.equal(await page.locator('#talk .failed').count(), 0, 'an answer can be stopped')
  })
  await visit('/docs', async (page) => {
    await page.getByText('/stocks/{symbol}').waitFor()
    const paths = await page.locator('.opblock-summary-path').allTextContents()
    t.strictSame(paths.map((path) => path.replaceAll('\u200b', '')).sort(), ['/ai/chat', '/chat', '/dashboard', '/logs', '/stocks/{symbol}', '/time'], 'Swagger UI lists every stream')
  })
})
