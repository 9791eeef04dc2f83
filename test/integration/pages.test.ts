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
  await visit('/room.html', async (ada) => {
    const said = (page: Page) => page.locator('#messages p').allTextContents()
    const say = async (page: Page, text: string) => {
      await page.getByLabel('Message', { exact: true }).fill(text)
      await page.keyboard.press('Enter')
    }
    await ada.getByLabel('Your name').fill('Ada')
    await visit('/room.html', async (bob) => {
      await bob.getByLabel('Your name').fill('Bob')
      await say(ada, 'Is <b>anybody</b> here?')
      await bob.locator('#messages li', { hasText: 'Ada' }).waitFor()
      t.strictSame(await said(bob), ['Is <b>anybody</b> here?'], 'what one says the other sees, as text')
      await say(bob, 'I am')
      await ada.locator('#messages li', { hasText: 'Bob' }).waitFor()

      // The page is gone, and its script not there yet: what is said now is missed.
      await ada.route('**/room.js', async (route) => {
        await say(bob, 'Where are you?')
        await until('the missed message is said', async () => (await said(bob)).length === 3)
        await route.continue()
      })
      await ada.reload()
      await until('the missed message is shown', async () => (await said(ada)).length >= 3)
      await say(bob, 'Ah')
      await until('the next message is shown', async () => (await said(ada)).at(-1) === 'Ah')
      t.strictSame(await said(ada), ['Is <b>anybody</b> here?', 'I am', 'Where are you?', 'Ah'], 'a reload brings what was missed, and nothing twice')
      t.equal(await ada.getByLabel('Your name').inputValue(), 'Ada')
      t.equal(await ada.locator('#messages .notice').count(), 0)
    })
    await ada.unroute('**/room.js')
    const list = ada.locator('#messages')
    const atEnd = () => list.evaluate((list) => list.scrollHeight > list.clientHeight && list.scrollTop + list.clientHeight >= list.scrollHeight - 8)
    await say(ada, 'many words '.repeat(90))
    await until('a long message is scrolled to', atEnd)
    await ada.setViewportSize({ width: 320, height: 600 })
    await until('the end is in sight in a narrow window', atEnd)
    // the page hears of it a frame later, just before this does
    await list.evaluate((list) => new Promise((resolve) => {
      list.addEventListener('scroll', resolve, { once: true })
      list.scrollTop = 0
    }))
    await fetch(`${server.url}/rooms/lobby/messages`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'Bob', text: 'Well' }) })
    await list.locator('li', { hasText: 'Well' }).waitFor()
    t.equal(await list.evaluate((list) => list.scrollTop), 0, 'who has scrolled away stays there')
    await say(ada, 'Bye')
    await list.locator('li', { hasText: 'Bye' }).waitFor()
    await until('one’s own message is scrolled to', atEnd)
    await ada.evaluate("sessionStorage.setItem('/rooms/lobby', JSON.stringify({ lastEventId: '1-1', seen: [] }))")
    await ada.reload()
    await ada.getByText('Some messages may be missing here.').waitFor()
    await until('what the server still has is shown', async () => (await said(ada)).length === 7)
  })
  await visit('/room.html?room=Bad%20Room', async (page) => {
    await page.locator('#connection', { hasText: 'live' }).waitFor()
    t.equal(await page.locator('#rooms [aria-current]').textContent(), 'lobby', 'what is no room’s name leads to the lobby')
  })
  await visit('/notifications.html', async (page) => {
    t.equal(await page.getByLabel('Text').isVisible(), false, 'who is not signed in cannot send')
    await page.getByLabel('Sign in as').fill('ada')
    await page.keyboard.press('Enter')
    await page.getByText('For ada').waitFor()
    const tab = await page.context().newPage()
    await tab.goto(`${server.url}/notifications.html`)
    await tab.getByText('For ada').waitFor()
    await page.getByLabel('Text').fill('Tea is ready')
    await page.keyboard.press('Enter')
    for (const each of [page, tab]) await each.locator('#notifications li', { hasText: 'Tea is ready' }).waitFor()
    await tab.reload()
    await tab.locator('#notifications li', { hasText: 'Tea is ready' }).waitFor()
    t.pass('both tabs show what was sent to their user, also after a reload')

    await page.getByLabel('Sign in as').fill('carl')
    await page.keyboard.press('Enter')
    for (const each of [page, tab]) {
      await each.getByText('For carl').waitFor()
      await until('what was ada’s is gone', async () => await each.locator('#notifications li').count() === 0)
    }
    t.pass('signing in as somebody else changes both tabs')
  })
  await visit('/stocks.html?symbol=DUNE', async (page) => {
    await visit('/stocks.html?symbol=DUNE', async (other) => {
      await until('there is a price', async () => /\d/.test(await shown(page, '#price')() ?? ''))
      await page.getByLabel('Shares').fill('123')
      await page.getByLabel('Shares').press('Enter')
      for (const each of [page, other]) await each.locator('#trades li', { hasText: '123 × ' }).waitFor()
    })
  })
  await visit('/docs', async (page) => {
    await page.getByText('/stocks/{symbol}').waitFor()
    const paths = await page.locator('.opblock-summary-path').allTextContents()
    t.strictSame(paths.map((path) => path.replaceAll('\u200b', '')).sort(), [
      '/ai/chat', '/chat', '/dashboard', '/logs', '/notifications', '/notifications', '/orders', '/orders/{id}', '/rooms/{room}', '/rooms/{room}/messages',
      '/session', '/stocks/{symbol}', '/time', '/trades', '/trades/{symbol}'
    ], 'Swagger UI lists every stream, and what feeds them')
  })
})

t.test('the example pages, when the server goes and comes back', async (t) => {
  const browser = await launchChromium(t)
  const server = await startExampleServer(t)
  const context = await browser.newContext()
  const [page, room] = [await context.newPage(), await context.newPage()]
  await room.goto(`${server.url}/room.html`)
  await room.getByLabel('Your name').fill('Bob')
  await page.goto(`${server.url}/notifications.html`)
  await page.getByLabel('Sign in as').fill('bob')
  await page.keyboard.press('Enter')
  await page.getByText('For bob').waitFor()
  await page.getByLabel('Text').fill('Hello')

  // The stream is kept from coming back before somebody has tried to send.
  await page.route('**/notifications?*', (route) => route.abort('connectionrefused'))
  server.signal('SIGTERM')
  await server.ended
  await room.getByLabel('Message', { exact: true }).fill('Hello')
  await room.keyboard.press('Enter')
  await room.getByText('Not sent: the server cannot be reached').waitFor()
  t.equal(await room.getByLabel('Message', { exact: true }).inputValue(), 'Hello', 'what was not sent is kept')

  // Without COOKIE_SECRET the new server knows nobody.
  await t.test('comes back', async (t) => {
    await startExampleServer(t, { PORT: new URL(server.url).port })
    await page.getByLabel('Text').press('Enter')
    await page.getByText('Not sent: you need to sign in first').waitFor()
    await page.unroute('**/notifications?*')
    await page.getByText('You are no longer signed in.').waitFor()
    t.equal(await page.locator('#connection').textContent(), 'not signed in')
    t.equal(await page.getByLabel('Text').isVisible(), false)
    await page.getByLabel('Sign in as').press('Enter')
    await page.getByText('For bob').waitFor()
    t.equal(await page.getByText('You are no longer signed in.').isVisible(), false)
  })
})
