import { test } from 'tap'
import * as errors from '../../lib/errors.js'
import { injectSSE } from '../../lib/testing.js'
import { ends, says, serve } from '../client/server.js'
import { CAUSES, CLIENT_CAUSES } from '../error-causes.js'
import { makeApp } from '../helpers/app.js'
import { pageOf } from './document.js'
import { run, runApp, tenLines } from './run.js'

const page = pageOf('docs/errors.md')

/** Returns the codes that have a heading under one of the page's sections, each with the text below it. */
function codesUnder (...sections: string[]): Record<string, string> {
  const codes: Record<string, string> = {}
  let section = ''
  for (const { level, title } of page.headings) {
    const [, code] = /^`(SSE_ERR_\w+)`/.exec(title) ?? []
    if (level === 2) section = title
    else if (code !== undefined && sections.includes(section)) codes[code] = page.sectionOf(title)
  }
  return codes
}

const documented = {
  plugin: codesUnder('Payloads and events', 'Publishing', 'Options and set-up', 'Sources and replies', 'Requests and limits'),
  client: codesUnder('Errors of the client')
}

test('each error of the plugin and of the client has a heading, with its status, its occasion and what to do', (t) => {
  t.strictSame(Object.keys(documented.plugin).sort(), Object.keys(CAUSES).sort())
  t.strictSame(Object.keys(documented.client).sort(), Object.keys(CLIENT_CAUSES).sort())
  for (const [code, text] of Object.entries(documented.plugin)) {
    t.match(text, new RegExp(`^\n- \\*\\*Status:\\*\\* ${CAUSES[code]?.[0]}(\n|; )`), code)
  }
  for (const [code, text] of [...Object.entries(documented.plugin), ...Object.entries(documented.client)]) {
    t.match(text, /^\n- \*\*Status:\*\* \w.*\n- \*\*When:\*\* \S[^]*\n- \*\*What to do:\*\* \S.*\n/, code)
  }
  t.end()
})

test('the status of each error is the one that its class has', (t) => {
  for (const [code, error] of Object.entries(errors)) {
    if (!code.startsWith('SSE_ERR_')) continue
    const { statusCode } = new (error as new () => { statusCode: number })()
    t.match(documented.plugin[code], `**Status:** ${statusCode}`, code)
  }
  t.end()
})

test('the table of statuses has the statuses, codes and Retry-After headers of refusals', async (t) => {
  const rows = Array.from(page.sectionOf('Causes of each status').matchAll(/^\| (\d{3}) \| (.*) \| (.*) \|$/gm), ([, status, cause = '', retryAfter]) => ({ status: Number(status), cause, retryAfter }))
  const app = await makeApp(t, {}, { handlerTimeout: 50 })
  app.sseRoute('/', { topics: [] })
  app.sseRoute('/full', { topics: [], maxStreams: 1 })
  app.sseRoute('/client', { topics: [], maxStreamsPerClient: { max: 1 } })
  app.sseRoute('/busy', { source: () => new Promise<never>(() => {}), resumable: { key: () => 'a', onBusy: 'refuse' } })
  app.sseRoute('/late', { topics: () => new Promise<never>(() => {}) })
  app.sseRoute('/304', { openOn: 'first-event', source: () => new Response(null, { status: 304 }) })
  app.sseRoute('/bad', { topics: () => [''] })
  const open = await Promise.all(['/full', '/client', '/busy'].map((url) => injectSSE(app, url)))
  const statuses: number[] = []
  for (const [url, accept] of [['/', 'text/html'], ['/full'], ['/client'], ['/busy'], ['/late'], ['/304'], ['/bad']] as const) {
    const { statusCode, headers, body } = await app.inject({ url, headers: accept === undefined ? {} : { accept } })
    const { code } = JSON.parse(body)
    const row = rows.find(({ status, cause }) => status === statusCode && (cause.includes(`\`${code}\``) || status === 500))
    t.equal(row?.retryAfter, headers['retry-after'] === undefined ? 'no' : `${headers['retry-after']} s`, `${url}: ${statusCode} ${code}`)
    statuses.push(statusCode)
  }
  t.strictSame(statuses, [406, 503, 429, 409, 503, 502, 500])
  for (const stream of open) stream.close()
})

test('an error handler hides the message of a 500, and passes on that of a 406', async (t) => {
  const [code] = page.codeOf('Before a stream is open', 'ts')
  const bad = 'app.sseRoute({ url: \'/bad\', topics: () => [\'\'] })'
  const app = await runApp(t, tenLines({ after: `${code}\n${bad}` }))
  const failed = await app.inject('/bad')
  t.strictSame([failed.statusCode, failed.json()], [500, { message: 'The server failed' }])
  const refused = await app.inject({ url: '/stocks/ACME', headers: { accept: 'text/html' } })
  t.strictSame([refused.statusCode, refused.json()], [406, { message: 'This route answers with text/event-stream, which the Accept header rules out' }])
  const shown = await runApp(t, tenLines({ after: bad }))
  t.match((await shown.inject('/bad')).json(), { statusCode: 500, code: 'SSE_ERR_TOPIC', message: /^A topic is a string/ })
})

test('an error on an open stream goes to onError', async (t) => {
  const [code] = page.codeOf('On an open stream', 'ts')
  const logger = 'const lines = []\nconst logger = { level: \'warn\', stream: { write: (line) => { lines.push(JSON.parse(line)) } } }'
  const app = await runApp(t, tenLines({ after: `app.decorate('lines', lines)\n${code}` }).replace('const app = Fastify()', () => `${logger}\nconst app = Fastify({ logger })`))
  await t.rejects(app.inject('/orders'), { code: 'LIGHT_ECONNRESET' }, 'the stream was open, and broke off')
  t.match(app.getDecorator<object[]>('lines'), [{ level: 40, msg: 'orders stopped', err: { code: 'SSE_ERR_SERIALIZATION' } }])
})

test('an error of the client has the status of the response', async (t) => {
  const [code] = page.codeOf('Errors of the client', 'ts')
  const read = await run<(url: string) => Promise<string>>(t, code.replace('sse(url)', 'sse(url, { reconnect: false })'), 'read')
  const { url: refusing } = await serve(t, says(401))
  t.equal(await read(refusing), 'sign in')
  const { url: missing } = await serve(t, says(404))
  await t.rejects(read(missing), { code: 'SSE_ERR_NO_STREAM', status: 404 })
  const { url: ending } = await serve(t, ends('data: 1\n\n'))
  const { log } = console
  t.teardown(() => { console.log = log })
  console.log = () => {}
  t.equal(await read(ending), 'ended')
})
