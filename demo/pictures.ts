import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { destination } from 'pino'
import { openChromium } from '../test/helpers/chromium.js'
import { numberLines } from './data/log-tail.js'
import { build } from './server.js'
import { smallPNG } from './small-png.js'

/** Writes pictures of the pages, by day and by night, as they are after two minutes: the charts have to fill first. */
const folder = fileURLToPath(new URL('pictures/', import.meta.url))
const scratch = await mkdtemp(join(tmpdir(), 'pictures-'))
const logFile = join(scratch, 'server.log')
const app = build({ logger: { level: 'debug', stream: destination(logFile), mixin: numberLines() }, logFile })
const url = await app.listen({ host: '127.0.0.1', port: 0 })
const browser = await openChromium()
type Page = Awaited<ReturnType<typeof browser.newPage>>

const post = (path: string, body: object) => fetch(url + path, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })

/** Opens a page, by day. */
async function open (path: string): Promise<Page> {
  const page = await browser.newPage({ viewport: { width: 1000, height: 760 } })
  await page.goto(url + path)
  await page.locator('#connection[data-state=live], #connection[data-state=idle]').waitFor()
  return page
}

async function take (name: string, page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' })
    await writeFile(join(folder, `${name}-${colorScheme}.png`), smallPNG(await page.screenshot({ caret: 'hide' })))
  }
  await page.close()
}

await mkdir(folder, { recursive: true })
const [dashboard, stocks] = [await open('/dashboard.html'), await open('/stocks.html?symbol=CRUX')]

const room = await open('/room.html')
for (const [name, text] of [['Ada', 'Is anybody here?'], ['Bob', 'I am. The train was in a tunnel.'], ['Ada', 'Did you miss anything?'], ['Bob', 'Nothing: it all came once I was back.']]) {
  await post('/rooms/lobby/messages', { name, text })
}
await room.getByLabel('Your name').fill('Ada')
await room.getByText('it all came').waitFor()
await take('room', room)

const notifications = await open('/notifications.html')
await notifications.getByLabel('Sign in as').fill('ada')
await notifications.keyboard.press('Enter')
await notifications.getByText('For ada').waitFor()
for (const text of ['The kettle was shipped', 'Tea is ready']) {
  await notifications.getByLabel('Text').fill(text)
  await notifications.keyboard.press('Enter')
  await notifications.locator('#notifications li', { hasText: text }).waitFor()
}
await take('notifications', notifications)

const chat = await open('/chat.html')
await chat.locator('#send').click()
await chat.locator('#talk .writing', { hasText: 'proxies, cookies' }).waitFor()
await chat.locator('#send').click()
await chat.locator('#talk .stopped').waitFor()
await take('chat', chat)

const jobs = await open('/jobs.html')
for (const file of ['broken.csv', 'customers.csv', 'orders.csv']) {
  await jobs.getByLabel('File').selectOption(file)
  await jobs.getByRole('button', { name: 'Import' }).click()
  await jobs.locator('#jobs li', { hasText: file }).waitFor()
}
await jobs.waitForFunction('document.querySelector("[data-state=running] progress")?.value >= 1_800')
await jobs.getByRole('button', { name: 'Stop customers.csv' }).click()
await jobs.waitForFunction('document.querySelector("#jobs li progress").value >= 1_200')
await take('jobs', jobs)

const react = await open('/react.html')
await react.getByRole('button', { name: 'Watch' }).click()
await react.locator('#connection[data-state=live]').waitFor()
await react.waitForFunction('document.querySelectorAll(".quotes .up, .quotes .down").length === 3')
await take('react', react)

const libraries = await open('/datastar.html')
await libraries.locator('#prices li').first().waitFor()
await take('page-libraries', libraries)

const logs = await open('/logs.html')
await logs.getByRole('button', { name: 'Send a bad request' }).click()
await logs.getByText('request refused').last().waitFor()
await take('logs', logs)

await dashboard.waitForFunction('document.querySelector("#cpu").chart.times.length >= 120', null, { timeout: 150_000 })
await take('dashboard', dashboard)
for (const quantity of [120, 45]) await post('/trades', { symbol: 'CRUX', price: 142.5, quantity })
await take('stocks', stocks)

await browser.close()
await app.close()
await rm(scratch, { recursive: true })
