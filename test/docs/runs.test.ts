import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { readRunOptions } from '../../lib/options/runs.js'
import { runRules } from '../../lib/options/rules.js'
import { type InjectedStream, injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { pageOf } from './document.js'
import { run, runApp, tenLines } from './run.js'

const page = pageOf('docs/runs.md')

/** A model whose tokens are the words of a prompt. It waits while `global.paused` is true. */
const model = `const signals = []
const model = async function * (prompt, signal) {
  signals.push(signal)
  for (const word of prompt.split(' ')) {
    if (word === 'wait') await new Promise((resolve, reject) => { signal.addEventListener('abort', () => reject(signal.reason)) })
    else if (word === 'slow') await new Promise((resolve) => setTimeout(resolve, 50))
    else yield word
  }
}
app.get('/signals', () => signals.map(({ aborted }) => aborted))`

/** Runs the route of a chat, the route that reads its runs, and the route that stops them. */
function runChat (t: Test): Promise<FastifyInstance> {
  const blocks = [...page.codeOf('Start a run with a request', 'ts'), ...page.codeOf('Read a run', 'ts'), ...page.codeOf('Stop a run', 'ts')]
  return runApp(t, tenLines({ after: [model, ...blocks].join('\n') }))
}

const ask = (app: FastifyInstance, prompt: string, headers = {}) => injectSSE(app, { method: 'POST', url: '/chats/7', payload: { prompt }, headers })

async function textOf (stream: InjectedStream): Promise<string> {
  const events: string[] = []
  for await (const { event, data } of stream) events.push(`${event} ${data}`.trim())
  return events.join(', ')
}

test('a run goes on without its client, is read from its beginning, and a second request joins it', async (t) => {
  const app = await runChat(t)
  t.equal((await app.inject('/chats/7/stream')).statusCode, 204)
  const first = await ask(app, 'a slow b slow c')
  t.match(await first.next(), { event: 'token', data: 'a' })
  first.close()
  const [second, reader] = await Promise.all([ask(app, 'not read'), injectSSE(app, '/chats/7/stream')])
  for (const stream of [second, reader]) t.equal(await textOf(stream), 'token a, token b, token c, done')
  t.strictSame((await app.inject('/signals')).json(), [false], 'one source')
  t.equal(await textOf(await ask(app, 'd')), 'token d, done', 'an ended run is not joined')
})

test('a stopped run ends for all its readers with the event of end', async (t) => {
  const app = await runChat(t)
  const stop = async () => (await app.inject({ method: 'DELETE', url: '/chats/7' })).json()
  t.strictSame(await stop(), { stopped: false })
  const [first, second] = [await ask(app, 'a wait'), await injectSSE(app, '/chats/7/stream')]
  await until('the token', async () => (await app.sse.run('chat:7'))?.events === 1)
  t.strictSame(await stop(), { stopped: true })
  for (const stream of [first, second]) t.equal(await textOf(stream), 'token a, done')
  t.match(await app.sse.run('chat:7'), { state: 'stopped' })
  t.strictSame((await app.inject('/signals')).json(), [true])
})

test('the client reads a run to its end', async (t) => {
  const [code] = page.codeOf('Read a run with the client', 'ts')
  const app = await runChat(t)
  const url = `http://127.0.0.1:${await listen(app)}/chats/7/stream`
  const readAnswer = await run<(url: string, show: (text: string) => void) => Promise<void>>(t, code, 'readAnswer')
  const shown: string[] = []
  await readAnswer(url, (text) => shown.push(text))
  t.strictSame(shown, [], 'no run')
  const first = await ask(app, 'a b slow c')
  await readAnswer(url, (text) => shown.push(text))
  t.strictSame(shown, ['a', 'ab', 'abc'])
  first.close()
})

test('a job runs without a client, can be read, and its state can be asked for', async (t) => {
  const [code] = page.codeOf('Start a run without a client', 'ts')
  const before = `const stored = []
    const rowsOf = async function * (file) { for (const name of ['x', 'y']) { yield { file, name }; await new Promise((resolve) => setTimeout(resolve, 20)) } }
    const store = async (row) => { stored.push(row.name) }
    app.get('/stored', () => stored)
    app.sseRoute('/imports/:file/events', { resume: ({ params }) => 'import:' + params.file })`
  const app = await runApp(t, tenLines({ after: `${before}\n${code}` }))
  t.equal((await app.inject('/imports/a.csv')).statusCode, 404)
  const started = (await app.inject({ method: 'POST', url: '/imports/a.csv' })).json()
  t.match(started, { key: 'import:a.csv', state: 'running', endedAt: null })
  t.equal(await textOf(await injectSSE(app, '/imports/a.csv/events')), 'progress {"rows":1}, progress {"rows":2}, done')
  t.strictSame((await app.inject('/stored')).json(), ['x', 'y'])
  const ended = (await app.inject('/imports/a.csv')).json()
  t.match(ended, { id: started.id, state: 'done', events: 3 })
  t.strictSame(Object.keys(ended), Array.from(page.sectionOf('The state of a run').split('| state |')[0]?.matchAll(/^\| `(\w+)` /gm) ?? [], ([, name]) => name))
})

test('the options of runs have the defaults of the table and of their headings', (t) => {
  const { key, ...defaults } = { key: 'none', ...readRunOptions('resumable', {}, []) }
  t.strictSame(Object.keys(runRules), Object.keys(defaults))
  const rows = Array.from(page.sectionOf('Options of a run').matchAll(/^\| \[`(\w+)`\]\(#(\w+)\) \| (.+?) \|/gm), ([, name = '', anchor = '', given = '']): [string, string, string] => [name, anchor, given])
  t.strictSame(rows, Object.entries({ key, ...defaults }).map(([name, value]) => [name, name.toLowerCase(), name === 'key' ? 'none' : `\`${typeof value === 'string' ? `'${value}'` : value}\``]))
  for (const [name, , given] of rows) t.ok(/^\nType: .+ · Default: (.+)\n/.exec(page.sectionOf(`\`${name}\``))?.[1] === given, name)
  t.end()
})

test('events have the ids shown, and a request with an id gets the events after it, or 204', async (t) => {
  const [shown] = page.codeOf('Ids and reconnects', '')
  const app = await runChat(t)
  const body = (await app.inject({ method: 'POST', url: '/chats/7', payload: { prompt: 'Hello' } })).body
  const id = (await app.sse.run('chat:7'))?.id ?? ''
  t.equal(body.replaceAll(id, 'Xq3vT0aBcDeFgHiJkLmN'), shown)
  const reconnect = (id: string, method: 'GET' | 'POST' = 'GET') => app.inject({ method, url: method === 'GET' ? `/chats/7/stream?lastEventId=${encodeURIComponent(id)}` : '/chats/7', headers: method === 'GET' ? {} : { 'last-event-id': id }, ...(method === 'POST' && { payload: { prompt: 'b' } }) })
  t.equal((await reconnect(`${id}/1`)).body, `id: ${id}/2\nevent: done\ndata: \n\n`)
  for (const method of ['GET', 'POST'] as const) t.equal((await reconnect(`${id}/2`, method)).statusCode, 204, method)
  t.equal((await reconnect(`${'x'.repeat(20)}/2`, 'POST')).body, body, 'the id of another run: the newest run from its beginning, and no new one')
  t.equal((await app.inject('/chats/7/stream')).body, body)
  const other = await app.inject({ method: 'POST', url: '/chats/8', payload: { prompt: 'b' }, headers: { 'last-event-id': `${id}/2` } })
  t.equal(other.statusCode, 204, 'no run of the key')
  t.equal((await app.inject('/signals')).json().length, 1)
})

test('a source that fails: the event error is shown, and is the last event', async (t) => {
  const [shown] = page.codeOf('Failures', '')
  const app = await makeApp(t)
  app.sseRoute('/', {
    resumable: { key: () => 'a' },
    end: 'end',
    source: function * () {
      yield * ['a', 'b']
      throw new Error('The model is overloaded')
    }
  })
  for (const time of ['first', 'second']) {
    const { body } = await app.inject(time === 'first' ? '/' : { url: '/', headers: { 'last-event-id': `${(await app.sse.run('a'))?.id}/2` } })
    const id = (await app.sse.run('a'))?.id ?? ''
    t.ok(body.replaceAll(id, 'Xq3vT0aBcDeFgHiJkLmN').endsWith(shown), time)
  }
  t.match(await app.sse.run('a'), { state: 'failed', events: 3 })
})

test('onError returns another last event, which hides the message of the error', async (t) => {
  const [code] = page.codeOf('Send another last event', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.equal(await textOf(await injectSSE(app, { method: 'POST', url: '/reports/1' })), 'page 1, failed {"retry":true}')
})

test('the onError of the plugin is called for a run of a route without onError, and its result is ignored', async (t) => {
  const errors: string[] = []
  const app = await makeApp(t, { onError: ({ message }) => errors.push(message) })
  app.sseRoute('/', { resumable: { key: () => 'a' }, source: () => { throw new Error('failed') } })
  t.equal(await textOf(await injectSSE(app, '/')), 'error {"message":"failed"}')
  t.strictSame(errors, ['failed'])
})

test('a handler sends a run', async (t) => {
  const [code] = page.codeOf('Runs in handlers', 'ts')
  const before = 'let calls = 0\nconst summary = async function * (article) { calls++; yield article; await new Promise((resolve) => setTimeout(resolve, 50)); yield \'end\' }\napp.get(\'/calls\', () => ({ calls }))'
  const app = await runApp(t, tenLines({ after: `${before}\n${code}` }))
  const post = () => injectSSE(app, { method: 'POST', url: '/articles/5/summary' })
  const streams = [await post(), await post()]
  for (const stream of streams) t.equal(await textOf(stream), 'message 5, message end, message [DONE]')
  t.strictSame((await app.inject('/calls')).json(), { calls: 1 })
})

test('a slow reader delays neither the source nor another reader', async (t) => {
  const app = await makeApp(t)
  await app.sse.start('large', () => Array.from({ length: 200 }, () => 'x'.repeat(50_000)))
  app.sseRoute('/', { resume: () => 'large' })
  const slow = await injectSSE(app, '/')
  await slow.next()
  let events = 0
  for await (const { data } of await injectSSE(app, '/')) events += data.length / 50_000
  t.equal(events, 200)
  t.match(await app.sse.run('large'), { state: 'done' })
  slow.close()
})
