import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import t from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { startInterruptibleProxy } from '../helpers/interruptible-proxy.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { startLanguageModel } from './language-model.js'
import { inRoom, notified, notify, said, say, signIn } from './shown.js'
import { until } from '../helpers/until.js'
import { badge, looksWell, unexpected, visit, watch } from './visit.js'

const browser = await launchChromium(t)
const model = await startLanguageModel(t)
const server = await startDemoServer(t, { OPENAI_BASE_URL: model.url })
// the pages are tested in parallel
t.jobs = 4

t.test('the chat', { buffered: true }, async (t) => {
  const proxy = await startInterruptibleProxy(t, server.url)
  const { page, faults } = await visit(browser, `${proxy.url}/chat.html`)
  const send = page.locator('#send')
  const words = async (of = page) => (await of.locator('#talk .writing').allTextContents()).join().split(' ').length
  const talk = async (of: Page) => (await of.locator('#talk p').allTextContents()).map((text) => text.replace('Ask again', ''))
  /** Reads from the log the number of tokens of each answer, oldest first. */
  const made = async () => (await readFile(server.logFile, 'utf8')).trim().split('\n').map((line): number | undefined => JSON.parse(line).tokens).filter((tokens) => tokens !== undefined)

  await badge(page, 'live')
  await send.click()
  await until('the answer grows', async () => await words() > 5)
  await until('and grows', async () => await words() > 10)
  t.equal(await send.textContent(), 'Stop')
  await page.reload()
  await until('the answer goes on after a reload', async () => await words() > 15)
  t.match(await page.locator('#talk .writing').textContent(), /^word 1 word 2 word 3 /)

  const tab = await page.context().newPage()
  const others = watch(tab)
  await tab.goto(new URL(await page.locator('#tab').getAttribute('href') ?? '', page.url()).href)
  await until('another tab shows the answer', async () => await words(tab) > 20)
  await tab.locator('#send').click()
  for (const each of [page, tab]) await each.locator('#talk .stopped').waitFor()
  t.strictSame(await talk(page), await talk(tab), 'an answer can be stopped in another tab')
  const [question, answer = '', stopped] = await talk(page)
  const [tokens = 0] = await made()
  t.strictSame([question, stopped], ['How did this answer get here?', `The answer was stopped after ${tokens} tokens. `], 'the server makes no more of it')
  t.strictSame(answer.trim().split(/ (?=word)/), Array.from({ length: tokens }, (_, n) => `word ${n + 1}`), 'each tab shows each token once')
  await looksWell(t, page)
  await page.reload()
  await page.locator('#talk .stopped').waitFor()
  await badge(page, 'live')
  t.strictSame(await talk(page), [question, answer, stopped], 'a reload keeps an answer that has ended')

  await page.locator('#prompt').fill('Once more')
  await page.keyboard.press('Enter')
  for (const each of [page, tab]) await until('the next answer grows in both tabs', async () => await words(each) > 5)
  t.strictSame([...faults, ...others], [])
  proxy.interrupt()
  await badge(page, 'waiting')
  await proxy.restore()
  await badge(page, 'resumed', 'live')
  const before = await words()
  await until('the answer goes on after a lost connection', async () => await words() > before)
  model.finish()
  for (const each of [page, tab]) await until('the answer is whole', async () => /the end\.$/.test((await each.locator('#talk .answered').allTextContents()).at(-1) ?? ''))
  t.strictSame(await talk(page), await talk(tab))
  const whole = (await talk(page)).at(-1) ?? ''
  t.strictSame(whole.split(/ (?=word|the)/).slice(0, -1), Array.from({ length: (await made())[1] ?? 0 }, (_, n) => `word ${n + 1}`).slice(0, -1), 'the answer has each token once')
  t.strictSame(unexpected([...faults, ...others]), [])
})

t.test('the room', { buffered: true }, async (t) => {
  const proxy = await startInterruptibleProxy(t, server.url)
  const [ada, bob] = await Promise.all([visit(browser, `${proxy.url}/room.html`), visit(browser, `${server.url}/room.html`)])
  await ada.page.getByLabel('Your name').fill('Ada')
  await bob.page.getByLabel('Your name').fill('Bob')
  await say(ada.page, 'Is <b>anybody</b> here?')
  await inRoom(bob.page, 'Ada')
  t.strictSame(await said(bob.page), ['Is <b>anybody</b> here?'], 'what one says the other sees, as text')
  await say(bob.page, 'I am')
  await inRoom(ada.page, 'Bob')
  await looksWell(t, ada.page)

  // The old page is gone and the script of the new one is not loaded, so that the page misses this message.
  await ada.page.route('**/room.js', async (route) => {
    await say(bob.page, 'Where are you?')
    await until('the missed message is said', async () => (await said(bob.page)).length === 3)
    await route.continue()
  })
  await ada.page.reload()
  await inRoom(ada.page, 'Where are you?')
  await say(bob.page, 'Ah')
  await inRoom(ada.page, 'Ah')
  t.strictSame(await said(ada.page), ['Is <b>anybody</b> here?', 'I am', 'Where are you?', 'Ah'], 'a reload brings what was missed, and nothing twice')
  t.equal(await ada.page.getByLabel('Your name').inputValue(), 'Ada')
  t.strictSame([...ada.faults, ...bob.faults], [])

  proxy.interrupt()
  await badge(ada.page, 'waiting')
  for (const text of ['one', 'two', 'three']) {
    await say(bob.page, text)
    await inRoom(bob.page, text)
  }
  await say(ada.page, 'I hear nothing')
  await ada.page.getByText('Not sent: the server cannot be reached').waitFor()
  t.equal(await ada.page.getByLabel('Message', { exact: true }).inputValue(), 'I hear nothing', 'what was not sent is kept')
  await proxy.restore()
  await badge(ada.page, 'resumed')
  await inRoom(ada.page, 'three')
  t.strictSame(await said(ada.page), await said(bob.page), 'who comes back has each message, once')
  t.equal(await ada.page.locator('#messages .notice').count(), 0)
  t.strictSame(unexpected(ada.faults), [])
})

