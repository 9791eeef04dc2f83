import type { Page } from 'playwright-core'
import t from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { startDemoServer } from '../helpers/demo-server.js'
import { until } from '../helpers/until.js'
import { badge, looksWell, unexpected, visit, watch } from './visit.js'

const [browser, server] = await Promise.all([launchChromium(t), startDemoServer(t)])

const job = (page: Page, file: string) => page.locator('#jobs li', { hasText: file })
const bar = (page: Page, file: string) => job(page, file).locator('progress')
const rows = async (page: Page, file: string) => Number(await bar(page, file).getAttribute('value'))
const state = (page: Page, file: string, state: string) => page.locator(`#jobs li[data-state=${state}]`, { hasText: file }).waitFor()

async function start (page: Page, file: string): Promise<void> {
  await page.getByLabel('File').selectOption(file)
  await page.getByRole('button', { name: 'Import' }).click()
  await job(page, file).waitFor()
}

t.test('the jobs page shows imports that started before it, their progress, a failure, and a stop in another tab', async (t) => {
  // no page reads this job at first
  await fetch(`${server.url}/jobs`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"file":"broken.csv"}' })
  const { page, faults } = await visit(browser, `${server.url}/jobs.html`)
  await badge(page, 'live')
  await state(page, 'broken.csv', 'failed')
  t.equal(await job(page, 'broken.csv').locator('.state').textContent(), 'Failed after 500 of 1,000 rows: Row 531 has 3 columns in place of 4')
  t.equal(await job(page, 'broken.csv').getByRole('button').count(), 0, 'it cannot be stopped any more')

  await start(page, 'orders.csv')
  await start(page, 'customers.csv')
  await until('the first import goes on', async () => await rows(page, 'orders.csv') > 100)
  t.equal(await rows(page, 'customers.csv'), 0, 'the other one waits')
  const before = await rows(page, 'orders.csv')
  await page.reload()
  await until('the progress goes on after a reload', async () => await rows(page, 'orders.csv') > before)
  t.strictSame(await page.locator('#jobs b').allTextContents(), ['customers.csv', 'orders.csv', 'broken.csv'], 'a reload shows each job once')
  await state(page, 'broken.csv', 'failed')

  const tab = await page.context().newPage()
  const others = watch(tab)
  await tab.goto(`${server.url}/jobs.html`)
  await until('another tab shows the progress', async () => await rows(tab, 'orders.csv') > before)
  await tab.getByRole('button', { name: 'Stop orders.csv' }).click()
  for (const each of [page, tab]) await state(each, 'orders.csv', 'stopped')
  const stopped = /^Stopped after [\d,]+ of 6,000 rows$/
  t.match(await job(page, 'orders.csv').locator('.state').textContent(), stopped)
  t.equal(await job(tab, 'orders.csv').locator('.state').textContent(), await job(page, 'orders.csv').locator('.state').textContent(), 'both tabs show how far it came')
  for (const each of [page, tab]) await until('the next import begins in both tabs', async () => await rows(each, 'customers.csv') > 0)
  // not while a later step needs an import that goes on, because this takes long on a busy machine
  await looksWell(t, page)
  await until('the import is done', async () => await job(page, 'customers.csv').getAttribute('data-state') === 'done', 30_000)
  t.equal(await job(page, 'customers.csv').locator('.state').textContent(), 'Done: 4,000 of 4,000 rows')
  await page.reload()
  await state(page, 'customers.csv', 'done')
  t.match(await page.locator('#jobs .state').allTextContents(), ['Done: 4,000 of 4,000 rows', stopped, /^Failed after 500/], 'a reload shows jobs that have ended')
  t.strictSame(unexpected([...faults, ...others]), [])
})
