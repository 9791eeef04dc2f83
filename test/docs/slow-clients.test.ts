import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { readPluginOptions } from '../../lib/options/read.js'
import { injectSSE } from '../../lib/testing.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'
import { pageOf } from './document.js'
import { run, runApp, tenLines } from './run.js'

const page = pageOf('docs/slow-clients.md')

function runBlocks (t: Test, before: string, ...blocks: string[]): Promise<FastifyInstance> {
  return runApp(t, tenLines({ after: [before, ...blocks].join('\n') }))
}

test('a slow client with overflow: drop gets the gap event shown, without an id on a stream without topics', async (t) => {
  const [, shown] = page.codeOf('The gap event', '')
  const app = await makeApp(t, { overflow: 'drop', maxBufferedBytes: 50_000 })
  app.get('/', async (request, reply) => {
    const stream = reply.sse()
    for (; app.sse.stats().dropped === 0; await turn()) stream.send('x'.repeat(50_000))
  })
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': '7' } })
  client.pause()
  await until('an event to be dropped', () => app.sse.stats().dropped > 0)
  client.resume()
  await client.until('event: gap')
  await client.until(`${shown}\n`)
})

test('a route with overflow: drop drops published events for a slow client and keeps its connection', async (t) => {
  const [code] = page.codeOf('Drop events', 'ts')
  const app = await runBlocks(t, '', code)
  const client = await open(t, await listen(app), '/positions')
  client.pause()
  for (; app.sse.stats().dropped === 0; await turn()) await app.sse.publish('positions', 'x'.repeat(50_000))
  client.resume()
  await client.until('event: gap')
  await app.sse.publish('positions', 'next')
  await client.until('data: next\n\n')
  const [shown] = page.codeOf('The gap event', '')
  const [, gap] = /((?:id: .*\n)?event: gap\n.*\n)/.exec(client.text) ?? []
  const [gapId, lastEventId, oldestId] = gap?.match(/\d+-\d+/g) ?? []
  t.equal(gap?.replace(/\d+-\d+/g, 'N'), shown?.replace(/\d+-\d+/g, 'N'))
  const before = client.text.slice(0, client.text.indexOf('event: gap')).match(/(?<=^id: )\d+-\d+/gm) ?? []
  t.equal(before.at(-2), lastEventId, 'the last id before the lost events')
  t.equal(before.find((id) => client.text.includes(`id: ${id}\ndata:`)), oldestId)
  t.not(gapId, lastEventId)
  t.match(app.sse.stats(), { active: 1, gaps: 1 })
})

test('a job stops when its client disconnects', async (t) => {
  const [code] = page.codeOf('Stop your own work', 'ts')
  const jobs = 'let stopped = false\nconst jobs = { async * run (id, { signal }) { yield id; await new Promise((resolve) => { signal.addEventListener(\'abort\', resolve) }); stopped = true } }'
  const app = await runBlocks(t, jobs, code.replace('request.log.info({ closeReason }', '(left = closeReason)').replace(', \'job stream closed\')', ''), 'let left\napp.get(\'/stopped\', () => ({ stopped, left }))')
  const stream = await injectSSE(app, { url: '/jobs/7' })
  t.match(await stream.next(), { data: '7' })
  stream.close()
  await until('the job to stop', async () => (await app.inject('/stopped')).json().stopped)
  t.strictSame((await app.inject('/stopped')).json(), { stopped: true, left: 'client' })
})

test('streams close after idleTimeout and maxLifetime', async (t) => {
  const [alerts] = page.codeOf('Close idle streams', 'ts')
  const [account] = page.codeOf('Make clients sign in again', 'ts')
  const app = await runBlocks(t, '', alerts.replace('10 * 60_000', '50'), account.replace('15 * 60_000', '50'))
  for (const url of ['/alerts', '/account']) t.equal(await (await injectSSE(app, { url })).next(), undefined)
  t.match(app.sse.stats(), { closed: { idle: 1, lifetime: 1 } })
})

