import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright-core'
import { until } from '../helpers/until.js'

/** Functions that read and use the pages of the demo. */

export const text = (page: Page, selector: string) => page.locator(selector).textContent()

/** Waits until a page has shown a placeholder and two values, or three values. */
export async function moves (what: string, read: () => Promise<string | null>): Promise<void> {
  const seen = new Set<string | null>()
  await until(`${what} moves`, async () => seen.add(await read()).size >= 3)
}

/** Reads the pixels of a chart, as a data URL. */
export const drawn = (page: Page, chart: string) => page.evaluate<string>(`document.querySelector('${chart} canvas')?.toDataURL() ?? ''`)

/** Reads the times of the points of a chart, ms. */
export const times = (page: Page, chart: string) => page.evaluate<number[]>(`document.querySelector('${chart}').chart.times`)
export const newest = async (page: Page, chart: string) => (await times(page, chart)).at(-1) ?? 0

/** True if there is a point for every second. */
export const everySecond = (times: number[]) => times.every((time, index) => index === 0 || time === (times[index - 1] ?? 0) + 1_000)

/** Reads the numbers of the lines that the log page shows. */
export const linesOn = (page: Page) => page.evaluate<number[]>('Array.from(document.querySelectorAll("#lines [data-seq]"), ({ dataset }) => Number(dataset.seq))')

/** Returns the line numbers of a log file between two of them. */
export async function linesOf (file: string, from = 0, to = 0): Promise<number[]> {
  const lines = (await readFile(file, 'utf8')).trim().split('\n').map((line): number => JSON.parse(line).seq)
  return lines.slice(lines.indexOf(from), lines.indexOf(to) + 1)
}

export const said = (page: Page) => page.locator('#messages p').allTextContents()
export const inRoom = (page: Page, text: string) => page.locator('#messages li', { hasText: text }).first().waitFor()

export async function say (page: Page, text: string): Promise<void> {
  await page.getByLabel('Message', { exact: true }).fill(text)
  await page.keyboard.press('Enter')
}

export async function signIn (page: Page, name: string): Promise<void> {
  await page.getByLabel('Sign in as').fill(name)
  await page.keyboard.press('Enter')
  await page.getByText(`For ${name}`).waitFor()
}

export async function notify (page: Page, text: string): Promise<void> {
  await page.getByLabel('Text').fill(text)
  await page.keyboard.press('Enter')
}

export const notified = (page: Page, text: string) => page.locator('#notifications li', { hasText: text }).waitFor()
