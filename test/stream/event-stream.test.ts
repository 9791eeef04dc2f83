import { Agent } from 'node:http'
import { finished as onFinished, PassThrough, pipeline, Transform } from 'node:stream'
import { finished } from 'node:stream/promises'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { createGzip } from 'node:zlib'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import Fastify, { type FastifyReply, type FastifyRequest } from 'fastify'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import sse, { type CloseReason, type SSEStream } from '../../lib/index.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'
import { hubOf } from '../helpers/subscriber.js'

const EVENT = `data: ${'x'.repeat(1_000)}\n\n`

test('the response', async (t) => {
  t.test('a response is 200, text/event-stream, uncached, unbuffered and kept alive', async (t) => {
    const app = await makeApp(t)
    app.get('/', (request, reply) => { reply.sse().close() })
    const agent = new Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    const port = await listen(app)
    const client = await open(t, port, '/', { agent })
    t.equal(client.response.statusCode, 200)
    t.match(client.response.headers, {
      'content-type': 'text/event-stream',
      'cache-control': 'no-cache, no-transform',
      'x-accel-buffering': 'no',
      'x-content-type-options': 'nosniff',
      connection: 'keep-alive'
    })
    t.notOk(client.response.headers['access-control-allow-origin'])
    t.ok(await client.finished())
    t.equal(client.text, '')
    t.match((await open(t, port, '/', { agent: false })).response.headers, { connection: 'close' }, 'a client that sends "connection: close" gets it back')
  })

  t.test('a response sends its headers before there is any event', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    app.get('/', (request, reply) => { reply.sse() })
    const client = await open(t, await listen(app), '/')
    t.equal(client.response.statusCode, 200)
  })

  t.test('a response keeps headers, cookies and the status code set by hooks and handlers', async (t) => {
    const app = await makeApp(t)
    await app.register(cors, { origin: 'https://example.org', credentials: true })
    await app.register(cookie)
    // sets a raw header, as @fastify/helmet does
    app.addHook('onRequest', async (_request, reply) => { reply.raw.setHeader('content-security-policy', "default-src 'self'") })
    app.get('/', (request, reply) => {
      reply.code(201).header('cache-control', 'private, no-cache').setCookie('a', '1').setCookie('b', '2').sse().close()
    })
    const stream = await injectSSE(app, { url: '/' })
    t.equal(stream.statusCode, 201)
    t.equal(stream.headers['access-control-allow-origin'], 'https://example.org')
    t.equal(stream.headers['cache-control'], 'private, no-cache')
    t.ok(stream.headers['content-security-policy'])
    t.strictSame(stream.headers['set-cookie'], ['a=1; SameSite=Lax', 'b=2; SameSite=Lax'])
  })

  t.test('headers of the options override headers of the reply, except content-type', async (t) => {
    const app = await makeApp(t, { headers: { 'X-Accel-Buffering': 'yes', 'x-a': 'plugin', 'content-type': 'text/plain' } })
    app.get('/', (request, reply) => { reply.header('x-a', 'handler').sse({ headers: { 'X-A': 'stream' } }).close() })
    const { headers } = await injectSSE(app, { url: '/' })
    t.match(headers, { 'x-accel-buffering': 'yes', 'x-a': 'stream', 'content-type': 'text/event-stream' })
  })

  t.test('the response to HEAD has only the headers, and send() resolves to false', async (t) => {
    const app = await makeApp(t)
    const sent: boolean[] = []
    app.get('/', async (request, reply) => { sent.push(await reply.sse().send('x')) })
    app.route({ method: ['HEAD', 'POST'], url: '/own', handler: async (request, reply) => { sent.push(await reply.sse().send('x')) } })
    const port = await listen(app)
    for (const path of ['/', '/own']) {
      const client = await open(t, port, path, { method: 'HEAD' })
      t.equal(client.response.headers['content-type'], 'text/event-stream')
      t.ok(await client.finished())
    }
    t.strictSame(sent, [false, false])
    t.equal(app.sse.stats().opened, 0)
  })

  t.test('onSend hooks run before the headers are written, and the stream waits for them', async (t) => {
    const app = await makeApp(t)
    app.addHook('onSend', async (request, reply) => {
      await wait(20)
      reply.header('x-hook', 'ran')
    })
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      t.equal(await stream.send('a'), true)
      stream.close()
    })
    app.get('/closed', async (request, reply) => { reply.sse().close() })
    const stream = await injectSSE(app, { url: '/' })
    t.equal(stream.headers['x-hook'], 'ran')
    t.match(await stream.next(), { data: 'a' })
    t.equal(await stream.next(), undefined)
    const closed = await injectSSE(app, { url: '/closed' })
    t.equal(await closed.next(), undefined)
    t.match(app.sse.stats(), { active: 0, opened: 2, closed: { server: 2 } })
  })

  t.test('the response is an ordinary 500 when an onSend hook fails', async (t) => {
    const app = await makeApp(t)
    app.addHook('onSend', async () => {
      await wait(5)
      throw new Error('refused')
    })
    let late: SSEStream | undefined
    app.get('/reply', async (request, reply) => { late = reply.sse() })
    app.sseRoute({ url: '/route', onConnect: () => t.fail('onConnect ran for a stream that did not open') })
    for (const url of ['/reply', '/route']) {
      const response = await app.inject({ url })
      t.equal(response.statusCode, 500)
      t.match(response.headers['content-type'], 'application/json')
      t.match(response.json(), { message: 'refused' })
    }
    t.equal(await late?.send('x'), false)
    t.equal(app.sse.stats().opened, 0)
  })

  t.test('an onSend hook can replace the event stream by another payload', async (t) => {
    const app = await makeApp(t)
    app.addHook('onSend', async () => 'something else')
    let replaced: SSEStream | undefined
    app.get('/', (request, reply) => { replaced = reply.sse() })
    t.equal((await app.inject('/')).body, 'something else')
    await until('the replaced stream to be closed', () => replaced?.closed)
  })

  t.test('an onSend hook can pipe the event stream through a transform', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 10 })
    app.addHook('onSend', async (request, reply, payload) => (payload as NodeJS.ReadableStream).pipe(new PassThrough()))
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      for (let i = 0; i < 100; i++) await stream.send({ data: EVENT })
      stream.close()
    })
    app.sseRoute('/cut', { source: function * () { yield 'a'; throw new Error('broken') } })
    const port = await listen(app)
    const client = await open(t, port, '/')
    t.ok(await client.finished())
    t.match(client.text, /^:\ndata/, 'a comment flushes the headers')
    t.equal(client.text.split('\n\n').length, 101, 'all 100 events arrived')
    const cut = await open(t, port, '/cut')
    t.notOk(await cut.finished())
    t.match(cut.text, 'data: a\n\n')
  })

  t.test('an onSend hook can use pipeline() and finished() on the event stream', async (t) => {
    const app = await makeApp(t)
    let done: unknown = 'not yet'
    let watched = false
    app.addHook('onSend', async (_request, reply, payload) => {
      reply.header('content-encoding', 'gzip')
      const gzip = createGzip()
      onFinished(payload as NodeJS.ReadableStream, { writable: false }, () => t.fail('finished() fired after its cleanup'))()
      finished(payload as NodeJS.ReadableStream, { writable: false, cleanup: true }).then(() => { watched = true }, t.error)
      pipeline(payload as NodeJS.ReadableStream, gzip, (error) => { done = error })
      return gzip
    })
    app.sseRoute('/', { source: async function * () { yield 'a'; await wait(10); yield 'b' } })
    const response = await fetch(`http://127.0.0.1:${await listen(app)}/`)
    t.equal(await response.text(), ':\ndata: a\n\ndata: b\n\n')
    await until('pipeline() and finished() to see the end', () => done === undefined && watched)
  })

  t.test('maxBufferedBytes limits a stream that is piped through a transform', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 200_000 })
    app.addHook('onSend', async (_request, _reply, payload) => (payload as NodeJS.ReadableStream).pipe(new PassThrough()))
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/')
    client.pause()
    for (let sent = 0; !stream?.closed && sent < 50_000; sent++) {
      stream?.send({ data: EVENT }).catch(t.error)
      if (sent % 10 === 0) await wait(0)
    }
    t.equal(stream?.closeReason, 'overflow')
  })

  t.test('the response is an ordinary 500 when the transform it is piped through fails at once', async (t) => {
    const app = await makeApp(t)
    app.addHook('onSend', async (_request, _reply, payload) => {
      const broken = new Transform({ transform: (_chunk, _encoding, done) => done(new Error('broken')) })
      pipeline(payload as NodeJS.ReadableStream, broken, () => {})
      return broken
    })
    app.sseRoute('/', { source: async function * () { await wait(10); yield 'a' } })
    app.get('/reply', (_request, reply) => { reply.sse() })
    const port = await listen(app)
    for (const path of ['/', '/reply']) {
      const client = await open(t, port, path)
      t.equal(client.response.statusCode, 500)
      t.ok(await client.finished())
      t.match(JSON.parse(client.text), { statusCode: 500, message: 'broken' })
    }
    await until('the streams to be closed', () => app.sse.stats().active === 0)
  })

  t.test('the response is an ordinary 500 when Node refuses one of its headers', async (t) => {
    const app = await makeApp(t, { maxStreams: 1 })
    app.addHook('onRequest', async (_request, reply) => { reply.header('x-user', '\u65e5') })
    app.get('/reply', (_request, reply) => { reply.sse() })
    app.get('/reply/hook', { onSend: async () => {} }, (_request, reply) => { reply.sse() })
    app.get('/reply/first', async (_request, reply) => reply.sse(['a'], { openOn: 'first-event' }))
    app.get('/reply/config', { config: { sse: true } }, (_request, reply) => { reply.sse() })
    app.sseRoute('/route', { topics: ['a'] })
    app.setErrorHandler((error, _request, reply) => { reply.removeHeader('x-user').code(500).send(error) })
    const port = await listen(app)
    for (const path of ['/reply', '/reply/hook', '/reply/first', '/reply/config', '/route', '/reply']) {
      const { response } = await open(t, port, path)
      t.match(response, { statusCode: 500, statusMessage: 'Internal Server Error' })
      response.resume()
    }
    await until('the streams to be closed', () => app.sse.stats().active === 0)
  })

  t.test('onSend hooks that other plugins add to a route in onRoute run before an event stream is sent', async (t) => {
    const app = await makeApp(t)
    app.addHook('onRoute', (route) => {
      route.onSend = [route.onSend ?? [], async (_request: FastifyRequest, reply: FastifyReply) => { reply.header('x-after', String(reply.getHeader('content-type'))) }].flat()
    })
    app.get('/reply', (_request, reply) => { reply.sse() })
    app.get('/reply/config', { config: { sse: true } }, (_request, reply) => { reply.sse() })
    app.sseRoute('/route', { topics: ['a'], onSend: async (_request, reply) => { reply.header('x-own', 'yes') } })
    const port = await listen(app)
    for (const path of ['/reply', '/reply/config']) t.match((await open(t, port, path)).response.headers, { 'x-after': 'text/event-stream' })
    t.match((await open(t, port, '/route')).response.headers, { 'x-after': 'text/event-stream', 'x-own': 'yes' })
  })

  t.test('reply.sse() works in a route that was declared before the plugin was registered', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.get('/', (_request, reply) => { reply.sse().close() })
    app.register(sse)
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.match(client.response.headers, { 'content-type': 'text/event-stream' })
  })

  t.test('the response is empty when an onSend hook sets status 204', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['a'], onSend: async (_request, reply) => { reply.code(204) } })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.equal(client.response.statusCode, 204)
    t.notOk(client.response.headers['content-type'])
    t.match(app.sse.stats(), { opened: 0 })
  })

  t.test('a response with trailers closes without an error when the client disconnects', async (t) => {
    const app = await makeApp(t)
    app.get('/', (_request, reply) => { reply.trailer('x-sum', async () => '42').sse() })
    const client = await open(t, await listen(app), '/')
    client.disconnect()
    await until('the stream to be closed', () => app.sse.stats().closed.client === 1)
  })

  t.test('a response keeps its trailers', async (t) => {
    const app = await makeApp(t)
    app.get('/', (request, reply) => {
      reply.trailer('x-sum', async () => '42')
      const stream = reply.sse()
      stream.send('a').then(() => stream.close(), t.error)
    })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.match(client.text, 'data: a')
    t.match(client.response.trailers, { 'x-sum': '42' })
  })
})

