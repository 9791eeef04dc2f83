// Symptom: send() or publish() without await ends the process, for example with a BigInt as data or while Redis is away.
// Cause: a call that fails returns a rejected promise, and Node exits on an unhandled rejection.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test, type Test } from 'tap'
import type { Backplane } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

/** Creates an app and records its log lines and the unhandled rejections of the process. */
async function makeWatchedApp (t: Test, options = {}) {
  const lines: string[] = []
  const unhandled: unknown[] = []
  const note = (reason: unknown) => { unhandled.push(reason) }
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  const app = await makeApp(t, options, { logger: { level: 'error', stream: { write: (line: string) => { lines.push(line) } } } })
  return { app, lines, unhandled }
}

test('a failed call that is not awaited is logged and closes nothing', async (t) => {
  t.test('a send() that fails and is not awaited is logged', async (t) => {
    const { app, lines, unhandled } = await makeWatchedApp(t)
    app.get('/', (_request, reply) => {
      const stream = reply.sse()
      stream.send({ data: 1n })
      stream.send({ event: 'a\nb' })
      stream.send('fine')
      setTimeout(() => stream.close(), 20)
    })
    t.equal((await app.inject('/')).body, 'data: fine\n\n')
    await until('both log lines', () => lines.length === 2)
    t.match(lines, [/SSE_ERR_SERIALIZATION.*an event was not sent/, /SSE_ERR_FIELD.*an event was not sent/])
    t.strictSame(unhandled, [])
  })

  t.test('a publish(), broadcast() or sendTo() that fails and is not awaited is logged', async (t) => {
    const { app, lines, unhandled } = await makeWatchedApp(t)
    app.sse.publish('topic', { data: 1n })
    app.sse.publish('', 'x')
    app.sse.broadcast({})
    app.sse.sendTo('', 'x')
    await until('all log lines', () => lines.length === 4)
    for (const line of lines) t.match(line, /an event was not published/)
    t.strictSame(unhandled, [])
  })

  t.test('a backplane that fails after publish() has returned is logged', async (t) => {
    const away: Backplane = {
      newest: '0-0',
      oldestId: null,
      open: async () => {},
      publish: () => new Promise((_resolve, reject) => { setTimeout(() => reject(new Error('away')), 10) }),
      control: () => '0-1',
      read: (after) => ({ gap: null, events: [], position: after }),
      rewind: () => ({ topics: new Map(), others: '0-0' }),
      close: async () => {}
    }
    const { app, lines, unhandled } = await makeWatchedApp(t, { backplane: () => away })
    app.sse.publish('topic', 'x')
    await until('the log line', () => lines.length === 1)
    t.match(lines[0], /away/)
    await t.rejects(app.sse.publish('topic', 'x'), { message: 'away' })
    t.equal(lines.length, 1, 'an awaited publish() is not logged')
    t.strictSame(unhandled, [])
  })
})

test('a failed call that is awaited rejects and is not logged', async (t) => {
  const { app, lines, unhandled } = await makeWatchedApp(t)
  const codes: unknown[] = []
  const codeOf = (error: { code: string }) => { codes.push(error.code) }
  app.get('/', async (_request, reply) => {
    const stream = reply.sse()
    await stream.send({ data: 1n }).catch(codeOf)
    await stream.send({ data: 1n }).then(undefined, codeOf)
    await Promise.all([stream.send({ data: 1n })]).catch(codeOf)
    await Promise.allSettled([app.sse.publish('', 'x')]).then(([result]) => { codes.push(result.status) })
    const later = app.sse.publish('', 'x').finally(() => {})
    await later.catch(codeOf)
    try { await (async () => stream.send({ data: 1n }))() } catch (error) { codeOf(error as { code: string }) }
    t.ok(stream.send('x') instanceof Promise && app.sse.publish('a', 'x') instanceof Promise)
    stream.close()
  })
  await injectSSE(app, { url: '/' })
  await until('all calls to fail', () => codes.length === 6)
  await new Promise((resolve) => { setTimeout(resolve, 10) })
  t.strictSame(codes, ['SSE_ERR_SERIALIZATION', 'SSE_ERR_SERIALIZATION', 'SSE_ERR_SERIALIZATION', 'rejected', 'SSE_ERR_TOPIC', 'SSE_ERR_SERIALIZATION'])
  t.strictSame([lines, unhandled], [[], []])
})

test('a process whose handlers do not await failed calls keeps running', async (t) => {
  const script = `
import Fastify from 'fastify'
import sse from ${JSON.stringify(new URL('../../lib/index.ts', import.meta.url).href)}
const app = Fastify()
await app.register(sse)
app.get('/', (request, reply) => {
  const stream = reply.sse()
  stream.send({ data: 1n })
  app.sse.publish('a', { data: 1n })
  setTimeout(() => stream.close(), 10)
})
await app.inject('/')
await new Promise((resolve) => { setTimeout(resolve, 50) })
console.log('still here')
await app.close()`
  const child = spawn(process.execPath, [...process.execArgv, '--input-type=module', '-e', script], { env: { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0' } })
  let text = ''
  child.stdout.on('data', (chunk) => { text += String(chunk) })
  child.stderr.on('data', (chunk) => { text += String(chunk) })
  await once(child, 'close')
  t.match(text, /^still here/)
})
