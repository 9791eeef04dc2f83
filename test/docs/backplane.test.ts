import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import t, { test } from 'tap'
import type { Backplane, HistorySettings } from '../../lib/backplane.js'
import { injectSSE } from '../../lib/testing.js'
import { testBackplane } from '../../lib/testing/backplane/index.js'
import { publishAll, take } from '../helpers/subscriber.js'
import { membersOf } from './compile.js'
import { pageOf, root } from './document.js'
import { run, runApp, toJavaScript } from './run.js'

const page = pageOf('docs/backplane.md')

const [code] = page.codeOf('A complete example', 'ts')
const ArrayBackplane = await run<new (history: HistorySettings) => Backplane>(t, code, 'ArrayBackplane')

testBackplane((name, run) => test(`the backplane of the page: ${name}`, run), (history) => new ArrayBackplane(history))

test('the example of the suite runs it with node:test', async (t) => {
  const [example] = page.codeOf('Test your backplane', 'ts')
  const create = 'function createBackplane (history) { return new ArrayBackplane(history) }'
  const source = toJavaScript(`${code}\n${example.replace(/^declare function .*$/m, create)}`)
  const file = join(t.testdir({ 'suite.mjs': source }), 'suite.mjs')
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', './test/typescript.mjs', '--test-reporter=tap', file], { cwd: root })
  let tests = 0
  testBackplane(() => tests++, (history) => new ArrayBackplane(history))
  t.match(stdout, `# tests ${tests}`)
  t.match(stdout, `# pass ${tests}\n# fail 0`)
})

test('an app with the backplane of the page replays missed events', async (t) => {
  const app = await runApp(t, code)
  app.sseRoute('/', { topics: ['a'] })
  const [first = '', second] = await publishAll(app, 'a', '1', '2')
  const stream = await injectSSE(app, { url: '/', headers: { 'last-event-id': first } })
  const third = await app.sse.publish('a', '3')
  t.strictSame(await take(stream, 2), [{ id: second, event: 'message', data: '2' }, { id: third, event: 'message', data: '3' }])
  stream.close()
})

test('the page names every member of the interfaces in lib/backplane.ts', (t) => {
  for (const name of membersOf('backplane.ts')) t.match(page.prose, new RegExp(`\`(\\w+\\.)?${name}[\`(]|\\b${name}\\b.*\`|\\{ .*\\b${name}\\b`), name)
  t.end()
})

test('an object without a method of a backplane is refused, and the message names the method', async (t) => {
  const names = /one of the methods (.*?) is refused/.exec(page.text)?.[1]?.match(/\w+(?=`)/g) ?? []
  t.strictSame(names, ['open', 'publish', 'control', 'read', 'rewind', 'close'])
  for (const name of names) {
    const incomplete = code.replace('new ArrayBackplane(history)', `Object.assign(new ArrayBackplane(history), { ${name}: undefined })`)
    await t.rejects(runApp(t, incomplete), { code: 'SSE_ERR_OPTION', message: new RegExp(`without a method "${name}"`) })
  }
})