test('reply.sse()', async (t) => {
  t.test('reply.sse() throws when it is called twice or after reply.send()', async (t) => {
    const app = await makeApp(t)
    const codes: unknown[] = []
    app.get('/twice', async (request, reply) => {
      const stream = reply.sse()
      try { reply.sse() } catch (error) { codes.push((error as { code: string }).code) }
      stream.close()
    })
    app.get('/sent', (request, reply) => {
      reply.send('done')
      try { reply.sse() } catch (error) { codes.push((error as { code: string }).code) }
    })
    await (await injectSSE(app, { url: '/twice' })).next()
    t.equal((await app.inject('/sent')).body, 'done')
    t.strictSame(codes, ['SSE_ERR_REPLY_SENT', 'SSE_ERR_REPLY_SENT'])
  })

  t.test('reply.sse() with wrong options is answered with an ordinary error', async (t) => {
    const app = await makeApp(t)
    app.get('/', (request, reply) => { reply.sse({ heartbeat: -1 }) })
    t.match((await app.inject('/')).json(), { code: 'SSE_ERR_OPTION', statusCode: 500 })
  })

  t.test('reply.sse() works in sync and async handlers, with return reply or without', async (t) => {
    const app = await makeApp(t)
    app.get('/sync', (request, reply) => { reply.sse().send('1').then(() => {}, t.error) })
    app.get('/sync-return', (request, reply) => {
      reply.sse().send('1').then(() => {}, t.error)
      return reply
    })
    app.get('/async', async (request, reply) => { await reply.sse().send('1') })
    app.get('/async-return', async (request, reply) => {
      await reply.sse().send('1')
      return reply
    })
    for (const url of ['/sync', '/sync-return', '/async', '/async-return']) {
      const stream = await injectSSE(app, { url })
      t.match(await stream.next(), { data: '1' }, url)
      stream.close()
    }
  })

  t.test('reply.sse() after the client has disconnected gives a closed stream that is not registered', async (t) => {
    const app = await makeApp(t)
    let stream: SSEStream | undefined
    app.get('/', async (request, reply) => {
      await until('the client to be gone', () => reply.raw.destroyed)
      stream = reply.sse()
      t.equal(await stream.send('x'), false)
    })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await wait(20)
    socket.destroy()
    await until('the handler to have its stream', () => stream)
    t.match(stream, { closed: true, closeReason: 'client' })
    t.ok(stream?.signal.aborted)
    t.match(app.sse.stats(), { active: 0, opened: 0 })
  })
})

