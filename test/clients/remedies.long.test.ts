import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { EventSource } from 'eventsource'
import { build } from 'esbuild'
import { createEventSource } from 'eventsource-client'
import { events as fetchEventStream } from 'fetch-event-stream'
import { parseServerSentEvents } from 'parse-sse'
import Reconnecting from 'reconnecting-eventsource'
import t, { type Test } from 'tap'
import { listen, makeApp, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { ends, opens, says, serve } from '../client/server.js'

/** Starts a script of Python with a url as its argument. Returns its output, which grows, and its end. */
function python (t: Test, url: string, script: string): { text: string, ended: boolean } {
  const child = spawn('/usr/bin/python3', ['-u', '-c', script, url], { stdio: ['ignore', 'pipe', 'pipe'] })
  const output = { text: '', ended: false }
  t.teardown(() => child.kill('SIGKILL'))
  for (const pipe of [child.stdout, child.stderr]) pipe.setEncoding('utf8').on('data', (text) => { output.text += text })
  child.on('close', () => { output.ended = true })
  return output
}

t.setTimeout(300_000)

t.test('requests reads UTF-8 from bytes, and cuts lines of text at U+0085', async (t) => {
  const { url } = await serve(t, opens('data: é\u0085x\n\n'))
  const read = (setting: string, lines: string) => python(t, url, `import requests, sys\nwith requests.get(sys.argv[1], stream=True) as response:\n    ${setting}\n    for line in ${lines}: print(ascii(line))`)
  const bytes = read('pass', '(line.decode() for line in response.iter_lines())')
  const text = read("response.encoding = 'utf-8'", 'response.iter_lines(decode_unicode=True)')
  await until('bytes', () => bytes.text.includes("'data: \\xe9\\x85x'"), 60_000)
  await until('text', () => text.text.includes("'data: \\xe9'\n'x'"), 60_000)
})

t.test('httpx fails after 5 s without a byte, unless its timeout is longer than the heartbeat', async (t) => {
  const app = await makeApp(t, { heartbeat: 7_000 }, { forceCloseConnections: true })
  app.sseRoute('/', { topics: ['a'] })
  const url = `http://127.0.0.1:${await listen(app)}/`
  const read = (options: string) => python(t, url, `import httpx, sys\nwith httpx.stream('GET', sys.argv[1]${options}) as response:\n    for line in response.iter_lines(): print(line)`)
  const [plain, patient] = [read(''), read(', timeout=httpx.Timeout(5, read=45)')]
  await until('a failure', () => plain.ended, 60_000)
  t.match(plain.text, 'httpx.ReadTimeout')
  await until('the heartbeat', () => patient.text.split('\n').includes(':'), 60_000)
  t.notOk(patient.ended)
})

t.test('fetch-event-stream reports ids as events without data, and keeps spaces in JSON', async (t) => {
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  app.sseRoute('/', { topics: ['a'] })
  const response = await fetch(`http://127.0.0.1:${await listen(app)}/`)
  await until('the stream', () => app.sse.streams.size === 1)
  await app.sse.publish('a', { data: { text: ' a\n b' } })
  const seen: unknown[] = []
  for await (const { data } of fetchEventStream(response)) {
    seen.push(data)
    if (data !== undefined) break
  }
  t.strictSame(seen, [undefined, '{"text":" a\\n b"}'])
})

t.test('parse-sse reports an event with the data null', async (t) => {
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  app.sseRoute('/', { source: () => [{ event: 'a', data: '' }, { event: 'b', data: null }] })
  const seen: unknown[] = []
  for await (const { type, data } of parseServerSentEvents(await fetch(`http://127.0.0.1:${await listen(app)}/`))) seen.push([type, data])
  t.strictSame(seen, [['b', 'null']])
})

t.test('reconnecting-eventsource stops after an event for which the application closes it', async (t) => {
  const { url, requests } = await serve(t, ends('retry: 10\nevent: done\ndata\n\n'))
  const source = new Reconnecting(url, { eventSourceClass: EventSource })
  let closed = false
  source.addEventListener('done', () => {
    source.close()
    closed = true
  })
  const control = await serve(t, ends('retry: 10\n'))
  const other = new Reconnecting(control.url, { eventSourceClass: EventSource })
  t.teardown(() => other.close())
  await until('the event', () => closed)
  await until('requests of another client', () => control.requests.length > 10)
  t.equal(requests.length, 1)
})

t.test('curl exits with an error code after a 429 only with --fail, and asks again only with --retry', async (t) => {
  const { url, requests } = await serve(t, says(429))
  const run = (...options: string[]) => once(spawn('/usr/bin/curl', ['--silent', ...options, url], { stdio: 'ignore' }), 'exit')
  t.strictSame(await run(), [0, null])
  t.strictSame(await run('--fail'), [22, null])
  t.equal(requests.length, 2)
  await run('--fail', '--retry', '1')
  t.equal(requests.length, 4)
})

t.test('httpie exits with an error code after a 429 only with --check-status', async (t) => {
  const { url } = await serve(t, says(429))
  const run = (...options: string[]) => once(spawn('/usr/bin/http', ['--ignore-stdin', ...options, url], { stdio: 'ignore' }), 'exit')
  t.strictSame(await run(), [0, null])
  t.strictSame(await run('--check-status'), [4, null])
})

t.test('in a page', async (t) => {
  const { outputFiles: [script] } = await build({
    stdin: { contents: "export { fetchEventSource } from '@microsoft/fetch-event-source'; export { SSE } from 'sse.js'", resolveDir: fileURLToPath(new URL('.', import.meta.url)) },
    bundle: true,
    format: 'iife',
    globalName: 'client',
    write: false
  })
  const browser = await launchChromium(t)

  /** Runs code in a page of a server that gives these answers to `/sse`. */
  async function inPage (t: Test, answers: Parameters<typeof serve>[1][], code: string) {
    const served = await serve(t, ...answers)
    const page = await browser.newPage()
    t.teardown(() => page.close())
    await page.route('**/page', (route) => route.fulfill({ contentType: 'text/html', body: '<link rel="icon" href="data:,">' }))
    await page.goto(`${served.url}page`)
    await page.addScriptTag({ content: script?.text ?? '' })
    return { ...served, result: await page.evaluate(code) }
  }

  t.test('@microsoft/fetch-event-source waits for Retry-After, and stops after 204, with onopen and onerror', async (t) => {
    const { requests, times, result } = await inPage(t, [says(429, '', { 'retry-after': '2' }), says(204)], `client.fetchEventSource('/sse', {
      async onopen (response) {
        if (response.status !== 200) throw Object.assign(new Error('no stream'), { response })
      },
      onerror (error) {
        if (error.response?.status === 204) throw error
        const seconds = Number(error.response?.headers.get('retry-after'))
        if (seconds > 0) return seconds * 1000
      }
    }).catch(({ response }) => response.status)`)
    t.equal(result, 204)
    t.equal(requests.length, 2)
    t.ok(times[1]! - times[0]! >= 1_900)
  })

  t.test('sse.js stops after 204 if its listener of open closes it', async (t) => {
    const { requests } = await inPage(t, [says(204)], `new Promise((resolve) => {
      const source = new client.SSE('/sse', { autoReconnect: true, reconnectDelay: 10 })
      source.addEventListener('open', ({ responseCode }) => {
        if (responseCode !== 204) return
        source.close()
        setTimeout(resolve, 500)
      })
    })`)
    t.equal(requests.length, 1)
  })

  t.test('sse.js reconnects after a clean end only with autoReconnect', async (t) => {
    const { requests } = await inPage(t, [ends('retry: 10\n\n')], `new Promise((resolve) => {
      const source = new client.SSE('/sse?once')
      source.addEventListener('readystatechange', ({ readyState }) => {
        if (readyState === 2) new client.SSE('/sse', { autoReconnect: true, reconnectDelay: 10 })
      })
      setTimeout(resolve, 500)
    })`)
    await until('requests with autoReconnect', () => requests.length > 10)
    t.equal(requests.filter(({ url }) => url === '/sse?once').length, 1)
  })
})

t.test('eventsource-client asks again after a 429 until it gets its stream', async (t) => {
  const { url, requests } = await serve(t, says(429, '', { 'retry-after': '60' }), opens('data: x\n\n'))
  const events: string[] = []
  const source = createEventSource({ url, onMessage: ({ data }) => { events.push(data) } })
  t.teardown(() => source.close())
  await until('the event', () => events.length === 1, 30_000)
  t.equal(requests.length, 2)
})
