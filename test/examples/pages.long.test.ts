import t from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { startInterruptibleProxy } from '../helpers/interruptible-proxy.js'
import { until } from '../helpers/until.js'
import { startExample } from './program.js'

function post (url: string, body?: string): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': 'text/plain' }, body })
}

t.test('the page of tickets gets a ticket for each stream, and misses no notice after a disconnect', async (t) => {
  const program = startExample(t, 'tickets')
  const url = await program.url()
  const proxy = await startInterruptibleProxy(t, url)
  const page = await (await launchChromium(t)).newPage()
  const inboxes = () => program.output().match(/"url":"\/inbox"/g)?.length ?? 0
  const notices = () => page.locator('li').count()
  await page.goto(proxy.url)
  await until('the stream', () => inboxes() === 1)
  await until('a notice', async () => {
    await post(`${url}/users/ann`)
    return await notices() > 0
  })
  const before = await notices()
  proxy.interrupt()
  for (let i = 0; i < 3; i++) await post(`${url}/users/ann`)
  await proxy.restore()
  await until('the missed notices', async () => await notices() >= before + 3)
  t.ok(inboxes() >= 2)
  t.notMatch(program.output(), 'ticket=')
})

t.test('the page of the chat asks, shows the whole answer after a reload, and stops it for a second page', async (t) => {
  const program = startExample(t, 'resumable-chat')
  const url = await program.url()
  const browser = await launchChromium(t)
  const [page, other] = [await browser.newPage(), await browser.newPage()]
  const answerOf = async (of: typeof page) => await of.locator('#answer').textContent() ?? ''
  await page.goto(url)
  t.equal(await answerOf(page), '')
  await page.click('#ask')
  await until('the first words', async () => (await answerOf(page)).startsWith('This answer goes'))
  await page.reload()
  await other.goto(url)
  for (const reader of [page, other]) await until('the words before the reload, and later ones', async () => /^This answer goes on without you\. Reload/.test(await answerOf(reader)))
  await other.click('#stop')
  t.equal(Object(await (await fetch(`${url}/chats/7`, { method: 'DELETE' })).json()).stopped, false)
  for (const reader of [page, other]) t.notMatch(await answerOf(reader), 'all of them')
  const stopped = await answerOf(page)
  await other.reload()
  await until('the part that was sent', async () => await answerOf(other) === stopped)
  await page.click('#ask')
  await until('the end of a new answer', async () => /them\.$/.test(await answerOf(page)))
})

t.test('the tabs of one browser share a connection, and another tab takes it over', async (t) => {
  const url = await startExample(t, 'tabs').url()
  const open = async () => Object(await (await fetch(`${url}/streams`)).json()).open
  const context = await (await launchChromium(t)).newContext()
  const holder = await context.newPage()
  await holder.goto(url)
  await holder.getByText('This tab holds the connection').waitFor()
  const tabs = [await context.newPage(), await context.newPage()]
  for (const tab of tabs) {
    await tab.goto(url)
    await tab.getByText('Another tab holds the connection').waitFor()
  }
  t.equal(await open(), 1)
  await post(`${url}/news`, 'Tea is ready')
  for (const tab of [holder, ...tabs]) await tab.getByText('Tea is ready').waitFor()
  await holder.close()
  await post(`${url}/news`, 'Coffee too')
  for (const tab of tabs) await tab.getByText('Coffee too').waitFor()
  const texts = await Promise.all(tabs.map((tab) => tab.locator('p').textContent()))
  t.strictSame(texts.sort(), ['Another tab holds the connection', 'This tab holds the connection'])
  t.equal(await open(), 1)
})
