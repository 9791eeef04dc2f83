import { mock } from 'node:test'
import { test } from 'tap'
import { until } from '../helpers/app.js'
import { injectSSE } from '../../lib/testing.js'
import { membersOf } from './compile.js'
import { pageOf } from './document.js'
import { logged, run, runApp, tenLines } from './run.js'

const page = pageOf('docs/testing.md')

test('a test reads a stream without a port and closes the app', async (t) => {
  const [code] = page.codeOf('Read a stream without a port', 'ts')
  const lines = logged(t)
  const app = await runApp(t, tenLines({ after: code }))
  t.match(lines, [[200, 'text/event-stream'], [undefined, 'price', { symbol: 'ACME', price: Number }]])
  t.strictSame([lines.length, app.server.listening, app.sse.stats().active], [2, false, 0])
  await t.rejects(app.sse.broadcast('late'), { code: 'SSE_ERR_CLOSING' })
})

test('a test reads three events of an endless interval, which stops when the loop is left', async (t) => {
  const [code] = page.codeOf('Test an interval that never ends', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  await until('the stream to be closed', () => app.sse.streams.size === 0)
  t.match(app.sse.stats(), { opened: 1, closed: { client: 1 } })
})

test('a test sees the signal and the reason of a disconnect', async (t) => {
  const [code] = page.codeOf('Test a disconnect', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.match(app.sse.stats().closed, { client: 1 })
})

test('a test signs in, and sees the refusal of a request that does not', async (t) => {
  const [code] = page.codeOf('Test a route behind sign-in', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.equal(app.sse.stats().opened, 1)
})

test('a test reconnects and gets the event that it missed', async (t) => {
  const [code] = page.codeOf('Test replay after a reconnect', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.match(app.sse.stats(), { opened: 2, resumed: 1, replayed: 1, gaps: 0 })
})

test('a test with the id 0-0 gets a gap, then all events of the log', async (t) => {
  const [code] = page.codeOf('Test a gap', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.match(app.sse.stats(), { opened: 1, replayed: 1, gaps: 1 })
})

test('a test reads the last event and the retry of a stream that the shutdown ends', async (t) => {
  const [code] = page.codeOf('Test the shutdown', 'ts')
  const app = await runApp(t, code)
  t.match(app.sse.stats(), { opened: 1, active: 0 })
})

test('a test reaches both limits', async (t) => {
  const [code] = page.codeOf('Test a limit', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.match(app.sse.stats(), { opened: 2, rejected: 2 })
})

test('a test sees a source fail after its first event, and onError gets the error', async (t) => {
  const [code] = page.codeOf('Test a source that fails', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.match(app.sse.stats(), { sent: 1, closed: { error: 1 } })
})

test('a test sees a failure before the first event as an HTTP error', async (t) => {
  const [code] = page.codeOf('Test a failure before the first event', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.equal(app.sse.stats().opened, 0)
})

test('a test waits for a heartbeat', async (t) => {
  const [code] = page.codeOf('Wait for a heartbeat', 'ts')
  const lines = logged(t)
  await runApp(t, tenLines({ after: code }))
  t.match(lines, [[/^:\n/m]])
})

test('a test with fake timers of node:test reads the next price', async (t) => {
  const [code] = page.codeOf('With node:test', 'ts')
  const lines = logged(t)
  await runApp(t, tenLines({ after: code }))
  t.strictSame(lines, [['price']])
})

test('one long step makes all ticks that it passes over, with node:test at most 1,001', async (t) => {
  const code = 'let calls = 0\napp.sseRoute("/calls", { interval: 1_000, payload: () => { calls++ } })\napp.get("/made", () => ({ calls }))'
  const app = await runApp(t, tenLines({ after: code }))
  await app.ready()
  t.teardown(() => mock.timers.reset())
  mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  const stream = await injectSSE(app, '/calls')
  const calls = async () => (await app.inject('/made')).json().calls
  t.equal(await calls(), 1)
  mock.timers.tick(5_000)
  t.equal(await calls(), 6)
  mock.timers.tick(5_000_000)
  t.equal(await calls() - 6, 1_001)
  stream.close()
})

test('every member of a stream and of an event in tests has a row', (t) => {
  for (const name of membersOf('testing.ts')) t.match(page.text, new RegExp(`^\\| \`${name}(\\(\\))?\` \\|`, 'm'), name)
  t.end()
})

test('the default timeout of injectSSE is 5000 ms', async (t) => {
  t.match(page.sectionOf('Options of injectSSE'), 'The default is 5000.')
  const app = await run<Parameters<typeof injectSSE>[0]>(t, tenLines({ after: 'app.sseRoute("/never", { topics: [] })' }), 'app')
  const stream = await injectSSE(app, '/never')
  const start = performance.now()
  await t.rejects(stream.next(), { code: 'SSE_ERR_TIMEOUT' })
  const ms = performance.now() - start
  t.ok(ms > 4_990 && ms < 6_000, `${ms} ms`)
  stream.close()
})
