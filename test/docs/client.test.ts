import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import { readOptions } from '../../lib/client/options.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { membersOf } from './compile.js'
import { pageOf, pathOf, root } from './document.js'
import { logged, run, runApp, tenLines, toJavaScript } from './run.js'

const page = pageOf('docs/client.md')

// Node's fetch opens another connection when it disconnects, for which app.close() would wait
const server = { forceCloseConnections: true }

test('a loop prints the opening and the prices of the first route, until its signal aborts', async (t) => {
  const app = await runApp(t, tenLines({}))
  const [code] = page.codeOf('Read events in a loop', 'ts')
  const watch = await run<(signal: AbortSignal) => Promise<void>>(t, code.replace(':3000', `:${await listen(app)}`), 'watch')
  const lines = logged(t)
  const leave = new AbortController()
  const watching = watch(leave.signal)
  await until('two lines', () => lines.length >= 2)
  leave.abort()
  await t.rejects(watching, { name: 'AbortError' })
  t.match(lines, [['live'], ['price', Number]])
})

test('a signal stops an answer, and the server notices', async (t) => {
  const app = await makeApp(t, {}, server)
  app.sseRoute<{ Body: { prompt: string } }>({
    method: 'POST',
    url: '/chat',
    source: async function * ({ body: { prompt } }, { signal }) {
      for (const data of prompt.split(' ')) yield { event: 'token', data }
      while (prompt.includes('endless') && !signal.aborted) {
        await turn()
        yield { event: 'token', data: 'more' }
      }
      yield { event: 'done', data: '' }
    }
  })
  const [code] = page.codeOf('Stop an answer', 'ts')
  const ask = await run<(prompt: string, stop: AbortSignal, show: (token: string) => void) => Promise<void>>(t, code.replace(':3000', `:${await listen(app)}`), 'ask')
  const tokens: string[] = []
  await ask('one two', new AbortController().signal, (token) => { tokens.push(token) })
  t.strictSame(tokens, ['one', 'two'])
  const stop = new AbortController()
  await t.rejects(ask('endless answer', stop.signal, (token) => { if (token === 'more') stop.abort() }), { name: 'AbortError' })
  await until('the stream to be closed', () => app.sse.stats().closed.client === 1)
})

test('an expired token is refreshed', async (t) => {
  const [code] = page.codeOf('Refresh a token', 'ts')
  type SignedIn = (url: string, refresh: () => Promise<string>, options: object) => AsyncIterator<{ data: unknown }>
  const signedIn = await run<SignedIn>(t, code, 'signedIn')
  const app = await makeApp(t, {}, server)
  const tokens = ['old', 'new']
  const seen: unknown[] = []
  app.sseRoute('/', {
    preHandler: async ({ headers }, reply) => {
      seen.push(headers.authorization)
      if (headers.authorization !== 'Bearer new') return reply.code(401).send()
    },
    source: () => [{ data: { fine: true } }]
  })
  const events = signedIn(`http://127.0.0.1:${await listen(app)}/`, async () => tokens.shift() ?? '', {})
  t.match(await events.next(), { value: { data: { fine: true } } })
  await events.return?.()
  t.strictSame([seen, tokens], [['Bearer old', 'Bearer new'], []])
})

test('a later visit resumes after the saved id', async (t) => {
  const [code] = page.codeOf('Resume in a later visit', 'ts')
  const follow = await run<(url: string, saved: Map<string, string>, handle: (data: unknown) => void) => Promise<void>>(t, code, 'follow')
  const app = await makeApp(t, {}, server)
  app.sseRoute('/', { topics: ['a'] })
  const url = `http://127.0.0.1:${await listen(app)}/`
  const saved = new Map<string, string>()
  const data: unknown[] = []
  const visit = (last: unknown) => t.rejects(follow(url, saved, (item) => {
    if (item === last) throw new Error('left')
    data.push(item)
  }), { message: 'left' })
  const first = visit(3)
  await until('the stream', () => app.sse.streams.size === 1)
  for (const item of [1, 2, 3]) await app.sse.publish('a', { data: item })
  await first
  await app.sse.publish('a', { data: 4 })
  await visit(4)
  t.strictSame(data, [1, 2, 3], 'event 3 was not handled in the first visit, so it is replayed')
})

