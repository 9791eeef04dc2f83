import t from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { startInterruptibleProxy } from '../helpers/interruptible-proxy.js'
import { moves, text } from './shown.js'
import { badge, looksWell, unexpected, visit } from './visit.js'

const browser = await launchChromium(t)
const server = await startDemoServer(t)
// the pages are tested in parallel
t.jobs = 4

/** Errors that htmx and Datastar report for a server that is down. */
const reported = /^(\[object Event\]|htmx: htmx:sse:error: .*|network error|Failed to fetch|Datastar failed to reach .*)$/s

for (const [name, title] of [['htmx-2', 'htmx 2'], ['htmx-4', 'htmx 4'], ['datastar', 'Datastar'], ['turbo', 'Turbo']] as const) {
  t.test(`the ${title} page shows the prices, and continues after a lost connection`, { buffered: true }, async (t) => {
    const proxy = await startInterruptibleProxy(t, server.url)
    const { page, faults } = await visit(browser, `${proxy.url}/${name}.html`)
    const elsewhere: string[] = []
    page.on('request', (request) => { if (!request.url().startsWith(proxy.url)) elsewhere.push(request.url()) })
    await page.reload()
    const prices = () => text(page, '#prices')
    await moves('the prices', prices)
    await badge(page, 'live')
    t.equal(await page.locator('#prices').count(), 1, 'one list')
    t.strictSame(await page.locator('#prices b:not(.price)').allTextContents(), ['ACRE', 'BOLT', 'CRUX', 'DUNE'])
    for (const change of await page.locator('#prices :is(.up, .down)').allTextContents()) t.match(change, /^(▲ \+|▼ −)\d/)
    t.equal(await page.locator('.site a[aria-current]').innerText(), 'Page libraries')
    t.equal(await page.locator('.tabs a[aria-current=page]').innerText(), title)
    t.match(await page.locator('.code pre').first().innerText(), /^<(div|turbo-stream-source)\b/, 'shows its HTML')
    await looksWell(t, page)
    t.strictSame(faults, [])

    proxy.interrupt()
    await badge(page, 'waiting')
    await proxy.restore()
    await badge(page, 'live')
    await moves('the prices', prices)
    t.strictSame(unexpected(faults).filter((fault) => !reported.test(fault)), [])
    t.strictSame(elsewhere, [], 'requests nothing from elsewhere')
  })
}

t.test('the pages of libraries continue after a restart of the server', { buffered: true }, async (t) => {
  const first = await startDemoServer(t)
  const { port } = new URL(first.url)
  const visits = await Promise.all(['htmx-2', 'htmx-4', 'datastar', 'turbo'].map((name) => visit(browser, `${first.url}/${name}.html`)))
  for (const { page } of visits) await badge(page, 'live')
  first.signal('SIGTERM')
  t.strictSame(await first.ended, { code: 0, signal: null })
  for (const { page } of visits) await badge(page, 'waiting')
  await startDemoServer(t, { PORT: port })
  for (const { page } of visits) {
    await badge(page, 'live')
    await moves('the prices', () => text(page, '#prices'))
  }
})
