import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { startInterruptibleProxy } from '../helpers/interruptible-proxy.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { readEvents } from './read-events.js'
import { drawn, everySecond, linesOf, linesOn, moves, newest, text, times } from './shown.js'
import { until } from '../helpers/until.js'
import { badge, badgeStates, looksWell, unexpected, visit } from './visit.js'

const browser = await launchChromium(t)
const server = await startDemoServer(t)
// the pages are tested in parallel
t.jobs = 4

/** Reads the times of the first event of a stream, which has all measurements of the server. */
async function serverTimes (path: string): Promise<number[]> {
  const leave = new AbortController()
  const events = readEvents(await fetch(server.url + path, { signal: leave.signal }))
  const { value } = await events[Symbol.asyncIterator]().next()
  leave.abort()
  return (JSON.parse(value?.data ?? '') as Array<{ time: number }>).map(({ time }) => time)
}

t.test('the start page', { buffered: true }, async (t) => {
  const proxy = await startInterruptibleProxy(t, server.url)
  const { page, faults } = await visit(browser, proxy.url)
  await moves('the clock', () => text(page, '#clock'))
  t.match(await text(page, '.code pre'), /^app\.sseRoute\(\{\n {2}url: '\/time',/, 'shows the code behind its clock')
  await looksWell(t, page)
  t.strictSame(faults, [])

  const states = await badgeStates(page)
  proxy.interrupt()
  await until('it counts down', async () => (await page.evaluate<string[]>('countdowns')).some((shown) => /reconnecting in \d s/.test(shown)))
  await proxy.restore()
  await badge(page, 'resumed')
  await moves('the clock', () => text(page, '#clock'))
  await badge(page, 'live')
  t.match((await states()).join(), /^live,waiting,(connecting,waiting,)*(connecting,)?resumed,live$/, 'its badge tells how the connection is doing')
  t.strictSame(unexpected(faults), [])
})

t.test('the dashboard', { buffered: true }, async (t) => {
  const proxy = await startInterruptibleProxy(t, server.url)
  const { page, faults } = await visit(browser, `${proxy.url}/dashboard.html`)
  await Promise.all([
    moves('the time', () => text(page, '#measured')),
    ...['cpu', 'memory', 'delay', 'traffic'].map((chart) => moves(`the ${chart} chart`, () => drawn(page, `#${chart}`)))
  ])
  await looksWell(t, page)
  t.strictSame(faults, [])

  const before = await times(page, '#cpu')
  proxy.interrupt()
  await badge(page, 'waiting')
  const gone = Date.now()
  await until('the server has measured twice', async () => (await serverTimes('/dashboard')).filter((time) => time > gone).length >= 2)
  await proxy.restore()
  const back = Date.now()
  await until('the page goes on', async () => await newest(page, '#cpu') > back)
  const after = await times(page, '#cpu')
  t.strictSame(after.slice(0, before.length), before, 'keeps what it had')
  t.strictSame((await serverTimes('/dashboard')).filter((time) => time >= (after[0] ?? 0) && time <= (after.at(-1) ?? 0)), after, 'has all that was measured meanwhile')
  t.not(await page.locator('#connection').getAttribute('data-state'), 'gap')
  t.strictSame(unexpected(faults), [])
})

t.test('the logs', { buffered: true }, async (t) => {
  const proxy = await startInterruptibleProxy(t, server.url)
  const { page, faults } = await visit(browser, `${proxy.url}/logs.html`)
  const rows = page.locator('#lines li')
  const shown = (text: string) => rows.filter({ hasText: text }).first().waitFor()
  const log = (path: string) => fetch(server.url + path)
  const atEnd = () => page.locator('#lines').evaluate((list) => list.scrollTop + list.clientHeight >= list.scrollHeight - 8)

  await until('the end of the log is shown', async () => await rows.count() > 0)
  await log('/a-line-for-the-log')
  await shown('/a-line-for-the-log')
  t.ok(await atEnd(), 'a new line is shown, at the end of the list')
  await looksWell(t, page)

  await page.getByLabel('Search').fill('A-LINE-for')
  t.ok((await page.locator('#lines li:visible').allTextContents()).every((row) => row.includes('/a-line-for-the-log')), 'only what is searched for is left')
  t.match(await text(page, '#count'), /^\d+ found$/)
  await page.getByLabel('Search').fill('')

  await page.getByRole('button', { name: 'Pause' }).click()
  const held = page.getByRole('button', { name: /^Resume, [1-9]\d* held back$/ })
  await log('/while-it-is-paused')
  await held.waitFor()
  t.equal(await rows.filter({ hasText: '/while-it-is-paused' }).count(), 0, 'a paused list does not grow, and counts what it holds back')
  await held.click()
  await shown('/while-it-is-paused')

  const jump = page.getByRole('button', { name: 'Jump to the newest' })
  await until('somebody has scrolled away, and no line came just then', async () => {
    await page.locator('#lines').evaluate((list) => { list.scrollTop = 0 })
    return jump.isVisible()
  })
  await jump.click()
  await until('the end is in sight', atEnd)
  t.equal(await jump.isVisible(), false)

  proxy.interrupt()
  await badge(page, 'waiting')
  for (const path of ['/missed/1', '/missed/2', '/missed/3']) await log(path)
  await proxy.restore()
  await shown('/missed/3')
  const seen = await linesOn(page)
  t.strictSame(seen, await linesOf(server.logFile, seen[0], seen.at(-1)), 'has each line that was written meanwhile, once')
  t.ok(seen.every((seq, index) => index === 0 || seq === (seen[index - 1] ?? 0) + 1), 'with numbers that leave none out')

  await page.getByLabel('Level').selectOption('warn')
  await until('only warnings are left', async () => await rows.count() > 0 && await rows.count() === await page.locator('#lines [data-level=warn]').count())
  t.equal(await rows.filter({ hasText: 'missing' }).count(), 0)
  t.strictSame(unexpected(faults), [])
})

t.test('the stocks', { buffered: true }, async (t) => {
  const proxy = await startInterruptibleProxy(t, server.url)
  const { page, faults } = await visit(browser, `${proxy.url}/stocks.html?symbol=CRUX`)
  const other = await visit(browser, `${server.url}/stocks.html?symbol=DUNE`)
  const trade = (quantity: number) => fetch(`${server.url}/trades`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ symbol: 'DUNE', price: 17.5, quantity })
  })
  const traded = (page: Page, quantity: number) => page.locator('#trades li', { hasText: `${quantity} × ` }).waitFor()

  await Promise.all([
    moves('the price', () => text(page, '#price')),
    moves('its chart', () => drawn(page, '#chart')),
    ...['ACRE', 'BOLT', 'CRUX', 'DUNE'].map((symbol) => moves(`the line of ${symbol}`, () => page.locator('#symbols li', { hasText: symbol }).locator('polyline').getAttribute('points')))
  ])
  for (const change of await page.locator('#symbols .row .up, #symbols .row .down, #change').allTextContents()) t.match(change, /^(▲ \+|▼ −)\d/, 'a change is told by an arrow and a sign')

  await page.getByRole('link', { name: 'DUNE' }).click()
  t.equal(await text(page, '#name'), 'Dune Glassworks')
  t.ok((await times(page, '#chart')).length >= 120, 'the chart of another company has its last two minutes')
  await page.getByLabel('Shares').fill('123')
  await page.getByLabel('Shares').press('Enter')
  for (const each of [page, other.page]) await traded(each, 123)
  await looksWell(t, page)
  t.strictSame([...faults, ...other.faults], [])

  const second = await page.context().newPage()
  await second.goto(`${proxy.url}/stocks.html?symbol=ACRE`)
  await badge(second, 'live')
  t.equal(await text(second, '#holder'), 'Another tab holds the connection for the prices.')
  t.equal(await text(page, '#holder'), 'This tab holds the connection for the prices.')
  await moves('the chart of the second tab', () => drawn(second, '#chart'))
  await page.reload()
  await until('the second tab takes over', async () => await text(second, '#holder') === 'This tab holds the connection for the prices.')
  await badge(page, 'live')
  await second.close()
  await until('the first tab takes over', async () => await text(page, '#holder') === 'This tab holds the connection for the prices.')
  await page.getByRole('link', { name: 'DUNE' }).click()
  await traded(page, 123)

  proxy.interrupt()
  await badge(page, 'waiting')
  const gone = Date.now()
  for (const quantity of [11, 22, 33]) await trade(quantity)
  await traded(other.page, 33)
  await until('the others have seen some seconds more', async () => await newest(other.page, '#chart') >= gone + 2_000)
  await proxy.restore()
  await traded(page, 33)
  await until('the page goes on', async () => await newest(page, '#chart') >= gone + 4_000)
  t.ok(everySecond(await times(page, '#chart')), 'has the price of every second')
  t.match((await page.locator('#trades li').allTextContents()).join(), /33 × .* 22 × .* 11 × .* 123 × /s, 'and every trade, once')
  t.equal(await page.locator('#trades li').count(), 4)
  t.strictSame(unexpected(faults), [])
})