test('a page loads its state when its stream opens, and again after a gap, but not when it resumes', async (t) => {
  const [code] = page.codeOf('Load the state of a page', 'ts')
  const followOrders = await run<(url: string, load: () => Promise<void>, show: (data: unknown) => void) => Promise<void>>(t, code, 'followOrders')
  const app = await makeApp(t, { history: { size: 1 }, retry: 300 }, server)
  app.sseRoute('/', { topics: ['a'] })
  const seen: unknown[] = []
  const done = followOrders(`http://127.0.0.1:${await listen(app)}/`, async () => { seen.push('load') }, (data) => {
    if (data === 'last') throw new Error('left')
    seen.push(data)
  })
  const seenAll = (...all: unknown[]) => until(all.join(), () => JSON.stringify(seen) === JSON.stringify(all))
  const publish = (data: unknown) => app.sse.publish('a', { data: JSON.stringify(data) })
  const cut = async () => {
    for (const stream of app.sse.streams.values()) stream.close()
    await until('the stream to be closed', () => app.sse.streams.size === 0)
  }
  await seenAll('load')
  await publish(1)
  await seenAll('load', 1)
  await cut()
  await publish(2)
  await seenAll('load', 1, 2)
  await cut()
  await publish(3)
  await publish(4)
  await seenAll('load', 1, 2, 'load', 4)
  await publish('last')
  await t.rejects(done, { message: 'left' })
})

test('the data in `end` ends the loop, which does not get it', async (t) => {
  const [code] = page.codeOf('`end`', 'ts')
  const complete = await run<(url: string, prompt: string, show: (text: string) => void) => Promise<void>>(t, code, 'complete')
  const app = await makeApp(t, {}, server)
  app.sseRoute<{ Body: { prompt: string } }>({ method: 'POST', url: '/', items: 'data', end: '[DONE]', source: ({ body }) => body.prompt.split(' ').map((text) => ({ text })) })
  const texts: string[] = []
  await complete(`http://127.0.0.1:${await listen(app)}/`, 'one two', (text) => { texts.push(text) })
  t.strictSame(texts, ['one', 'two'])
})

test('server and page share one declaration of events', async (t) => {
  const files: Record<string, Record<string, string>> = {}
  for (const code of page.codeOf('One declaration for both sides', 'ts')) {
    const [folder = '', file = ''] = pathOf(code)?.split('/') ?? []
    files[folder] = { ...files[folder], [file.replace('.ts', '.js')]: toJavaScript(code) }
  }
  t.notMatch(files.web?.['stocks.js'], '../shared', 'no schema reaches the browser')
  const folder = t.testdir({ 'package.json': '{ "type": "module" }', ...files })
  const app = await makeApp(t, {}, server)
  await app.register((await import(join(folder, 'server/stocks.js'))).default)
  const { watchStocks } = await import(join(folder, 'web/stocks.js'))
  await t.rejects(watchStocks(`http://127.0.0.1:${await listen(app)}`, (text: string) => { throw new Error(text) }), { message: 'ACME 100' })
})

test('every option of the client has a heading with its type and default, and every other member a row', (t) => {
  for (const name of membersOf('client/types.ts')) {
    const isOption = page.headings.some(({ title, level }) => level === 3 && title === `\`${name}\``)
    t.ok(isOption || page.rowOf(name).length > 0, name)
    if (isOption) t.match(page.sectionOf(`\`${name}\``).trim().split('\n')[0], /^Type: .+ · Default: .+$/, name)
  }
  t.end()
})

test('every field and code of an error of the client is on the page', (t) => {
  const source = readFileSync(join(root, 'lib/client/errors.ts'), 'utf8')
  const rows = page.sectionOf('Errors of the client')
  for (const [, name] of source.matchAll(/readonly (\w+)/g)) t.match(rows, `\n| \`${name}\` |`)
  for (const [, code] of source.matchAll(/'(SSE_ERR_\w+)'/g)) t.match(rows, `\`${code}\``)
  t.end()
})

test('the defaults on the page are those of the client', (t) => {
  const defaultOf = (name: string) => /Default: `(.*?)`/.exec(page.sectionOf(`\`${name}\``))?.[1]
  const { method, reconnect, text, inactivityTimeout, delay, maxDelay, maxRetries, fetch } = readOptions('http://127.0.0.1/', {})
  t.equal(defaultOf('method'), `'${method}'`)
  t.equal(defaultOf('text'), JSON.stringify(text))
  t.equal(defaultOf('inactivityTimeout'), String(inactivityTimeout))
  t.equal(defaultOf('retry'), `{ delay: ${delay}, maxDelay: ${maxDelay}, maxRetries: ${maxRetries} }`)
  t.equal(defaultOf('reconnect'), String(reconnect))
  t.equal(defaultOf('fetch'), 'globalThis.fetch')
  t.equal(fetch, globalThis.fetch)
  t.equal(defaultOf('credentials'), `'${new Request('http://127.0.0.1/').credentials}'`)
  t.equal(readOptions('http://127.0.0.1/', { method: 'POST' }).reconnect, false)
  t.end()
})
