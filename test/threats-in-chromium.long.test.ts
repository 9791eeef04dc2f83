import { test } from 'tap'
import { listen, makeApp } from './helpers/app.js'
import { launchChromium } from './helpers/chromium.js'

test('in a browser', async (t) => {
  const browser = await launchChromium(t)
  const page = await browser.newPage()
  // a connection that Chromium opens in advance would delay app.close()
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  const cookies: unknown[] = []
  app.get('/', (_request, reply) => reply.header('set-cookie', ['lax=1; SameSite=Lax', 'strict=1; SameSite=Strict']).type('text/html').send('<link rel="icon" href="data:,">'))
  app.sseRoute('/open', { topics: [], onConnect: ({ headers }) => cookies.push(headers.cookie) })
  const text = () => ['globalThis.ran = true // <script>ran = true</script>']
  app.sseRoute('/text', { source: text })
  app.sseRoute('/text/sniffed', { source: text, headers: { 'x-content-type-options': 'sniff' } })
  await app.register(async (app) => {
    app.addHook('onRequest', async (request) => {
      const from = request.headers['sec-fetch-site']
      if (from === 'cross-site' || from === 'same-site') throw Object.assign(new Error('not for other origins'), { statusCode: 403 })
    })
    app.sseRoute('/own', { topics: [] })
  })
  const port = await listen(app)
  const own = `http://127.0.0.1:${port}`
  const other = `http://localhost:${port}`
  const ask = (path: string, mode = 'no-cors') => page.evaluate(`fetch('${own}${path}', { mode: '${mode}', credentials: 'include' }).then(({ type }) => type, () => 'refused')`)
  const runs = (path: string) => page.evaluate(`new Promise((resolve) => {
    globalThis.ran = false
    const script = Object.assign(document.createElement('script'), { src: '${own}${path}' })
    script.onload = script.onerror = () => resolve(ran)
    document.head.append(script)
  })`)

  await t.test('the text of a stream does not run as a script on a page of its origin, because of nosniff, and is shown as text', async (t) => {
    await page.goto(own)
    t.strictSame([await runs('/text'), await runs('/text/sniffed')], [false, true])
    await page.goto(other)
    t.equal(await runs('/text'), false, 'from another origin')
    await page.goto(`${own}/text`)
    t.equal(await page.evaluate('globalThis.ran'), undefined)
  })

  await t.test('a page of another site can open streams without SameSite cookies but not read them, unless a hook checks Sec-Fetch-Site', async (t) => {
    await page.goto(own)
    t.equal(await ask('/open'), 'basic')
    await page.goto(other)
    const { opened } = app.sse.stats()
    t.strictSame([await ask('/open', 'cors'), await ask('/open')], ['refused', 'opaque'])
    t.equal(app.sse.stats().opened, opened + 2)
    t.strictSame(cookies, ['lax=1; strict=1', undefined, undefined])
    t.equal(await ask('/own'), 'opaque')
    t.equal(app.sse.stats().opened, opened + 2, 'no stream was opened')
    await page.goto(own)
    t.equal(await ask('/own'), 'basic')
  })
})
