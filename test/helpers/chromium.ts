import { existsSync } from 'node:fs'
import { chromium, type Browser } from 'playwright-core'
import type { Test } from 'tap'

const paths = [process.env.CHROMIUM_PATH, '/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', chromium.executablePath()]

/** Starts a headless Chromium. Throws an error that says what to install if there is none. */
export async function openChromium (): Promise<Browser> {
  const executablePath = paths.find((place) => place && existsSync(place))
  if (!executablePath) throw new Error('The pages need Chromium: run `apt-get install chromium` or `npx playwright-core install chromium`, or set CHROMIUM_PATH.')
  return chromium.launch({
    executablePath,
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']
  })
}

/** Starts a Chromium that closes at the end of the test. */
export async function launchChromium (t: Test): Promise<Browser> {
  const browser = await openChromium()
  t.teardown(() => browser.close())
  return browser
}
