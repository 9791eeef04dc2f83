// Faults found in other libraries for event streams. Each test shows that this plugin does not have the fault.
import { once } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import cookie from '@fastify/cookie'
import { test } from 'tap'
import type { SSEStream } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'

const BIG = 'x'.repeat(10_000)

test('@fastify/sse', async (t) => {
  t.test('@fastify/sse: a line break in id, event or data does not start another event', async (t) => {
    const app = await makeApp(t)
    const errors: unknown[] = []
    app.sseRoute('/', {
      interval: 5,
      payload: () => {
        const { length } = errors
        if (length === 0) return { id: '1\ndata: injected\n\n', data: 'x' }
        if (length === 1) return { event: 'a\r\ndata: injected', data: 'x' }
        return { data: 'a\rdata: injected\r\rid: 9' }
      },
      onError: (error) => { errors.push(error) }
    })
    const stream = await injectSSE(app, { url: '/' })
    t.strictSame(await stream.next(), { id: undefined, event: 'message', data: 'a\ndata: injected\n\nid: 9' })
    t.equal(errors.length, 2)
  })

  t.test('@fastify/sse: a send that waits for a slow client settles when the client disconnects, and the generator\'s finally runs', async (t) => {
    const app = await makeApp(t)
    let settled = false
    let cleaned = false
    app.get('/send', async (_request, reply) => {
      const stream = reply.sse()
      while (await stream.send(BIG));
      settled = true
    })
    app.sseRoute('/generator', {
      source: async function * () {
        try {
          for (;;) yield BIG
        } finally {
          cleaned = true
        }
      }
    })
    const port = await listen(app)
    for (const path of ['/send', '/generator']) {
      const client = await open(t, port, path)
      client.pause()
      await wait(50)
      client.disconnect()
    }
    await until('both', () => settled && cleaned)
  })

  t.test('@fastify/sse: app.close() resolves with open streams', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { onConnect: () => {} })
    const client = await open(t, await listen(app), '/')
    await app.close()
    t.ok(await client.finished())
  })

  t.test('@fastify/sse: HEAD on a route whose streams stay open is answered immediately', async (t) => {
    const app = await makeApp(t, { heartbeat: 10 })
    app.sseRoute('/', { onConnect: () => {} })
    t.ok(await (await open(t, await listen(app), '/', { method: 'HEAD' })).finished())
  })

  t.test('@fastify/sse: a heartbeat before the first event does not end the stream', async (t) => {
    const app = await makeApp(t, { heartbeat: 10 })
    app.get('/', async (_request, reply) => {
      const stream = reply.sse()
      await wait(50)
      await stream.send('late')
    })
    const client = await open(t, await listen(app), '/')
    await client.until(':\n')
    await client.until('data: late')
  })

  t.test('@fastify/sse: send() after the end resolves to false', async (t) => {
    const app = await makeApp(t)
    let stream: SSEStream | undefined
    app.get('/', async (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/')
    client.disconnect()
    await until('the end', () => stream?.closed)
    t.equal(await stream?.send('x'), false)
  })

  t.test('@fastify/sse: the signal of a closed stream is aborted', async (t) => {
    const app = await makeApp(t)
    app.get('/', async (_request, reply) => {
      const stream = reply.sse()
      stream.close()
      t.ok(stream.signal.aborted)
    })
    t.equal((await app.inject('/')).statusCode, 200)
  })

  t.test('@fastify/sse: an error after the first event reaches onError, and the client as a broken response', async (t) => {
    const app = await makeApp(t)
    let seen: unknown
    app.sseRoute('/', { source: async function * () { yield 'a'; throw new Error('late') }, onError: (error) => { seen = error } })
    const client = await open(t, await listen(app), '/')
    t.notOk(await client.finished())
    t.equal(client.text, 'data: a\n\n')
    t.match(seen, { message: 'late' })
  })

  t.test('@fastify/sse: id 0, an empty id, retry 0, events without data and comments alone are written', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { source: () => [{ id: 0, data: 'x' }, { id: '', data: 'x' }, { retry: 0 }, { event: 'bare' }, { comments: 'alone' }] })
    t.equal((await app.inject('/')).body, 'id: 0\ndata: x\n\nid: \ndata: x\n\nretry: 0\n\nevent: bare\n\n: alone\n\n')
  })

  t.test('@fastify/sse: the signal of a generator that waits is aborted when the client disconnects', async (t) => {
    const app = await makeApp(t)
    let told = false
    app.sseRoute('/', {
      source: async function * (_request, stream) {
        yield 'x'
        await once(stream.signal, 'abort')
        told = true
      }
    })
    const stream = await injectSSE(app, { url: '/' })
    await stream.next()
    stream.close()
    await until('it is told', () => told)
  })
})

