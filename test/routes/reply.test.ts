import { createReadStream } from 'node:fs'
import { PassThrough, Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'

test('reply.sse(source)', async (t) => {
  t.test('reply.sse(source) handles errors of its source while onSend hooks run', async (t) => {
    const app = await makeApp(t)
    const unhandled: unknown[] = []
    const note = (error: unknown) => { unhandled.push(error) }
    process.on('unhandledRejection', note)
    process.on('uncaughtException', note)
    t.teardown(() => process.off('unhandledRejection', note).off('uncaughtException', note))
    app.addHook('onSend', async () => { await wait(30) })
    app.get('/rejects', async (_request, reply) => reply.sse(Promise.reject(new Error('upstream'))))
    app.get('/file', async (_request, reply) => reply.sse(createReadStream('/there/is/no/such/file')))
    const port = await listen(app)
    for (const path of ['/rejects', '/file']) t.notOk(await (await open(t, port, path)).finished(), path)
    t.strictSame(unhandled, [])
  })

  t.test('reply.sse(source) destroys its source if the stream does not open, because of HEAD or because the client has disconnected', async (t) => {
    const app = await makeApp(t)
    const sources: Readable[] = []
    const make = () => {
      const source = new Readable({ read () {} })
      sources.push(source)
      return source
    }
    app.addHook('onSend', async ({ method }, { raw }) => { if (method !== 'HEAD') await until('the client to be gone', () => raw.destroyed) })
    app.get('/', async (_request, reply) => reply.sse(make()))
    app.get('/late', async (_request, reply) => {
      await until('the client to be gone', () => reply.raw.destroyed)
      return reply.sse(Promise.resolve(make()))
    })
    const port = await listen(app)
    t.ok(await (await open(t, port, '/', { method: 'HEAD' })).finished())
    for (const path of ['/', '/late']) {
      const socket = await connectSocket(t, port)
      socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await wait(15)
      socket.destroy()
    }
    await until('all three sources to be destroyed', () => sources.length === 3 && sources.every(({ destroyed }) => destroyed))
    t.equal(app.sse.stats().opened, 0)
  })

  t.test('reply.sse(source) destroys its source if a limit, the client id or an option refuses the stream', async (t) => {
    const app = await makeApp(t, { maxStreams: 1, clientId: ({ query }) => String((query as { id?: string }).id ?? '') })
    const sources: Readable[] = []
    app.get('/', async (_request, reply) => {
      const source = new Readable({ read () {} })
      sources.push(source)
      return reply.sse(source, reply.request.url.includes('wrong') ? { retry: -1 } : {})
    })
    await injectSSE(app, { url: '/?id=ann' })
    t.equal((await app.inject('/?id=bob')).statusCode, 503)
    t.equal((await app.inject('/?id=bob&wrong')).json().code, 'SSE_ERR_OPTION')
    for (const stream of app.sse.streams.values()) stream.close()
    await until('a free place', async () => (await app.inject('/')).json().code === 'SSE_ERR_CLIENT_ID')
    await until('all sources to be destroyed', () => sources.length > 3 && sources.every(({ destroyed }) => destroyed))
  })

  t.test('an error of a source after it was stopped is logged', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, {}, { logger: { level: 'debug', stream: { write: (line: string) => { lines.push(line) } } } })
    let source: Readable | undefined
    app.get('/', async (_request, reply) => {
      source = new Readable({ read () {}, destroy: (_error, callback) => { callback(new Error('cannot be closed')) } })
      return reply.sse(source)
    })
    const client = await open(t, await listen(app), '/')
    client.disconnect()
    await until('the log line', () => lines.some((line) => line.includes('cannot be closed')))
  })

  t.test('reply.sse() refuses a value that is neither a source nor options, and accepts options after undefined', async (t) => {
    const app = await makeApp(t)
    const wrong = { number: 42, null: null, text: 'text', symbol: Symbol('source') }
    for (const [name, value] of Object.entries(wrong)) app.get(`/${name}`, (_request, reply) => { reply.sse(value as never) })
    app.get('/undefined', (_request, reply) => { (reply.sse as (source: undefined, options: object) => { close (): void })(undefined, { retry: 7 }).close() })
    for (const name of Object.keys(wrong)) t.match((await app.inject(`/${name}`)).json(), { statusCode: 500, code: 'SSE_ERR_SOURCE' }, name)
    t.equal((await app.inject('/undefined')).body, 'retry: 7\n')
  })

  t.test('reply.sse() refused by an onSend hook is answered with the headers of the reply', async (t) => {
    const app = await makeApp(t)
    app.addHook('onRequest', async (_request, reply) => { reply.header('access-control-allow-origin', '*').header('content-length', '999') })
    app.addHook('onSend', async () => { throw Object.assign(new Error('refused'), { statusCode: 403, code: 'REFUSED' }) })
    app.get('/', async (_request, reply) => { reply.sse() })
    const response = await app.inject('/')
    t.equal(response.headers['access-control-allow-origin'], '*')
    t.strictSame(response.json(), { statusCode: 403, code: 'REFUSED', error: 'Forbidden', message: 'refused' })
  })
})

