import { type Test, test } from 'tap'
import { setTimeout as wait } from 'node:timers/promises'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

async function readers (t: Test) {
  const app = await makeApp(t)
  app.sseRoute<{ Params: { key: string } }>({ url: '/runs/:key', resume: ({ params }) => params.key })
  const read = async (key: string) => {
    const events: string[] = []
    for await (const { event, data } of await injectSSE(app, `/runs/${key}`)) events.push(`${event} ${data}`)
    return events
  }
  return { app, read }
}

test('start() runs a source without a client, and routes with resume read it', async (t) => {
  const { app, read } = await readers(t)
  const run = await app.sse.start('import', async function * ({ key, signal, send }) {
    yield { event: 'key', data: key }
    yield { event: 'aborted', data: signal.aborted }
    await send({ event: 'sent', data: 1 })
    await wait(20)
    yield 'end'
  }, { end: { event: 'done', data: 7 } })
  t.match(run, { key: 'import', state: 'running', events: 0, startedAt: Date, endedAt: null })
  t.strictSame(await read('import'), ['key import', 'aborted false', 'sent 1', 'message end', 'done 7'])
  t.match(await app.sse.run('import'), { id: run.id, state: 'done', events: 5 })
})

test('start() takes a source, which is stopped if it is not read', async (t) => {
  const { app, read } = await readers(t)
  await app.sse.start('numbers', [1, 2, 3], { items: 'data' })
  t.strictSame(await read('numbers'), ['message 1', 'message 2', 'message 3'])

  let stopped = 0
  async function * endless () {
    try {
      for (;;) {
        yield 'x'
        await wait(5)
      }
    } finally {
      stopped++
    }
  }
  const first = await app.sse.start('endless', endless())
  const other = endless()
  await other.next()
  t.equal((await app.sse.start('endless', other)).id, first.id, 'joins the run that is going on')
  await until('the second source to be stopped', () => stopped === 1)
  const refused = endless()
  await refused.next()
  await t.rejects(app.sse.start('endless', refused, { onBusy: 'refuse' }), { code: 'SSE_ERR_RUN_BUSY', statusCode: 409 })
  await until('the third source to be stopped', () => stopped === 2)
  t.equal(await app.sse.stop('endless'), true)
  await until('the first source to be stopped', () => stopped === 3)
})

test('start(): a failure is logged, or its last event is the result of onError', async (t) => {
  const { app, read } = await readers(t)
  const lines: unknown[] = []
  app.log.error = (line: unknown) => { lines.push(line) }
  const fail = () => { throw new Error('failed') }
  await app.sse.start('logged', fail)
  t.strictSame(await read('logged'), ['error {"message":"failed"}'])
  t.match(lines, [{ message: 'failed' }])
  await app.sse.start('own', fail, { onError: ({ message }) => ({ event: 'sorry', data: message }) })
  t.strictSame(await read('own'), ['sorry failed'])
  await app.sse.start('none', fail, { onError: () => null })
  t.strictSame(await read('none'), [])
  await app.sse.start('default', fail, { onError () {} })
  t.strictSame(await read('default'), ['error {"message":"failed"}'])
  await app.sse.start('both', fail, { onError () { throw new Error('second') } })
  t.strictSame(await read('both'), ['error {"message":"failed"}'])
  t.match(lines.slice(1), [{ message: 'failed' }, { message: 'second' }])
})

test('start(): a function that stops its run has not failed, also if it throws then', async (t) => {
  const { app, read } = await readers(t)
  const end = { event: 'end', data: '' }
  await app.sse.start('stops', ({ stop }) => {
    stop()
    return ['late']
  }, { end })
  t.strictSame(await read('stops'), ['end '])
  await app.sse.start('throws', ({ stop }) => {
    stop()
    throw new Error('stopped')
  }, { end })
  t.strictSame(await read('throws'), ['end '])
  t.match(app.sse.stats().runs, { stopped: 2, failed: 0 })
})

test('start(), stop() and run() refuse wrong keys and options', async (t) => {
  const { app } = await readers(t)
  const unsafe = app.sse as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  for (const key of ['', 7, undefined]) {
    for (const method of ['start', 'stop', 'run']) await t.rejects(async () => unsafe[method]?.(key, []), { code: 'SSE_ERR_OPTION', message: /"key"/ })
  }
  for (const [options, code, message] of [
    [null, 'SSE_ERR_OPTION', /"options"/], [{ keep: -1 }, 'SSE_ERR_OPTION', /"keep"/], [{ maxBytes: 0 }, 'SSE_ERR_OPTION', /"maxBytes"/],
    [{ maxDuration: 0 }, 'SSE_ERR_OPTION', /"maxDuration"/], [{ abandonAfter: 'x' }, 'SSE_ERR_OPTION', /"abandonAfter"/], [{ onBusy: 'wait' }, 'SSE_ERR_OPTION', /"onBusy"/],
    [{ items: 'text' }, 'SSE_ERR_OPTION', /"items"/], [{ onError: 1 }, 'SSE_ERR_OPTION', /"onError"/], [{ end: 7 }, 'SSE_ERR_OPTION', /"end"/], [{ ttl: 1 }, 'SSE_ERR_UNKNOWN_OPTION', /"ttl"/]
  ] as const) await t.rejects(async () => unsafe.start?.('x', [], options), { code, message })
  await t.rejects(async () => unsafe.start?.('x', 7), { code: 'SSE_ERR_SOURCE' })
})
