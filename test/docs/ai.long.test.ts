import Anthropic from '@anthropic-ai/sdk'
import { Client } from '@modelcontextprotocol/sdk/client/index.js'
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js'
import { DefaultChatTransport, type UIMessage } from 'ai'
import { build } from 'esbuild'
import type { FastifyInstance } from 'fastify'
import OpenAI from 'openai'
import { fileURLToPath } from 'node:url'
import t, { test, type Test } from 'tap'
import { launchChromium } from '../helpers/chromium.js'
import { listen, until } from '../helpers/app.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/ai.md')

/** Runs a block of the page with its model. The models note their signals in `signals`. */
async function start (t: Test, model: string, code: string): Promise<{ app: FastifyInstance, url: string, signals: () => Promise<boolean[]> }> {
  const app = await runApp(t, tenLines({ after: `const signals = []\n${model}\napp.get('/signals', () => signals.map(({ aborted }) => aborted))\n${code}` }))
  return { app, url: `http://127.0.0.1:${await listen(app)}`, signals: async () => (await app.inject('/signals')).json() }
}

/** Code of the functions that the models share: waits for ms, or for ever until a signal aborts. */
const WAIT = `const wait = (ms, signal) => new Promise((resolve, reject) => {
  if (ms !== null) setTimeout(resolve, ms)
  signal.addEventListener('abort', () => reject(signal.reason))
})`

test('openai reads the chunks, aborts the model, and throws the errors before and in the stream', async (t) => {
  const model = `${WAIT}
    const complete = async function * ([{ content }], signal) {
      signals.push(signal)
      if (content === 'refuse') throw Object.assign(new Error('Slow down'), { statusCode: 429, code: 'rate_limit_exceeded' })
      for (const word of ['Hello', ', ', 'world']) yield { id: 'c-1', object: 'chat.completion.chunk', created: 1, model: 'tiny', choices: [{ index: 0, delta: { content: word }, finish_reason: null }] }
      if (content === 'fail') throw new Error('no memory on gpu-3')
      if (content === 'wait') await wait(null, signal)
    }`
  const { url, signals } = await start(t, model, page.codeOf('OpenAI', 'ts')[0])
  const client = new OpenAI({ apiKey: 'key', baseURL: `${url}/v1`, maxRetries: 0 })
  const ask = (content: string) => client.chat.completions.create({ model: 'tiny', stream: true, messages: [{ role: 'user', content }] })
  const words: string[] = []
  const read = async (content: string) => { for await (const { choices: [choice] } of await ask(content)) words.push(choice?.delta.content ?? '') }
  await read('hello')
  t.equal(words.splice(0).join(''), 'Hello, world')
  await t.rejects(read('fail'), { message: /The model failed/ })
  t.equal(words.splice(0).join(''), 'Hello, world', 'the chunks before the failure')
  const refused = await read('refuse').catch((error: unknown) => error)
  t.ok(refused instanceof OpenAI.RateLimitError)
  t.match(refused, { status: 429, message: /Slow down/, type: 'rate_limit_exceeded' })
  const left = await ask('wait')
  left.controller.abort()
  await until('the model to be stopped', async () => (await signals()).at(-1) === true)
})

const UI_MODEL = `${WAIT}
  const answer = async function * (messages, signal) {
    signals.push(signal)
    const { text } = messages.at(-1).parts[0]
    yield { type: 'start', messageId: 'm-' + messages.length }
    yield { type: 'text-start', id: 't-1' }
    for (const delta of text.split(' ')) {
      if (delta === 'fail') throw new Error('no memory on gpu-3')
      if (delta === 'hold') await Promise.race([wait(null, signal), new Promise((resolve) => { release = resolve })])
      else yield { type: 'text-delta', id: 't-1', delta }
    }
    yield { type: 'text-end', id: 't-1' }
    yield { type: 'finish' }
  }
  let release
  app.post('/release', async () => { release() })`