test('send', async (t) => {
  t.test('send() resolves to true once the client accepts more data, so that awaiting it applies backpressure', async (t) => {
    const app = await makeApp(t)
    let stream: SSEStream | undefined
    let sent = 0
    app.get('/', async (request, reply) => {
      stream = reply.sse()
      while (sent < 20_000 && await stream.send({ data: EVENT })) sent++
      stream.close()
    })
    const client = await open(t, await listen(app), '/')
    client.pause()
    let before = -1
    await until('the sender to wait', async () => {
      const still = sent > 0 && sent === before
      before = sent
      await wait(50)
      return still
    })
    await until('the sender to stay where it is', () => { const still = sent === before; before = sent; return still })
    t.ok(sent < 20_000, `the sender waits after ${sent} events`)
    client.resume()
    await until('the remaining events to be sent', () => sent === 20_000)
    t.ok(await client.finished())
    t.equal(client.text.split('\n\n').length - 1, 20_000)
    t.equal(app.sse.stats().dropped, 0)
  })

  t.test('send() resolves to false when the client disconnects while it waits', async (t) => {
    const app = await makeApp(t)
    const results: boolean[] = []
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      for (let open = true; open;) results.push(open = await stream.send({ data: EVENT }))
    })
    const client = await open(t, await listen(app), '/')
    client.pause()
    await wait(200)
    client.disconnect()
    await until('send() to resolve to false', () => results.at(-1) === false)
  })

  t.test('send() resolves to false when the server closes the stream while it waits, and afterwards', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 1e9 })
    let stream: SSEStream | undefined
    app.get('/', (request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/')
    client.pause()
    const waiting = Array.from({ length: 20_000 }, () => stream?.send({ data: EVENT }))
    stream?.close()
    t.equal((await Promise.all(waiting)).at(-1), false)
    t.equal(await stream?.send('x'), false)
    t.equal(await stream?.send({}), false)
  })

  t.test('send() rejects an invalid payload before a byte is written', async (t) => {
    const app = await makeApp(t)
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      await t.rejects(stream.send({ event: 'a\nb', data: 1 }), { code: 'SSE_ERR_FIELD' })
      await t.rejects(stream.send({ data: 1n }), { code: 'SSE_ERR_SERIALIZATION' })
      await t.rejects(stream.send(3 as never), { code: 'SSE_ERR_PAYLOAD' })
      await stream.send('good')
      stream.close()
    })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.equal(client.text, 'data: good\n\n')
  })

  t.test('all events sent within a tick are written together and in order, also more than fit into one batch', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 1e9 })
    app.get('/', (request, reply) => {
      const stream = reply.sse()
      for (let i = 0; i < 50_000; i++) stream.send({ id: i, data: '€' }).catch(t.error)
      stream.close()
    })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.equal(client.text, Array.from({ length: 50_000 }, (_, i) => `id: ${i}\ndata: €\n\n`).join(''))
    t.equal(app.sse.stats().bytes, Buffer.byteLength(client.text))
    t.equal(app.sse.stats().sent, 50_000)
  })

  t.test('a stream that sends without pause does not block other requests', async (t) => {
    const app = await makeApp(t)
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      while (await stream.send({ data: EVENT }));
    })
    app.get('/other', async () => 'here')
    const port = await listen(app)
    const fast = await open(t, port, '/')
    fast.response.removeAllListeners('data').resume()
    t.equal((await (await fetch(`http://127.0.0.1:${port}/other`)).text()), 'here')
    fast.disconnect()
    await until('all streams to be closed', () => app.sse.streams.size === 0)
  })
})