test('a stream that a hook has piped', async (t) => {
  t.test('a piped event stream is answered with an ordinary error when a later onSend hook refuses it', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', {
      onSend: [
        async (_request, _reply, payload) => typeof payload === 'string' ? payload : (payload as Readable).pipe(new PassThrough()),
        async (_request, _reply, payload) => { if (payload instanceof PassThrough) throw new Error('refused') }
      ],
      onConnect: () => {}
    })
    t.match((await app.inject('/')).json(), { statusCode: 500, message: 'refused' })
    await until('the stream to be closed', () => app.sse.streams.size === 0)
  })

  t.test('an event stream that is piped a second time ends that destination and logs an error', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, {}, { logger: { level: 'error', stream: { write: (line: string) => { lines.push(line) } } } })
    app.sseRoute('/', { onSend: async (_request, _reply, payload) => { (payload as Readable).pipe(new PassThrough().resume()); return payload }, onConnect: () => {} })
    t.equal((await app.inject('/')).body, '')
    t.match(lines, [/piped a second time/])
    await until('the stream to be closed', () => app.sse.streams.size === 0)
    t.equal(app.sse.stats().opened, 1)
  })
})

test('openOn: first-event', async (t) => {
  t.test('with openOn: first-event, a source that throws a value that is not an Error is answered with 500', async (t) => {
    const app = await makeApp(t)
    const things = { text: 'no', object: { a: 1 }, null: null, undefined }
    for (const [name, thrown] of Object.entries(things)) app.sseRoute({ url: `/${name}`, openOn: 'first-event', source: () => { throw thrown } })
    for (const name of Object.keys(things)) t.equal((await app.inject(`/${name}`)).statusCode, 500, name)
  })

  t.test('with openOn: first-event, a source that closes the stream before its first item gives an empty stream', async (t) => {
    const app = await makeApp(t)
    let left = 0
    app.sseRoute('/', { openOn: 'first-event', source: async function * (_request, stream) { stream.close(); yield 'x' }, onDisconnect: () => { left++ } })
    t.match(await app.inject('/'), { statusCode: 200, body: '' })
    t.equal(left, 1)
  })
})

test('a generator that closes its own stream is ended, sync or async', async (t) => {
  const app = await makeApp(t)
  let ended = 0
  app.sseRoute('/sync', { source: function * (_request, stream) { try { yield 'a'; stream.close(); yield 'b' } finally { ended++ } } })
  app.sseRoute('/async', { source: async function * (_request, stream) { try { yield 'a'; stream.close(); yield 'b' } finally { ended++ } } })
  for (const url of ['/sync', '/async']) t.equal((await app.inject(url)).body, 'data: a\n\n')
  await until('both generators to end', () => ended === 2)
})

test('an onConnect that rejects after its client disconnected is logged at debug, shared or not', async (t) => {
  const lines: string[] = []
  const app = await makeApp(t, {}, { logger: { level: 'debug', stream: { write: (line: string) => { lines.push(line) } } } })
  for (const shared of [true, false]) {
    app.sseRoute(`/${shared}`, {
      interval: 10,
      shared,
      payload: () => 'x',
      onConnect: (_request, stream) => new Promise((_resolve, reject) => { stream.signal.addEventListener('abort', () => reject(new Error('aborted'))) }),
      onError: () => t.fail('onError was called after the client had disconnected')
    })
  }
  for (const url of ['/true', '/false']) (await injectSSE(app, { url })).close()
  await until('both log lines', () => lines.filter((line) => line.includes('failed after its event stream was closed')).length === 2)
})

test('a shared option that returns neither text nor a number is answered with SSE_ERR_OPTION', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { interval: 10, payload: () => 'x', shared: (async () => 'key') as never })
  t.match((await app.inject('/')).json(), { statusCode: 500, code: 'SSE_ERR_OPTION' })
})

test('a maxLifetime of 2 ** 31 - 1 ms, the longest delay of a timer, closes nothing early', async (t) => {
  const app = await makeApp(t, { maxLifetime: 2 ** 31 - 1 })
  app.sseRoute('/', { onConnect: () => {} })
  await Promise.all(Array.from({ length: 20 }, () => injectSSE(app, { url: '/' })))
  await wait(50)
  t.equal(app.sse.streams.size, 20)
})

test('an Accept header may name the encoding, and lastEventId may follow a second question mark', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { source: (_request, stream) => [String(stream.lastEventId)] })
  const stream = await injectSSE(app, { url: '/?next=/a?b=1&lastEventId=7', headers: { accept: 'text/event-stream; charset=utf-8' } })
  t.match(await stream.next(), { data: '7' })
})