test('a stream gets the last event and a retry time at app.close()', async (t) => {
  const [code] = page.codeOf('Spread the reconnects', 'ts')
  const [shown] = page.codeOf('Spread the reconnects', '')
  const app = await runApp(t, code)
  const client = await open(t, await listen(app), '/news')
  await app.close()
  t.ok(await client.finished())
  const [opening, ...last] = client.text.split('\n\n')
  t.match(opening, /^id: /)
  const number = /(?<=retry: )\d+/
  t.equal(last.join('\n\n').replace(number, 'N'), shown.replace(number, 'N'))
  for (const text of [shown, client.text]) t.ok(Number(number.exec(text)) >= 2_000 && Number(number.exec(text)) <= 10_000)
  await t.rejects(runApp(t, code.replace('event: \'restart\'', 'id: 7')), { code: 'SSE_ERR_OPTION' })
})

test('an app stops in spite of an idle connection, and a request in progress finishes', async (t) => {
  const [code] = page.codeOf('Let ordinary requests finish', 'ts')
  const work = 'let working = false\napp.get(\'/work\', () => new Promise((resolve) => { working = true; setTimeout(resolve, 100, { done: true }) }))\nawait app.listen({ host: \'127.0.0.1\', port: 0 })\nconst both = { app, stop, isWorking: () => working }'
  const { app, stop, isWorking } = await run<{ app: FastifyInstance, stop: () => Promise<void>, isWorking: () => boolean }>(t, tenLines({ after: `${code.replace('2_000', '500')}\n${work}` }), 'both')
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const idle = await connectSocket(t, port)
  const stream = await open(t, port, '/stocks/ACME')
  const answer = fetch(`http://127.0.0.1:${port}/work`)
  await until('both requests', () => app.sse.streams.size === 1 && isWorking())
  const stopped = stop()
  t.strictSame(await (await answer).json(), { done: true })
  await stopped
  t.ok(await stream.finished())
  await until('the idle connection to end', () => idle.destroyed)
})

test('the page names the defaults of drain and maxBufferedBytes', (t) => {
  const { stream, drain } = readPluginOptions({})
  t.match(page.text, `a \`spread\` of ${drain.spread / 1_000} s and a \`timeout\` of ${drain.timeout / 1_000} s`)
  t.equal(stream.maxBufferedBytes, 1_024 ** 2)
  t.match(page.text, 'by default to 1 MiB')
  t.strictSame([stream.overflow, stream.idleTimeout, stream.maxLifetime], ['replay', 0, 0])
  t.match(page.text, 'The default is `overflow: \'replay\'`')
  t.match(page.sectionOf('Disconnect a stalled client'), `The default is ${stream.stallTimeout / 1_000} s`)
  t.end()
})

test('a client that takes no byte is disconnected after stallTimeout, as a failure', async (t) => {
  const [code] = page.codeOf('Disconnect a stalled client', 'ts')
  const app = await runBlocks(t, '', code.replace('10_000', '200'))
  const client = await open(t, await listen(app), '/scores')
  client.pause()
  await until('the stream to be closed', async () => {
    await app.sse.publish('scores', 'x'.repeat(50_000))
    return app.sse.stats().closed.stalled === 1
  })
  client.resume()
  t.equal(await client.finished(), false)
})

test('a stream closes when its token expires, with a normal end', async (t) => {
  const [code] = page.codeOf('Close a stream when its token expires', 'ts')
  const app = await runBlocks(t, 'const tokenOf = ({ headers: { exp } }) => ({ exp: Number(exp) })', code)
  const client = await open(t, await listen(app), '/balance', { headers: { exp: String(Date.now() / 1_000 + 0.1) } })
  t.equal(await client.finished(), true)
  t.match(app.sse.stats(), { closed: { expired: 1 } })
})
