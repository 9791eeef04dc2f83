import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import { test } from 'tap'
import { listen, makeApp, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'

/** A page with @microsoft/fetch-event-source as `fetchEventSource`. */
async function page (): Promise<string> {
  const { outputFiles: [script] } = await build({
    stdin: { contents: "export * from '@microsoft/fetch-event-source'", resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    format: 'iife',
    globalName: 'client',
    write: false
  })
  return `<!doctype html><link rel="icon" href="data:,"><script>${script?.text}</script>`
}

test('@microsoft/fetch-event-source', async (t) => {
  const app = await makeApp(t, { heartbeat: 100, retry: 1_000 }, { forceCloseConnections: true })
  const html = await page()
  let requests = 0
  app.get('/', (_request, reply) => reply.type('text/html').send(html))
  app.sseRoute({
    method: 'POST',
    url: '/answer',
    onRequest: async () => { requests++ },
    source: async function * () {
      for (let i = 0; i < 3; i++) {
        yield { id: i, event: 'token', data: { i } }
        await new Promise((resolve) => setTimeout(resolve, 350))
      }
    }
  })
  app.sseRoute('/topics', { topics: ['a'] })
  const browser = await launchChromium(t)
  const tab = await browser.newPage()
  await tab.goto(`http://127.0.0.1:${await listen(app)}/`)

  t.test('fetch-event-source sends a POST once, and reads only its events between heartbeats', async (t) => {
    // parses each message, as its users do: an empty one throws, and the client sends the POST again
    const messages = await tab.evaluate(`new Promise((resolve, reject) => {
      const messages = []
      client.fetchEventSource('/answer', {
        method: 'POST',
        onmessage ({ id, event, data }) { messages.push({ id, event, data: JSON.parse(data) }) },
        onclose () { resolve(messages) },
        onerror (error) { reject(error); throw error }
      })
    })`)
    t.same(messages, [0, 1, 2].map((i) => ({ id: String(i), event: 'token', data: { i } })))
    t.equal(requests, 1)
  })

  t.test('fetch-event-source reads ids of the log in messages without data, and misses no event', async (t) => {
    await tab.evaluate(`globalThis.messages = []
    // without onclose it reconnects after failures only
    void client.fetchEventSource('/topics', { onmessage (message) { messages.push(message) }, onclose () { throw new Error('ended') } })`)
    await until('it is open', () => app.sse.stats().active === 1)
    for (const data of ['1', '2']) await app.sse.publish('a', data)
    await until('both', async () => (await tab.evaluate('messages.filter(({ data }) => data !== "").length')) === 2)
    for (const stream of app.sse.streams.values()) stream.close()
    await app.sse.publish('a', '3')
    await until('the third', async () => (await tab.evaluate('messages.filter(({ data }) => data !== "").map(({ data }) => data).join()')) === '1,2,3')
  })
})
