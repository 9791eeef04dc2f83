import t from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { startInterruptibleProxy } from '../helpers/interruptible-proxy.js'
import { until } from '../helpers/until.js'
import { pairs, startExample, take } from './program.js'

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

t.test('the page of the chat asks, shows the whole answer after a reload, and a second page stops an answer for both', async (t) => {
  const url = await startExample(t, 'resumable-chat').url()
  const browser = await launchChromium(t)
  const [page, other] = [await browser.newPage(), await browser.newPage()]
  const answerOf = async (of: typeof page) => await of.locator('#answer').textContent() ?? ''
  const press = async (of: typeof page, button: 'ask' | 'stop') => {
    const method = button === 'ask' ? 'POST' : 'DELETE'
    const [response] = await Promise.all([of.waitForResponse((response) => response.request().method() === method), of.click(`#${button}`)])
    return response
  }
  await page.goto(url)
  t.equal(await answerOf(page), '')
  await press(page, 'ask')
  await until('the first words', async () => (await answerOf(page)).startsWith('This answer goes'))
  await page.reload()
  await other.goto(url)
  for (const reader of [page, other]) await until('the whole answer', async () => /^This answer .* of them\.$/.test(await answerOf(reader)))

  // on a slow machine an answer may be over before it is stopped
  await until('an answer that was stopped', async () => {
    await press(page, 'ask')
    await other.reload()
    return Object(await (await press(other, 'stop')).json()).stopped
  })
  const part = pairs(await take(await fetch(`${url}/chats/7`), Infinity)).filter(([event]) => event === 'token').map(([, data]) => data).join('')
  t.notMatch(part, /of them\.$/)
  for (const reader of [page, other]) await until('the part that was sent', async () => await answerOf(reader) === part)
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