test('fastify-sse-v2', async (t) => {
  t.test('fastify-sse-v2: a generator that throws causes no unhandled rejection, and stops when its client disconnects', async (t) => {
    const app = await makeApp(t)
    const unhandled: unknown[] = []
    const note = (error: unknown) => { unhandled.push(error) }
    process.on('unhandledRejection', note)
    t.teardown(() => process.off('unhandledRejection', note))
    let given = 0
    app.sseRoute('/throws', { source: async function * () { throw new Error('x') }, onError: () => {} })
    app.get('/reply', async (_request, reply) => reply.sse((async function * () { throw new Error('x') })()))
    app.sseRoute('/runs', { source: async function * () { for (;;) yield wait(5, String(given++)) } })
    const port = await listen(app)
    for (const path of ['/throws', '/reply']) t.notOk(await (await open(t, port, path)).finished())
    const client = await open(t, port, '/runs')
    await client.until('data: 3')
    client.disconnect()
    await until('it is gone', () => app.sse.streams.size === 0)
    const before = given
    await wait(50)
    t.ok(given <= before + 1)
    t.strictSame(unhandled, [])
  })

  t.test('fastify-sse-v2: the buffer of a slow client is bounded, and the handler sets the status', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 100_000 })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.code(202).sse() })
    const client = await open(t, await listen(app), '/')
    t.equal(client.response.statusCode, 202)
    client.pause()
    const before = process.memoryUsage().arrayBuffers
    let sent = 0
    while (!stream?.closed && sent < 10_000) {
      stream?.send(BIG).catch(t.error)
      if (++sent % 10 === 0) await wait(0)
    }
    t.equal(stream?.closeReason, 'overflow')
    t.ok(process.memoryUsage().arrayBuffers - before < 20e6)
  })
})

test('better-sse', async (t) => {
  t.test('better-sse: a stream that is created after the disconnect is closed and not retained', async (t) => {
    const app = await makeApp(t)
    let stream: SSEStream | undefined
    app.get('/', async (_request, reply) => {
      await once(reply.raw, 'close')
      stream = reply.sse()
    })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await wait(20)
    socket.destroy()
    await until('the stream', () => stream)
    t.ok(stream?.closed)
    t.equal(app.sse.streams.size, 0)
  })

  t.test('better-sse: the end of a POST body is no disconnect', async (t) => {
    const app = await makeApp(t)
    app.sseRoute<{ Body: { a: number } }>({ method: 'POST', url: '/', source: async function * (request, stream) { await wait(30); yield { data: { ...request.body, closed: stream.closed } } } })
    const stream = await injectSSE(app, { method: 'POST', url: '/', payload: { a: 1 } })
    t.match(await stream.next(), { data: '{"a":1,"closed":false}' })
  })

  t.test('better-sse: several set-cookie headers stay several', async (t) => {
    const app = await makeApp(t)
    await app.register(cookie)
    app.sseRoute('/', { preHandler: async (_request, reply) => { reply.setCookie('a', '1').setCookie('b', '2') }, source: () => [] })
    const client = await open(t, await listen(app), '/')
    t.equal(client.response.headers['set-cookie']?.length, 2)
  })

  t.test('better-sse: a shared payload is encoded once, and a failing callback of one stream does not affect the others', async (t) => {
    const app = await makeApp(t)
    let encoded = 0
    let clients = 0
    app.sseRoute('/', {
      interval: 20,
      immediate: false,
      shared: true,
      payload: () => ({ data: {} }),
      serializer: () => String(++encoded),
      onConnect: () => { if (++clients === 5) throw new Error('the fifth') },
      onError: () => {}
    })
    const port = await listen(app)
    const all = await Promise.all(Array.from({ length: 10 }, () => open(t, port, '/')))
    await until('five ticks for nine', () => all.filter(({ text }) => text.includes('data: 5')).length === 9)
    t.ok(encoded <= 7, `${encoded} encodings`)
  })
})

test('WebFram and GoFrame', async (t) => {
  t.test('WebFram and GoFrame: data is JSON, and format characters are unchanged', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { source: () => [{ data: { map: { a: 1 } } }, '100 %s %d %%'] })
    t.equal((await app.inject('/')).body, 'data: {"map":{"a":1}}\n\ndata: 100 %s %d %%\n\n')
  })

  t.test('WebFram and GoFrame: the headers are sent before the first tick', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { interval: 60_000, immediate: false, payload: () => 'x' })
    t.equal((await open(t, await listen(app), '/')).response.statusCode, 200)
  })

  t.test('WebFram and GoFrame: onDisconnect is called after a failed write too', async (t) => {
    const app = await makeApp(t)
    let left = 0
    app.sseRoute('/', { interval: 1, payload: () => BIG, onDisconnect: () => { left++ } })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('events', () => socket.text.includes('data: x'))
    socket.resetAndDestroy()
    await until('the callback', () => left === 1)
  })

  t.test('WebFram and GoFrame: a payload that throws does not end its stream', async (t) => {
    const app = await makeApp(t)
    let calls = 0
    app.sseRoute('/', { interval: 5, payload: () => { if (++calls < 3) throw new Error('x'); return 'fine' }, onError: () => {} })
    t.match(await (await injectSSE(app, { url: '/' })).next(), { data: 'fine' })
  })
})