t.test('the React page', { buffered: true }, async (t) => {
  const proxy = await startInterruptibleProxy(t, server.url)
  const { page, faults } = await visit(browser, `${proxy.url}/react.html`)
  const price = (symbol: string) => page.locator('.quotes li', { hasText: symbol }).locator('.price').textContent()
  await Promise.all(['ACRE', 'BOLT'].map((symbol) => moves(`the price of ${symbol}`, () => price(symbol))))
  await badge(page, 'live')
  await page.getByLabel('Company').selectOption('DUNE')
  await page.getByRole('button', { name: 'Watch' }).click()
  await moves('the price of the third', () => price('DUNE'))
  await looksWell(t, page)
  t.strictSame(faults, [])

  const states = await badgeStates(page)
  proxy.interrupt()
  await badge(page, 'waiting')
  await proxy.restore()
  await badge(page, 'live')
  t.match((await states()).join(), /^live,(connecting,)?waiting,.*live$/)
  for (const symbol of ['ACRE', 'BOLT', 'DUNE']) await page.getByRole('button', { name: `Remove ${symbol}` }).click()
  await badge(page, 'idle')
  t.equal(await page.locator('.quotes li').count(), 0)
  t.strictSame(unexpected(faults), [])
})

t.test('the API docs', { buffered: true }, async (t) => {
  const { page, faults } = await visit(browser, `${server.url}/docs`)
  await page.getByText('/stocks/{symbol}').waitFor()
  const paths = await page.locator('.opblock-summary-path').allTextContents()
  t.strictSame(paths.map((path) => path.replaceAll('\u200b', '')).sort(), [
    '/ai/chat', '/chats/{chat}', '/chats/{chat}', '/chats/{chat}', '/chats/{chat}/questions', '/dashboard', '/fragments/{library}', '/jobs', '/jobs', '/jobs/{id}', '/jobs/{id}', '/logs', '/notifications', '/notifications', '/orders', '/orders/{id}', '/rooms/{room}', '/rooms/{room}/messages',
    '/session', '/sign-out', '/stocks/{symbol}', '/ticker', '/time', '/trades', '/trades/{symbol}'
  ], 'Swagger UI lists every stream, and what feeds them')
  t.strictSame(faults, [])
})

t.test('the pages load files of this project only', { buffered: true }, async (t) => {
  const get = async (path: string) => {
    const response = await fetch(server.url + path)
    return { status: response.status, type: response.headers.get('content-type'), body: await response.text() }
  }
  const source = await readFile(new URL('../../demo/dashboard.ts', import.meta.url), 'utf8')
  t.strictSame(await get('/source/dashboard.ts'), { status: 200, type: 'text/plain; charset=utf-8', body: source }, 'the file of an example')
  t.match(await get('/fastify-sse-routes/client/index.js'), { status: 200, type: /^text\/javascript/, body: /^(?!.*import type).*export/s }, 'the client, without its types')
  for (const path of [
    '/source/server.ts', '/source/..%2fpackage.json', '/source/data%2fanswer.ts', '/dashboard.ts',
    '/fastify-sse-routes/client/index.ts', '/fastify-sse-routes/client/..%2findex.js', '/fastify-sse-routes/index.js', '/..%2fserver.log'
  ]) t.equal((await get(path)).status, 404, `not ${path}`)
})
