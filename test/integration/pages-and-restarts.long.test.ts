import t from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { startLanguageModel } from './language-model.js'
import { everySecond, inRoom, linesOf, linesOn, moves, newest, notified, notify, said, say, signIn, text, times } from './shown.js'
import { until } from '../helpers/until.js'
import { badge, unexpected, visit } from './visit.js'

const browser = await launchChromium(t)
const model = await startLanguageModel(t)
const answers = { OPENAI_BASE_URL: model.url }
const secret = { COOKIE_SECRET: 'a secret that the next server has as well' }
const server = await startDemoServer(t, { ...secret, ...answers })
const at = { PORT: new URL(server.url).port, LOG_FILE: server.logFile, ...answers }
const open = (path: string) => visit(browser, server.url + path)
const [start, dashboard, logs, stocks, chat, room, mail] = await Promise.all([
  open('/'), open('/dashboard.html'), open('/logs.html'), open('/stocks.html'), open('/chat.html'), open('/room.html'), open('/notifications.html')
])
const all = [start, dashboard, logs, stocks, chat, room, mail]

t.test('all pages reconnect when the server is killed and another is started', async (t) => {
  const held = () => room.page.evaluate<string>("JSON.parse(sessionStorage.getItem('/rooms/lobby')).lastEventId")
  await signIn(mail.page, 'dora')
  await notify(mail.page, 'before')
  await notified(mail.page, 'before')
  await room.page.getByLabel('Your name').fill('Ada')
  await say(room.page, 'before')
  await inRoom(room.page, 'before')
  // a page gets no event for its own messages
  await fetch(`${server.url}/rooms/lobby/messages`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'Bob', text: 'I see' }) })
  await inRoom(room.page, 'I see')
  for (const { page } of all) await badge(page, 'live')
  await until('the charts have begun', async () => await newest(dashboard.page, '#cpu') > 0 && await newest(stocks.page, '#chart') > 0)
  const [measured] = await times(dashboard.page, '#cpu')
  const [line] = await linesOn(logs.page)
  const before = await held()
  await chat.page.locator('#send').click()
  await chat.page.locator('#talk .writing', { hasText: 'word' }).waitFor()

  server.signal('SIGKILL')
  t.match(await server.ended, { signal: 'SIGKILL' })
  const killed = Date.now()
  await Promise.all(all.map(({ page }) => badge(page, 'waiting', 'connecting')))
  const next = await startDemoServer(t, { ...secret, ...at })

  await Promise.all([
    // the events and measurements were in the memory of the killed server, so that the pages cannot get missed ones
    ...[dashboard, room, mail].map(({ page }) => badge(page, 'gap')),
    ...[start, logs, chat].map(({ page }) => badge(page, 'resumed', 'live')),
    moves('the clock', () => text(start.page, '#clock')),
    until('the charts go on', async () => await newest(dashboard.page, '#cpu') > killed + 2_000 && await newest(stocks.page, '#chart') > killed + 2_000)
  ])
  t.equal((await times(dashboard.page, '#cpu'))[0], measured, 'the dashboard keeps what it had, and tells that nobody has measured meanwhile')
  t.ok(everySecond(await times(stocks.page, '#chart')), 'the prices have no hole')

  await fetch(`${server.url}/after-the-kill`)
  await logs.page.locator('#lines li', { hasText: '/after-the-kill' }).first().waitFor()
  const lines = await linesOn(logs.page)
  t.strictSame(lines, await linesOf(server.logFile, line, lines.at(-1)), 'the logs have each line of both processes, once')

  await room.page.getByText('Some messages may be missing here.').waitFor()
  await say(room.page, 'after')
  await inRoom(room.page, 'after')
  t.strictSame(await said(room.page), ['before', 'I see', 'after'], 'the room keeps what was said, and tells that some may be missing')
  const [ms = 0, later = 0] = [before, await held()].map((id) => Number(id.split('-')[0]))
  t.ok(later > ms, 'ids go on growing')

  await mail.page.getByText('Some notifications may be missing here.').waitFor()
  await notify(mail.page, 'after')
  await notified(mail.page, 'after')
  await chat.page.getByText(/The answer was stopped after \d+ tokens/).waitFor()
  model.finish()
  await chat.page.getByRole('button', { name: 'Ask again' }).click()
  await until('the answer is whole', async () => /the end\.$/.test((await chat.page.locator('#talk .answered').allTextContents()).at(-1) ?? ''))
  t.strictSame(all.flatMap(({ faults }) => unexpected(faults)), [])

  await t.test('pages ask to sign in again when the new server has another cookie secret', async (t) => {
    const { page } = mail
    // Blocks the reconnect of the stream until the page has tried to send.
    await page.route('**/notifications', (route, request) => request.method() === 'GET' ? route.abort('connectionrefused') : route.continue())
    next.signal('SIGTERM')
    t.strictSame(await next.ended, { code: 0, signal: null })
    await startDemoServer(t, at)
    await page.getByLabel('Text').fill('Hello')
    await page.getByLabel('Text').press('Enter')
    await page.getByText('Not sent: you need to sign in first').waitFor()
    await page.unroute('**/notifications')
    await page.getByText('You are no longer signed in.').waitFor()
    await badge(page, 'idle')
    t.equal(await page.getByLabel('Text').isVisible(), false)
    await signIn(page, 'dora')
    t.equal(await page.getByText('You are no longer signed in.').isVisible(), false)
  })
})
