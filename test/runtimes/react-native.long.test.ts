import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import t from 'tap'
import { listen, makeApp, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'

t.test('the client reads no events with whatwg-fetch, which is the fetch of React Native, because it gives a response only after its end', async (t) => {
  const app = await makeApp(t, { heartbeat: 50 }, { forceCloseConnections: true })
  const { outputFiles: [script] } = await build({
    stdin: { contents: "export { fetch } from 'whatwg-fetch'; export { sse } from '../../lib/client/index.ts'", resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    format: 'iife',
    globalName: 'client',
    write: false
  })
  app.get('/', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  app.sseRoute('/ends', { source: () => ['x'] })
  app.sseRoute('/topics', { topics: ['a'] })
  const page = await (await launchChromium(t)).newPage()
  await page.goto(`http://127.0.0.1:${await listen(app)}/`)
  await page.addScriptTag({ content: script?.text ?? '' })
  const failure = (path: string, options: string) => page.evaluate(`client.sse('${path}', { fetch: client.fetch, ${options} }).next().then(JSON.stringify, ({ code, status = null }) => [code, status])`)

  t.strictSame(await failure('/ends', ''), ['SSE_ERR_NO_STREAM', 200], 'a stream that ends')
  const open = failure('/topics', 'inactivityTimeout: 2_000, retry: { maxRetries: 0 }')
  await until('the stream', () => app.sse.streams.size === 1)
  t.strictSame(await open, ['SSE_ERR_INACTIVITY_TIMEOUT', null], 'a stream that stays open, although heartbeats arrive')
  await until('the server to notice', () => app.sse.streams.size === 0)
})