test('a client that falls behind', async (t) => {
  t.test('a slow client is disconnected when more than maxBufferedBytes wait for it', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 100_000 })
    let stream: SSEStream | undefined
    app.get('/', (request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/')
    client.pause()
    let most = 0
    for (let sent = 0; !stream?.closed && sent < 50_000; sent++) {
      stream?.send({ data: EVENT }).catch(t.error)
      if (sent % 10 === 0) await wait(0)
      most = Math.max(most, stream?.request.raw.socket.writableLength ?? 0)
    }
    t.equal(stream?.closeReason, 'overflow')
    t.ok(most <= 100_000 + 2 * 16_384, `${most} bytes waited at most`)
    await wait(0)
    t.match(app.sse.stats(), { active: 0, closed: { overflow: 1 } })
  })

  t.test('a client is not taken for slow because of large events sent in the tick in which its stream opens', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 65_536 })
    const snapshot = 'x'.repeat(80_000)
    app.sseRoute('/route', {
      topics: ['a'],
      onConnect (_request, stream) {
        stream.send(snapshot).catch(t.error)
        stream.send('next').catch(t.error)
      }
    })
    app.get('/reply', (_request, reply) => {
      const stream = reply.sse()
      stream.send(snapshot).catch(t.error)
      stream.send('next').catch(t.error)
    })
    const port = await listen(app)
    for (const path of ['/route', '/reply']) await (await open(t, port, path)).until('data: next')
    t.match(app.sse.stats(), { active: 2, closed: { overflow: 0 } })
  })

  t.test('a source and an awaited send() wait for a slow client, even with maxBufferedBytes: 0', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 0 })
    const EVENTS = 1_000
    const items = async function * (pace: () => Promise<unknown>) {
      for (let i = 0; i < EVENTS; i++) {
        yield `${i} ${'x'.repeat(10_000)}`
        await pace()
      }
    }
    app.sseRoute('/at-once', { source: () => items(async () => {}) })
    app.sseRoute('/a-turn-each', { source: () => items(nextTurn) })
    for (const [path, pace] of [['/sent-at-once', async () => {}], ['/sent-a-turn-each', nextTurn]] as const) {
      app.get(path, async (_request, reply) => {
        const stream = reply.sse()
        for await (const item of items(pace)) await stream.send(item)
        stream.close()
      })
    }
    const port = await listen(app)
    for (const path of ['/at-once', '/a-turn-each', '/sent-at-once', '/sent-a-turn-each']) {
      const client = await open(t, port, path)
      client.pause()
      await until('the client to be slow', () => [...hubOf(app).streams.values()].some(({ needsDrain }) => needsDrain))
      client.resume()
      t.ok(await client.finished(), path)
      t.equal(client.text.match(/^data: /gm)?.length, EVENTS)
    }
    t.match(app.sse.stats().closed, { server: 4, overflow: 0 })
  })

  t.test('with overflow: drop, a slow client misses events, gets one gap event, and receives new events again', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, overflow: 'drop' })
    let stream: SSEStream | undefined
    app.get('/', (request, reply) => { stream = reply.sse() })
    const client = await open(t, await listen(app), '/')
    client.pause()
    let sent = 0
    while (app.sse.stats().dropped < 100 && sent < 50_000) {
      stream?.send({ id: ++sent, data: EVENT }).catch(t.error)
      if (sent % 10 === 0) await wait(0)
    }
    client.resume()
    await client.until('event: gap')
    t.equal(await stream?.send({ id: 'live', data: 'again' }), true)
    await client.until('id: live')
    const ids = [...client.text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => Number(id))
    const { dropped, gaps } = app.sse.stats()
    t.strictSame(ids, Array.from({ length: sent - dropped }, (_, i) => i + 1), 'no event is missing before the gap')
    t.match(client.text, `event: gap\ndata: {"lastEventId":"${ids.at(-1)}","oldestId":null}\n\nid: live`)
    t.equal(gaps, 1)
  })

  t.test('with overflow: drop, the gap event names the Last-Event-ID of the request when no sent event had an id', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 50_000, overflow: 'drop' })
    app.get('/', (_request, reply) => {
      const stream = reply.sse()
      for (let i = 0; i < 20_000; i++) stream.send({ data: EVENT }).catch(t.error)
    })
    const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': 'came with' } })
    await client.until('event: gap\ndata: {"lastEventId":"came with","oldestId":null}')
  })

  t.test('a client that does not read is disconnected 5 s after its stream was closed', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 1e9 })
    let stream: SSEStream | undefined
    app.get('/', (request, reply) => {
      stream = reply.sse()
      for (let i = 0; i < 20_000; i++) stream.send({ data: EVENT }).catch(t.error)
    })
    const client = await open(t, await listen(app), '/')
    client.pause()
    await wait(100)
    stream?.close()
    const raw = stream?.request.raw.socket
    const start = Date.now()
    await until('the socket to be destroyed', () => raw?.destroyed)
    t.ok(Date.now() - start > 4_500)
  })
})

