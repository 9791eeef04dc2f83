// Symptom: a stream stays open with heartbeats after its handler has thrown; a finally block runs before the source has ended.
// Cause: reply.sse() sends the reply, and Fastify ignores what a handler throws after that; reply.sse(source) resolved at once.
import { setTimeout as wait } from 'node:timers/promises'
import Fastify, { type FastifyReply } from 'fastify'
import { test, type Test } from 'tap'
import sse, { type SSEReplyOptions, type SSEStream } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'

/** Creates an app and records the lines of its log. */
async function makeLoggedApp (t: Test, options = {}) {
  const lines: string[] = []
  const app = await makeApp(t, options, { logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
  return { app, lines }
}

test('a handler that fails after reply.sse() aborts its stream', async (t) => {
  const failing = {
    sync: (_request: unknown, reply: FastifyReply) => { reply.sse().send('x').catch(t.error); throw new Error('sync failure') },
    async: async (_request: unknown, reply: FastifyReply) => { await reply.sse().send('x'); throw new Error('async failure') },
    late: async (_request: unknown, reply: FastifyReply) => { await wait(1); await reply.sse().send('x'); await wait(10); throw new Error('late failure') }
  }
  for (const [name, handler] of Object.entries(failing)) {
    t.test(`a handler that throws after reply.sse() aborts its stream and the error is logged once: ${name}`, async (t) => {
      const { app, lines } = await makeLoggedApp(t)
      app.get('/', handler)
      const client = await open(t, await listen(app), '/')
      t.notOk(await client.finished())
      t.equal(client.text, 'data: x\n\n')
      await until('the log line', () => lines.length > 0)
      t.equal(lines.length, 1, lines.join(''))
      t.match(lines[0], new RegExp(`"level":50.*${name} failure`))
      t.equal(app.sse.stats().closed.error, 1)
    })
  }

  t.test('an error of a handler after reply.sse() is passed to onError if there is one', async (t) => {
    const { app, lines } = await makeLoggedApp(t)
    const errors: string[] = []
    const onError = (error: Error, _request: unknown, stream: SSEStream) => { errors.push(`${error.message} ${stream.closed}`) }
    app.get('/', async (_request, reply) => {
      const stream = reply.sse({ onError })
      await stream.send('x')
      throw new Error('failure')
    })
    t.notOk(await (await open(t, await listen(app), '/')).finished())
    t.strictSame(errors, ['failure false'])
    t.strictSame(lines, [])
  })

  t.test('a handler that throws after reply.sse() aborts its stream, also on a route declared before the plugin was loaded', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(sse)
    app.get('/sync', (_request, reply) => { reply.sse().send('x').catch(t.error); throw new Error('failure') })
    app.get('/async', async (_request, reply) => { await reply.sse().send('x'); await wait(5); throw new Error('failure') })
    const port = await listen(app)
    for (const path of ['/sync', '/async']) t.notOk(await (await open(t, port, path)).finished(), path)
    t.equal(app.sse.stats().closed.error, 2)
  })

  t.test('a handler that throws while an onSend hook runs aborts its stream', async (t) => {
    const { app } = await makeLoggedApp(t)
    app.addHook('onSend', async () => { await wait(20) })
    app.get('/', (_request, reply) => { reply.sse(); throw new Error('failure') })
    t.notOk(await (await open(t, await listen(app), '/')).finished())
  })

  t.test('a handler that rejects with an AbortError after its client disconnected is not logged', async (t) => {
    const { app, lines } = await makeLoggedApp(t)
    let failed = false
    app.get('/', async (_request, reply) => {
      const stream = reply.sse()
      await stream.send('x')
      try { await wait(10_000, undefined, { signal: stream.signal }) } finally { failed = true }
    })
    const client = await open(t, await listen(app), '/')
    await client.until('x')
    client.disconnect()
    await until('the handler to reject', () => failed)
    await wait(10)
    t.strictSame(lines, [])
  })

  t.test('an error of a handler after its stream has closed is logged', async (t) => {
    const { app, lines } = await makeLoggedApp(t)
    app.get('/', async (_request, reply) => { await reply.sse(['x']); throw new Error('late failure') })
    t.equal((await app.inject('/')).body, 'data: x\n\n')
    await until('the log line', () => lines.length === 1)
    t.match(lines[0], /"level":50.*late failure/)
  })

  t.test('a value returned by a handler after reply.sse() is ignored and logged', async (t) => {
    const { app, lines } = await makeLoggedApp(t)
    app.get('/async', async (_request, reply) => { reply.sse().close(); return { ignored: true } })
    app.get('/sync', (_request, reply) => { reply.sse().close(); return 'ignored' })
    app.get('/stream', async (_request, reply) => { const stream = reply.sse(); stream.close(); return stream })
    app.get('/streamSync', (_request, reply) => { const stream = reply.sse(); stream.close(); return stream })
    app.get('/reply', async (_request, reply) => { reply.sse().close(); return reply })
    for (const path of ['/async', '/sync', '/stream', '/streamSync', '/reply']) t.match(await app.inject(path), { statusCode: 200, body: '' }, path)
    t.equal(lines.length, 2)
    for (const line of lines) t.match(line, /a handler returned a value after reply\.sse\(\)/)
  })
})

test('reply.sse(source) is a promise that resolves once the response is over', async (t) => {
  t.test('a finally block around reply.sse(source) runs after the source has ended', async (t) => {
    const app = await makeApp(t)
    const done: string[] = []
    app.get('/', async (_request, reply) => {
      try {
        await reply.sse((async function * () {
          try {
            yield 'a'
            await wait(10)
            yield 'b'
          } finally { done.push('source') }
        })())
        done.push(`over ${reply.raw.writableEnded}`)
      } finally { done.push('released') }
    })
    t.equal((await app.inject('/')).body, 'data: a\n\ndata: b\n\n')
    await until('the finally block to run', () => done.length === 3)
    t.strictSame(done, ['source', 'over true', 'released'])
  })

  t.test('reply.sse(source) resolves after a disconnect, an error, close() and app.close(), and for a client that had disconnected before', async (t) => {
    const { app } = await makeLoggedApp(t, { drain: { spread: 1 } })
    const over: string[] = []
    const endless = async function * (reply: FastifyReply) {
      yield 'x'
      if (reply.request.url === '/error') throw new Error('failure')
      if (reply.request.url === '/close') for (const stream of app.sse.streams.values()) if (stream.request.url === '/close') stream.close()
      await new Promise((resolve) => { reply.raw.on('close', resolve) })
    }
    for (const path of ['/client', '/error', '/close', '/drain', '/left']) {
      app.get(path, async (_request, reply) => {
        if (path === '/left') await until('the client to be gone', () => reply.raw.destroyed)
        await reply.sse(endless(reply))
        over.push(path)
      })
    }
    const port = await listen(app)
    const clients = new Map<string, Awaited<ReturnType<typeof open>>>()
    for (const path of ['/client', '/error', '/close', '/drain']) {
      const client = await open(t, port, path)
      clients.set(path, client)
      await client.until('x')
    }
    clients.get('/client')?.disconnect()
    const { connectSocket } = await import('../helpers/app.js')
    const socket = await connectSocket(t, port)
    socket.write('GET /left HTTP/1.1\r\nHost: x\r\n\r\n')
    await wait(10)
    socket.destroy()
    await until('four handlers to finish', () => over.length === 4)
    await app.close()
    await until('all handlers to finish', () => over.length === 5)
    t.strictSame(over.sort(), ['/client', '/close', '/drain', '/error', '/left'])
  })

  t.test('reply.sse(source) works with return, await or neither, in sync and async handlers', async (t) => {
    const { app, lines } = await makeLoggedApp(t)
    app.get('/sync-return', (_request, reply) => reply.sse(['x']))
    app.get('/sync', (_request, reply) => { reply.sse(['x']) })
    app.get('/async-return', async (_request, reply) => reply.sse(['x']))
    app.get('/async-await', async (_request, reply) => { await reply.sse(['x']) })
    app.get('/async', async (_request, reply) => { reply.sse(['x']) })
    for (const openOn of ['request', 'first-event'] as const) {
      app.get(`/${openOn}/sync-return`, (_request, reply) => reply.sse(['x'], { openOn }))
      app.get(`/${openOn}/sync`, (_request, reply) => { reply.sse(['x'], { openOn }) })
      app.get(`/${openOn}/async-return`, async (_request, reply) => reply.sse(['x'], { openOn }))
      app.get(`/${openOn}/async`, async (_request, reply) => { reply.sse(['x'], { openOn }) })
    }
    for (const path of ['/sync-return', '/sync', '/async-return', '/async-await', '/async',
      ...['request', 'first-event'].flatMap((openOn) => ['sync-return', 'sync', 'async-return', 'async'].map((how) => `/${openOn}/${how}`))]) {
      t.match(await app.inject(path), { statusCode: 200, body: 'data: x\n\n' }, path)
    }
    t.strictSame(lines, [])
  })
})

test('reply.sse(function)', async (t) => {
  t.test('reply.sse(function) streams the source that the function returns or promises', async (t) => {
    const app = await makeApp(t)
    app.get('/generator', (_request, reply) => reply.sse(async function * () { yield 'a'; yield 'b' }))
    app.get('/array', (_request, reply) => reply.sse(() => ['a', 'b']))
    app.get('/promise', (_request, reply) => reply.sse(async () => { await wait(1); return ['a', 'b'] }))
    for (const path of ['/generator', '/array', '/promise']) t.equal((await app.inject(path)).body, 'data: a\n\ndata: b\n\n', path)
  })

  t.test('reply.sse(function) closes the stream when a function without a source resolves, and aborts it when the function rejects', async (t) => {
    const { app } = await makeLoggedApp(t)
    app.get('/resolves', (_request, reply) => reply.sse(async (stream) => { await stream.send('a'); await wait(5); await stream.send('b') }))
    app.get('/rejects', (_request, reply) => reply.sse(async (stream) => { await stream.send('a'); throw new Error('failure') }))
    app.get('/throws', (_request, reply) => reply.sse((stream) => { stream.send('a').catch(t.error); throw new Error('failure') }))
    const port = await listen(app)
    const resolves = await open(t, port, '/resolves')
    t.ok(await resolves.finished())
    t.equal(resolves.text, 'data: a\n\ndata: b\n\n')
    for (const path of ['/rejects', '/throws']) {
      const client = await open(t, port, path)
      t.notOk(await client.finished(), path)
      t.equal(client.text, 'data: a\n\n')
    }
    t.match(app.sse.stats().closed, { server: 1, error: 2 })
  })

  t.test('reply.sse(function) aborts the signal of the stream and stops the source when the client disconnects', async (t) => {
    const app = await makeApp(t)
    const done: string[] = []
    app.get('/', async (_request, reply) => {
      await reply.sse(async function * ({ signal }) {
        try {
          yield 'x'
          await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
          done.push('signal')
        } finally { done.push('finally') }
      })
      done.push('over')
    })
    const client = await open(t, await listen(app), '/')
    await client.until('x')
    client.disconnect()
    await until('the handler to finish', () => done.length === 3)
    t.strictSame(done, ['signal', 'finally', 'over'])
  })

  t.test('reply.sse(function) can subscribe the stream, and missed events are replayed first', async (t) => {
    const app = await makeApp(t)
    const first = await app.sse.publish('topic', 'one')
    await app.sse.publish('topic', 'two')
    app.get('/', (_request, reply) => reply.sse(async function * (stream) { stream.subscribe('topic'); yield 'own' }))
    const { body } = await app.inject({ url: '/', headers: { 'last-event-id': first } })
    t.match(body, /data: two\n\n(.|\n)*data: own\n\n$/)
  })

  t.test('reply.sse(function) does not call the function for a client that has disconnected', async (t) => {
    const app = await makeApp(t)
    let calls = 0
    app.get('/', async (_request, reply) => {
      await until('the client to be gone', () => reply.raw.destroyed)
      await reply.sse(() => { calls++; return [] }, reply.request.query as SSEReplyOptions<'payload'>)
      calls += 100
    })
    const port = await listen(app)
    const { connectSocket } = await import('../helpers/app.js')
    for (const query of ['', '?openOn=first-event']) {
      const socket = await connectSocket(t, port)
      socket.write(`GET /${query} HTTP/1.1\r\nHost: x\r\n\r\n`)
      await wait(10)
      socket.destroy()
    }
    await until('both handlers to finish', () => calls >= 200)
    t.equal(calls, 200)
  })
})

test('options of reply.sse()', async (t) => {
  t.test('reply.sse() with openOn: first-event answers an error before the first event with an HTTP error', async (t) => {
    const app = await makeApp(t)
    const failure = Object.assign(new Error('upstream'), { statusCode: 502 })
    app.get('/function', (_request, reply) => reply.sse(async () => { throw failure }, { openOn: 'first-event' }))
    app.get('/source', (_request, reply) => reply.sse((async function * () { throw failure })(), { openOn: 'first-event' }))
    app.get('/handler', async (_request, reply) => {
      reply.sse(async function * () { await wait(10_000, undefined, { ref: false }); yield 'x' }, { openOn: 'first-event' })
      throw failure
    })
    for (const path of ['/function', '/source', '/handler']) t.match((await app.inject(path)).json(), { statusCode: 502, message: 'upstream' }, path)
    t.equal(app.sse.stats().opened, 0)
  })

  t.test('items: "data" sends each item as the data of an event, and end is sent after the last item', async (t) => {
    const app = await makeApp(t)
    const items = [{ id: 'c-1', choices: [] }, 'text', null, undefined, 7]
    const expected = 'data: {"id":"c-1","choices":[]}\n\ndata: text\n\ndata: null\n\ndata: 7\n\ndata: [DONE]\n\n'
    app.get('/', (_request, reply) => reply.sse(items, { items: 'data', end: '[DONE]' }))
    app.get('/first', (_request, reply) => reply.sse(() => items, { items: 'data', end: { data: '[DONE]' }, openOn: 'first-event' }))
    app.sseRoute('/route', { source: () => items, items: 'data', end: '[DONE]' })
    app.sseRoute('/interval', { interval: 5, payload: () => ({ id: 'c-1', choices: [] }), items: 'data' })
    const stream = await injectSSE(app, '/interval')
    t.match(await stream.next(), { id: undefined, data: '{"id":"c-1","choices":[]}' })
    stream.close()
    for (const path of ['/', '/first', '/route']) t.equal((await app.inject(path)).body, expected, path)
  })

  t.test('end is not sent after a source that failed or to a stream that was closed', async (t) => {
    const { app } = await makeLoggedApp(t)
    const ended: string[] = []
    app.get('/fails', (_request, reply) => reply.sse((function * () { yield 'x'; throw new Error('failure') })(), { end: '[DONE]' }))
    app.get('/closes', (_request, reply) => reply.sse(function * (stream) { yield 'x'; stream.close() }, { end: '[DONE]', onDisconnect: () => { ended.push('closed') } }))
    const port = await listen(app)
    for (const path of ['/fails', '/closes']) {
      const client = await open(t, port, path)
      await client.finished()
      t.equal(client.text, 'data: x\n\n', path)
    }
    t.strictSame(ended, ['closed'])
  })

  t.test('onDisconnect of reply.sse() is called once, with a source and without', async (t) => {
    const app = await makeApp(t)
    const reasons: unknown[] = []
    const onDisconnect = (_request: unknown, stream: SSEStream) => { reasons.push(stream.closeReason) }
    app.get('/reply', (_request, reply) => { reply.sse({ onDisconnect }).close() })
    app.get('/source', (_request, reply) => reply.sse(['x'], { onDisconnect }))
    await app.inject('/reply')
    await app.inject('/source')
    t.strictSame(reasons, ['server', 'server'])
  })
})