async function textOf (chunks: AsyncIterable<{ type: string, delta?: unknown, errorText?: unknown }> | null): Promise<string> {
  let text = ''
  if (chunks !== null) for await (const { type, delta = '', errorText = '' } of chunks) if (type === 'text-delta' || type === 'error') text += `${delta}${errorText}`
  return text
}

test('DefaultChatTransport sends messages, resumes the answer that is going on, and gets null if there is none', async (t) => {
  const { app, url, signals } = await start(t, UI_MODEL, page.codeOf('AI SDK', 'ts')[0])
  const transport = new DefaultChatTransport<UIMessage>({ api: `${url}/api/chat` })
  const send = (text: string, abortSignal?: AbortSignal) => transport.sendMessages({
    chatId: 'c-1', trigger: 'submit-message', messageId: undefined, abortSignal, messages: [{ id: 'u-1', role: 'user', parts: [{ type: 'text', text }] }]
  })
  t.equal(await transport.reconnectToStream({ chatId: 'c-1' }), null)
  const tab = new AbortController()
  const first = await send('a hold b', tab.signal)
  const second = await transport.reconnectToStream({ chatId: 'c-1' })
  tab.abort()
  await t.rejects(textOf(first as AsyncIterable<{ type: string }> & typeof first), { name: 'AbortError' })
  t.strictSame(await signals(), [false], 'the model goes on')
  await app.inject({ method: 'POST', url: '/release' })
  t.equal(await textOf(second as AsyncIterable<{ type: string }> & typeof second), 'ab')
  await until('the run to be removed', async () => await app.sse.run('chat:c-1') === null)
  t.equal(await transport.reconnectToStream({ chatId: 'c-1' }), null, 'a finished answer is not kept')

  t.equal(await textOf(await send('a fail')), 'aThe model failed')
  const stopped = await send('a hold b')
  await until('the model to wait', async () => (await app.sse.run('chat:c-1'))?.events === 3)
  t.strictSame((await app.inject({ method: 'DELETE', url: '/api/chat/c-1' })).json(), { stopped: true })
  t.equal(await textOf(stopped), 'a')
  const old = await send('a hold b')
  await until('the model to wait', async () => (await app.sse.run('chat:c-1'))?.events === 3)
  t.equal(await textOf(await send('c')), 'c', 'a new message restarts the run')
  t.equal(await textOf(old), 'a')
})

test('useChat in Chromium resumes an answer after a reload, and stops it for all pages', async (t) => {
  const { app, url, signals } = await start(t, UI_MODEL, page.codeOf('AI SDK', 'ts')[0])
  const contents = `${page.codeOf('The page', 'js')[0]}
    import { createElement, useEffect } from 'react'
    import { createRoot } from 'react-dom/client'
    function App () {
      const chat = useAnswers('c-1')
      useEffect(() => { window.chat = chat })
      const text = chat.messages.filter(({ role }) => role === 'assistant').flatMap(({ parts }) => parts).filter(({ type }) => type === 'text').map(({ text }) => text).join('|')
      return createElement('p', { id: 'chat' }, chat.status + ':' + text)
    }
    createRoot(document.getElementById('root')).render(createElement(App))`
  const { outputFiles: [script] } = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL('..', import.meta.url)), loader: 'jsx' }, bundle: true, write: false, format: 'iife', define: { 'process.env.NODE_ENV': '"production"' }, logLevel: 'silent'
  })
  const browser = await launchChromium(t)
  const open = async () => {
    const tab = await (await browser.newContext()).newPage()
    t.teardown(() => tab.close())
    await tab.route(`${url}/`, (route) => route.fulfill({ contentType: 'text/html', body: '<link rel="icon" href="data:,"><div id="root"></div><script src="/page.js"></script>' }))
    await tab.route(`${url}/page.js`, (route) => route.fulfill({ contentType: 'text/javascript', body: script?.text ?? '' }))
    await tab.goto(`${url}/`)
    return tab
  }
  const tab = await open()
  const shows = (tab: Awaited<ReturnType<typeof open>>, text: string) => tab.waitForFunction(`document.getElementById('chat')?.textContent === ${JSON.stringify(text)}`, undefined, { timeout: 15_000 })
  await shows(tab, 'ready:')
  await tab.evaluate('void chat.sendMessage({ text: "a hold b" })')
  await shows(tab, 'streaming:a')
  await tab.reload()
  await shows(tab, 'streaming:a')
  const other = await open()
  await shows(other, 'streaming:a')
  t.strictSame(await signals(), [false], 'one model, which goes on')
  await app.inject({ method: 'POST', url: '/release' })
  for (const page of [tab, other]) await shows(page, 'ready:ab')
  await tab.reload()
  await shows(tab, 'ready:')

  await tab.evaluate('void chat.sendMessage({ text: "c hold d" })')
  await shows(tab, 'streaming:c')
  await other.reload()
  await shows(other, 'streaming:c')
  await other.evaluate('void chat.stop()')
  for (const page of [tab, other]) await shows(page, 'ready:c')
  t.strictSame(await signals(), [false, true])
})