test('heartbeats', async (t) => {
  t.test('heartbeats are sent only after a time without events', async (t) => {
    const app = await makeApp(t, { heartbeat: 100 })
    const sent: number[] = []
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      for (let i = 0; i < 10; i++) {
        await stream.send('busy')
        sent.push(performance.now())
        await wait(30)
      }
    })
    const client = await open(t, await listen(app), '/')
    await client.until('data: busy', 10)
    const longest = Math.max(...sent.slice(1).map((time, i) => time - (sent[i] ?? 0)))
    // a busy machine may have been late with an event
    t.ok(!client.text.includes('\n:\n') || longest > 95, `no heartbeat while events were sent, the longest time between two was ${longest} ms`)
    await client.until('\n:\n', 3)
  })

  t.test('heartbeats are off with heartbeat: false and heartbeat: 0', async (t) => {
    const app = await makeApp(t, { heartbeat: 20 })
    app.get('/false', (request, reply) => { reply.sse({ heartbeat: false }) })
    app.get('/0', (request, reply) => { reply.sse({ heartbeat: 0 }) })
    app.get('/on', (request, reply) => { reply.sse() })
    const port = await listen(app)
    const [off, zero, on] = await Promise.all(['/false', '/0', '/on'].map((path) => open(t, port, path)))
    await on?.until(':\n', 3)
    t.equal(`${off?.text}${zero?.text}`, '')
  })

  t.test('heartbeats are not written to a slow client', async (t) => {
    const app = await makeApp(t, { heartbeat: 20, maxBufferedBytes: 1e9 })
    app.get('/', (request, reply) => {
      const stream = reply.sse()
      for (let i = 0; i < 20_000; i++) stream.send({ data: EVENT }).catch(t.error)
    })
    const client = await open(t, await listen(app), '/')
    client.pause()
    await wait(200)
    client.resume()
    await client.until('data: x', 20_000)
    await client.until('\n:\n')
    t.equal(client.text.indexOf('\n:\n') > client.text.lastIndexOf('data: x'), true)
  })
})

