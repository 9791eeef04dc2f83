import cors, { type FastifyCorsOptions } from '@fastify/cors'
import type { FastifyInstance } from 'fastify'
import type { Page } from 'playwright-core'
import type { Test } from 'tap'
import { listen, makeApp } from '../helpers/app.js'
import { until } from '../helpers/until.js'
import type { Client } from './clients.js'

async function serve (t: Test): Promise<string> {
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  const serveFor = (prefix: string, options: FastifyCorsOptions | null) => app.register(async (scope: FastifyInstance) => {
    if (options) await scope.register(cors, options)
    scope.sseRoute('/cookie', { onConnect: ({ headers }, stream) => { stream.send(String(headers.cookie)) } })
  }, { prefix })
  await serveFor('/for-none', null)
  await serveFor('/for-all', { origin: '*' })
  await serveFor('/with-cookies', { origin: true, credentials: true })
  return `http://127.0.0.1:${await listen(app)}`
}

/** Tests that a page reads streams of another origin, with and without credentials, as @fastify/cors allows. */
export async function crossesOrigins (t: Test, chromium: Client & { page: Page }): Promise<void> {
  const origin = await serve(t)
  // a cookie belongs to a host, with any port
  await chromium.page.context().addCookies([{ name: 'who', value: 'me', url: origin }])
  const cases: Array<[path: string, withCredentials: boolean, cookie: string | null]> = [
    ['/for-none', false, null],
    ['/for-none', true, null],
    ['/for-all', false, 'undefined'],
    ['/for-all', true, null],
    ['/with-cookies', false, 'undefined'],
    ['/with-cookies', true, 'who=me']
  ]
  for (const [path, withCredentials, cookie] of cases) {
    const name = `${path}, ${withCredentials ? 'with' : 'without'} credentials`
    const followed = await chromium.follow(`${origin}${path}/cookie`, [], withCredentials)
    await until(name, async () => {
      const { events, over } = await followed.seen()
      return over || events.length > 0
    })
    const { events, opened, over } = await followed.seen()
    t.strictSame([events[0]?.data ?? null, opened, over], [cookie, cookie === null ? 0 : 1, cookie === null], name)
    await followed.close()
  }
}