test('@anthropic-ai/sdk reads a message, and throws the error in the stream', async (t) => {
  const model = `const message = async function * ([{ content }]) {
    yield { type: 'message_start', message: { id: 'msg_1', type: 'message', role: 'assistant', model: 'tiny', content: [], stop_reason: null, stop_sequence: null, usage: { input_tokens: 1, output_tokens: 1 } } }
    yield { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } }
    for (const text of ['Hello', ', ', 'world']) yield { type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } }
    if (content === 'fail') throw new Error('no memory on gpu-3')
    yield { type: 'content_block_stop', index: 0 }
    yield { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 3 } }
    yield { type: 'message_stop' }
  }`
  const { url } = await start(t, model, page.codeOf('Anthropic', 'ts')[0])
  const client = new Anthropic({ apiKey: 'key', baseURL: url, maxRetries: 0 })
  const ask = (content: string) => client.messages.stream({ model: 'tiny', max_tokens: 10, messages: [{ role: 'user', content }] }).finalMessage()
  t.match(await ask('hello'), { content: [{ type: 'text', text: 'Hello, world' }], stop_reason: 'end_turn' })
  const failed = await ask('fail').catch((error: unknown) => error)
  t.ok(failed instanceof Anthropic.APIError)
  t.match(failed, { message: /The model failed/ })
})

test('a client of MCP initializes, calls a tool with progress, and cancels a call', async (t) => {
  const model = `${WAIT}
    const handle = async function * ({ id, method, params }, signal) {
      const result = (result) => ({ jsonrpc: '2.0', id, result })
      if (method === 'initialize') yield result({ protocolVersion: params.protocolVersion, capabilities: { tools: {} }, serverInfo: { name: 'tiny', version: '1.0.0' } })
      if (method !== 'tools/call') return
      signals.push(signal)
      for (const progress of [1, 2]) yield { jsonrpc: '2.0', method: 'notifications/progress', params: { progressToken: params._meta.progressToken, progress, total: 2 } }
      if (params.name === 'wait') await wait(null, signal)
      yield result({ content: [{ type: 'text', text: 'counted' }] })
    }`
  const { url, signals } = await start(t, model, page.codeOf('MCP', 'ts')[0])
  const client = new Client({ name: 'test', version: '1.0.0' })
  t.teardown(() => client.close())
  await client.connect(new StreamableHTTPClientTransport(new URL(`${url}/mcp`)))
  t.match(client.getServerVersion(), { name: 'tiny' })
  const steps: number[] = []
  t.match(await client.callTool({ name: 'count', arguments: {} }, undefined, { onprogress: ({ progress }) => steps.push(progress) }), { content: [{ type: 'text', text: 'counted' }] })
  t.strictSame(steps, [1, 2])
  const call = client.callTool({ name: 'wait', arguments: {} }, undefined, { onprogress: ({ progress }) => steps.push(progress) })
  call.catch(() => {})
  await until('the call to run', () => steps.length === 4)
  t.equal((await signals()).at(-1), false)
  await client.close()
  await until('the call to be stopped', async () => (await signals()).at(-1) === true)
})

t.setTimeout(120_000)