test('a stream', async (t) => {
  t.test('a stream opens with a retry field when the retry option is set', async (t) => {
    const app = await makeApp(t, { retry: 1_234 })
    app.get('/', (request, reply) => { reply.sse().close() })
    app.get('/0', (request, reply) => { reply.sse({ retry: 0 }).close() })
    const port = await listen(app)
    const client = await open(t, port, '/')
    t.ok(await client.finished())
    t.equal(client.text, 'retry: 1234\n')
    const zero = await open(t, port, '/0')
    t.ok(await zero.finished())
    t.equal(zero.text, 'retry: 0\n')
  })

  t.test('stream.lastEventId is read from the Last-Event-ID header or from the query', async (t) => {
    const app = await makeApp(t)
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      await stream.send({ data: { id: stream.lastEventId } })
      stream.close()
    })
    const port = await listen(app)
    const given: [string, Record<string, string>, string | null][] = [
      ['/', {}, null],
      ['/?a=b', {}, null],
      ['/', { 'last-event-id': '' }, null],
      ['/', { 'last-event-id': '42' }, '42'],
      ['/?lastEventId=q', { 'last-event-id': Buffer.from('… é').toString('latin1') }, '… é'],
      ['/', { 'last-event-id': 'é' }, 'é'],
      ['/?a=b&lastEventId=%E2%80%A6', {}, '…']
    ]
    for (const [path, headers, expected] of given) {
      const client = await open(t, port, path, { headers })
      t.ok(await client.finished())
      t.equal(client.text, `data: ${JSON.stringify({ id: expected })}\n\n`)
    }
  })

  t.test('a closed stream has a closeReason and an aborted signal, and a second close() does nothing', async (t) => {
    const app = await makeApp(t)
    const streams: SSEStream[] = []
    app.get('/', (request, reply) => { streams.push(reply.sse()) })
    const port = await listen(app)
    const one = await open(t, port, '/')
    const two = await open(t, port, '/')
    const [first, second] = streams
    t.match(first, { closed: false, closeReason: null })
    t.equal(app.sse.streams.get(String(first?.id)), first)
    const aborted = new Promise((resolve) => { first?.signal.addEventListener('abort', resolve) })
    one.disconnect()
    await aborted
    t.match(first, { closed: true, closeReason: 'client' })
    second?.close()
    second?.close()
    t.equal(second?.closeReason, 'server')
    t.ok(second?.signal.aborted)
    t.ok(await two.finished())
    t.match(app.sse.stats(), { active: 0, opened: 2, closed: { client: 1, server: 1 } })
  })

  t.test('a client that disconnects in the tick of a write leaves no heartbeat timer behind', async (t) => {
    const app = await makeApp(t)
    app.get('/', async (_request, reply) => {
      const stream = reply.sse()
      stream.send('x').catch(t.error)
      reply.raw.destroy()
    })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the stream to be closed', () => app.sse.stats().closed.client === 1)
    await wait(10)
    t.equal(hubOf(app).timers.size, 0)
  })

  t.test('stream.clientId is the id of the stream, or the result of the clientId option', async (t) => {
    const app = await makeApp(t)
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      t.equal(stream.clientId, stream.id)
      stream.close()
    })
    await injectSSE(app, { url: '/' })
    const named = await makeApp(t, { clientId: (request) => String(request.headers['x-user']) })
    named.get('/', async (request, reply) => {
      const stream = reply.sse()
      t.equal(stream.clientId, 'ann')
      stream.close()
    })
    await injectSSE(named, { url: '/', headers: { 'x-user': 'ann' } })
  })

  t.test('a stream closes when no event was sent for idleTimeout, and heartbeats do not count as events', async (t) => {
    const app = await makeApp(t, { heartbeat: 20, idleTimeout: 150 })
    const reasons: [CloseReason | null, number][] = []
    app.get('/', async (request, reply) => {
      const stream = reply.sse()
      const start = Date.now()
      stream.signal.addEventListener('abort', () => reasons.push([stream.closeReason, Date.now() - start]))
      await wait(100)
      await stream.send('busy')
    })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.equal(reasons[0]?.[0], 'idle')
    t.ok(Number(reasons[0]?.[1]) >= 240)
  })

  t.test('a stream closes after maxLifetime, plus or minus 10 %', async (t) => {
    const app = await makeApp(t, { maxLifetime: 200 })
    const times: number[] = []
    app.get('/', (request, reply) => {
      // before the stream opens, which starts its timer
      const start = performance.now()
      const stream = reply.sse()
      stream.signal.addEventListener('abort', () => {
        t.equal(stream.closeReason, 'lifetime')
        times.push(performance.now() - start)
      })
    })
    const port = await listen(app)
    await Promise.all(Array.from({ length: 20 }, async () => (await open(t, port, '/')).finished()))
    t.equal(times.length, 20)
    t.ok(Math.min(...times) >= 178, `${Math.min(...times)}`)
    t.ok(Math.max(...times) - Math.min(...times) > 5, 'the streams do not all close at once')
  })
})