t.test('the list of a room', { buffered: true }, async (t) => {
  const { page, faults } = await visit(browser, `${server.url}/room.html?room=garden`)
  await page.setViewportSize({ width: 1000, height: 600 })
  await page.getByLabel('Your name').fill('Ada')
  const list = page.locator('#messages')
  const atEnd = () => list.evaluate((list) => list.scrollHeight > list.clientHeight && list.scrollTop + list.clientHeight >= list.scrollHeight - 8)
  await say(page, 'many words '.repeat(90))
  await until('a long message is scrolled to', atEnd)
  await page.setViewportSize({ width: 320, height: 600 })
  await until('the end is in sight in a narrow window', atEnd)
  // the page gets the event one frame later, just before this code
  await list.evaluate((list) => new Promise((resolve) => {
    list.addEventListener('scroll', resolve, { once: true })
    list.scrollTop = 0
  }))
  await fetch(`${server.url}/rooms/garden/messages`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ name: 'Bob', text: 'Well' }) })
  await inRoom(page, 'Well')
  t.equal(await list.evaluate((list) => list.scrollTop), 0, 'who has scrolled away stays there')
  await say(page, 'Bye')
  await inRoom(page, 'Bye')
  await until('one’s own message is scrolled to', atEnd)

  await page.goto(`${server.url}/room.html?room=Bad%20Room`)
  await badge(page, 'live')
  t.equal(await page.locator('#rooms [aria-current]').textContent(), 'lobby', 'what is no room’s name leads to the lobby')
  t.strictSame(faults, [])
})

t.test('the notifications', { buffered: true }, async (t) => {
  const proxy = await startInterruptibleProxy(t, server.url)
  const { page, faults } = await visit(browser, `${proxy.url}/notifications.html`)
  await badge(page, 'idle')
  t.equal(await page.getByLabel('Text').isVisible(), false, 'who is not signed in cannot send')
  await looksWell(t, page)
  await signIn(page, 'ada')
  const tab = await page.context().newPage()
  const others = watch(tab)
  await tab.goto(`${proxy.url}/notifications.html`)
  await tab.getByText('For ada').waitFor()
  await notify(page, 'Tea is ready')
  for (const each of [page, tab]) await notified(each, 'Tea is ready')
  await tab.reload()
  await notified(tab, 'Tea is ready')
  t.pass('both tabs show what was sent to their user, also after a reload')
  await looksWell(t, page)
  t.strictSame([...faults, ...others], [])

  proxy.interrupt()
  await Promise.all([page, tab].map((each) => badge(each, 'waiting')))
  const bob = await visit(browser, `${server.url}/notifications.html`)
  await signIn(bob.page, 'bob')
  await bob.page.getByLabel('To').fill('ada')
  for (const text of ['one', 'two', 'three']) {
    await notify(bob.page, text)
    await until('it is sent', async () => await bob.page.getByLabel('Text').inputValue() === '')
  }
  await proxy.restore()
  for (const each of [page, tab]) {
    await notified(each, 'three')
    t.strictSame(await each.locator('#notifications p').allTextContents(), ['three', 'two', 'one', 'Tea is ready'], 'who comes back has each notification, once')
  }

  await signIn(page, 'carl')
  await tab.getByText('For carl').waitFor()
  for (const each of [page, tab]) await until('what was ada’s is gone', async () => await each.locator('#notifications li').count() === 0)
  t.pass('signing in as somebody else changes both tabs')

  await page.getByRole('button', { name: 'Sign out everywhere' }).click()
  for (const each of [page, tab]) {
    await each.getByText('You are no longer signed in.').waitFor()
    await badge(each, 'idle')
  }
  t.equal(await bob.page.locator('#user').textContent(), 'bob', 'signing out everywhere changes both tabs, and nobody else’s')
  const refused = 'Failed to load resource: the server responded with a status of 401 (Unauthorized)'
  t.strictSame(unexpected([...faults, ...others]), [refused, refused], 'each of the two streams was refused once')
})
