import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import type { CloseReason } from '../../lib/index.js'
import { injectSSE, SSE_ERR_NO_STREAM } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'

test('sseRoute', async (t) => {
  t.test('sseRoute takes the url as first argument or as an option, and returns the instance', async (t) => {
    const app = await makeApp(t)
    const back = app.sseRoute({ url: '/a', source: () => ['a'] }).sseRoute('/b', { source: () => ['b'] })
    t.equal(back, app)
    t.match(await (await injectSSE(app, { url: '/a' })).next(), { data: 'a' })
    t.match(await (await injectSSE(app, { url: '/b' })).next(), { data: 'b' })
  })

  t.test('sseRoute answers 406 when the Accept header excludes text/event-stream', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { source: () => ['a'] })
    const refused = ['application/json', 'text/html, application/json;q=0.9', 'text/event-stream;q=0', '*/*;q=0']
    for (const accept of refused) {
      const response = await app.inject({ url: '/', headers: { accept } })
      t.equal(response.statusCode, 406, accept)
      t.match(response.json(), { code: 'SSE_ERR_NOT_ACCEPTABLE' })
    }
    for (const accept of ['', '*/*', 'text/*', 'text/event-stream', 'application/json, text/event-stream;q=0.1']) {
      t.equal((await injectSSE(app, { url: '/', headers: { accept } })).statusCode, 200, accept)
    }
  })

  t.test('sseRoute answers HEAD with the headers, calls no callback and opens no stream', async (t) => {
    const app = await makeApp(t, { maxStreams: 1 })
    const never = () => t.fail('a callback was called for HEAD')
    app.sseRoute('/', { source: () => { never(); return [] }, clientId: () => { never(); return '' }, onConnect: never, onDisconnect: never })
    for (let i = 0; i < 3; i++) {
      const response = await app.inject({ method: 'HEAD', url: '/' })
      t.match(response, { statusCode: 200, headers: { 'content-type': 'text/event-stream' }, body: '' })
      t.notOk(response.headers['content-length'])
    }
    t.match(app.sse.stats(), { opened: 0, rejected: 0 })
  })

  t.test('sseRoute runs every hook of Fastify, and errors in them are answered as in any route', async (t) => {
    const app = await makeApp(t)
    const ran: string[] = []
    for (const hook of ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'onSend', 'onResponse'] as const) {
      app.addHook(hook as 'onRequest', async (request) => {
        ran.push(hook)
        if (Object.values(request.query as object).includes(hook)) throw Object.assign(new Error(hook), { statusCode: 401 })
      })
    }
    app.sseRoute('/', {
      schema: { querystring: { type: 'object', properties: { n: { type: 'integer' } } } },
      preHandler: async () => { ran.push('own') },
      source: () => ['a']
    })
    for await (const { data } of await injectSSE(app, { url: '/' })) t.equal(data, 'a')
    await until('the onResponse hook', () => ran.includes('onResponse'))
    t.strictSame(ran, ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'own', 'onSend', 'onResponse'])
    t.match((await app.inject('/?n=x')).json(), { statusCode: 400, code: 'FST_ERR_VALIDATION' })
    t.match((await app.inject('/?a=preHandler')).json(), { statusCode: 401, message: 'preHandler' })
    const refused = await app.inject('/?a=onSend')
    t.match(refused.json(), { statusCode: 401, message: 'onSend' })
    t.match(refused.headers['content-type'], 'application/json')
  })

  t.test('onRequestAbort runs when the client disconnects', async (t) => {
    const app = await makeApp(t)
    let aborted = false
    app.addHook('onRequestAbort', async (_request) => { aborted = true })
    app.sseRoute('/', { onConnect: () => {} })
    const client = await open(t, await listen(app), '/')
    client.disconnect()
    await until('the hook to run', () => aborted)
  })

  t.test('an error thrown by clientId, shared or the key of a limit is answered as an ordinary error', async (t) => {
    const app = await makeApp(t, { maxStreamsPerClient: { max: 1, key: (request) => { if (request.url === '/key') throw new Error('key'); return request.id } } })
    app.sseRoute('/key', { source: () => [] })
    app.sseRoute('/client-id', { source: () => [], clientId: () => { throw new Error('clientId') } })
    app.sseRoute('/shared', { interval: 10, payload: () => 'x', shared: () => { throw new Error('shared') } })
    for (const [url, message] of Object.entries({ '/key': 'key', '/client-id': 'clientId', '/shared': 'shared' })) {
      t.match((await app.inject(url)).json(), { statusCode: 500, message })
    }
    t.equal(app.sse.stats().opened, 0)
  })

  t.test('callbacks of sseRoute have the instance as this, and the route has the prefix, hooks and error handler of that instance', async (t) => {
    const app = await makeApp(t)
    const seen: FastifyInstance[] = []
    let child: FastifyInstance | undefined
    await app.register(async (instance) => {
      child = instance
      instance.addHook('onSend', async (request, reply) => { reply.header('x-child', '1') })
      instance.setErrorHandler((_error, _request, reply) => reply.code(418).send('teapot'))
      instance.sseRoute('/feed', {
        clientId () { seen.push(this); return 'c' },
        shared () { seen.push(this); return '' },
        interval: 10,
        payload () { seen.push(this); throw new Error('once') },
        onConnect () { seen.push(this) },
        onError (_error, _request, stream) { seen.push(this); stream.close() },
        onDisconnect () { seen.push(this) }
      })
      instance.sseRoute('/source', { source () { seen.push(this); return [] } })
      instance.sseRoute('/fails', { source: () => [], clientId () { throw new Error('x') } })
    }, { prefix: '/child' })
    const feed = await injectSSE(app, { url: '/child/feed' })
    t.equal(feed.headers['x-child'], '1')
    t.equal(await feed.next(), undefined)
    await (await injectSSE(app, { url: '/child/source' })).next()
    t.equal(seen.length, 7)
    t.ok(seen.every((instance) => instance === child))
    t.match(await app.inject('/child/fails'), { statusCode: 418, body: 'teapot' })
  })

  t.test('sseRoute passes the route options of Fastify on', async (t) => {
    const app = await makeApp(t)
    app.sseRoute({ url: '/', constraints: { version: '1.2.0' }, config: { a: 1 } as object, source: (request) => [JSON.stringify(request.routeOptions.config)] })
    t.equal((await app.inject('/')).statusCode, 404)
    const stream = await injectSSE(app, { url: '/', headers: { 'accept-version': '1.x' } })
    t.match(await stream.next(), { data: /"a":1/ })
  })
})

test('onConnect', async (t) => {
  t.test('onConnect is awaited before the first payload or item', async (t) => {
    const app = await makeApp(t)
    const onConnect = async (_request: unknown, stream: { send (text: string): Promise<boolean> }) => {
      await wait(20)
      await stream.send('hello')
    }
    app.sseRoute('/interval', { interval: 5, payload: () => 'tick', onConnect })
    app.sseRoute('/source', { source: () => ['item'], onConnect })
    for (const url of ['/interval', '/source']) t.match(await (await injectSSE(app, { url })).next(), { data: 'hello' })
  })

  t.test('a route with onConnect alone keeps its streams open', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { onConnect: async (request, stream) => { await stream.send('hello') } })
    const stream = await injectSSE(app, { url: '/' })
    t.match(await stream.next(), { data: 'hello' })
    await wait(20)
    t.equal(app.sse.streams.size, 1)
  })

  t.test('an onConnect that throws calls onError and aborts the response', async (t) => {
    const app = await makeApp(t)
    const errors: string[] = []
    app.sseRoute('/', {
      interval: 5,
      payload: () => String(t.fail('payload was called after onConnect had failed')),
      onConnect: () => { throw new Error('no greeting') },
      onError: (error) => { errors.push(error.message) }
    })
    const client = await open(t, await listen(app), '/')
    t.notOk(await client.finished())
    t.strictSame(errors, ['no greeting'])
  })

  t.test('an onConnect that closes the stream ends it, and payload is not called', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { interval: 5, payload: () => String(t.fail('payload was called for a closed stream')), onConnect: (request, stream) => stream.close() })
    t.equal(await (await injectSSE(app, { url: '/' })).next(), undefined)
  })
})

test('onDisconnect', async (t) => {
  t.test('onDisconnect is called exactly once, for each of the seven close reasons', async (t) => {
    const app = await makeApp(t)
    const reasons: (CloseReason | null)[] = []
    const onDisconnect = (_request: unknown, stream: { closeReason: CloseReason | null, close (): void }) => {
      reasons.push(stream.closeReason)
      stream.close()
    }
    app.sseRoute('/client', { onConnect: () => {}, onDisconnect })
    app.sseRoute('/server', { source: () => [], onDisconnect })
    app.sseRoute('/error', { source: () => { throw new Error('x') }, onError: () => {}, onDisconnect })
    app.sseRoute('/idle', { idleTimeout: 10, onConnect: () => {}, onDisconnect })
    app.sseRoute('/lifetime', { maxLifetime: 10, onConnect: () => {}, onDisconnect })
    app.sseRoute('/overflow', { maxBufferedBytes: 0, onConnect: (request, stream) => { for (let i = 0; i < 10_000; i++) stream.send('x'.repeat(10_000)).catch(t.error) }, onDisconnect })
    app.sseRoute('/drain', { onConnect: () => {}, onDisconnect })
    const port = await listen(app)
    for (const path of ['/client', '/server', '/error', '/idle', '/lifetime', '/overflow', '/drain']) {
      const client = await open(t, port, path)
      if (path === '/client') client.disconnect()
      if (path === '/overflow') client.pause()
      if (path === '/drain') await app.close()
      await until(path, () => reasons.at(-1) === path.slice(1))
      if (path === '/overflow') client.disconnect()
    }
    await wait(20)
    t.strictSame(reasons, ['client', 'server', 'error', 'idle', 'lifetime', 'overflow', 'drain'])
  })

  t.test('an onDisconnect that throws or rejects calls onError', async (t) => {
    const app = await makeApp(t)
    const errors: string[] = []
    const onError = (error: Error) => { errors.push(error.message) }
    app.sseRoute('/throws', { source: () => [], onDisconnect: () => { throw new Error('thrown') }, onError })
    app.sseRoute('/rejects', { source: () => [], onDisconnect: async () => { throw new Error('rejected') }, onError })
    for (const url of ['/throws', '/rejects']) await (await injectSSE(app, { url })).next()
    await until('both errors', () => errors.length === 2)
    t.strictSame(errors, ['thrown', 'rejected'])
  })
})

test('onError', async (t) => {
  t.test('without onError, errors go to the log of the request at level error', async (t) => {
    const lines: { level: number, reqId: string, err: { message: string } }[] = []
    const app = await makeApp(t, {}, { logger: { level: 'error', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } } })
    app.sseRoute('/', { source: () => { throw new Error('broken') } })
    app.get('/reply', async (request, reply) => reply.sse((async function * () { throw new Error('broken too') })()))
    const port = await listen(app)
    for (const path of ['/', '/reply']) t.notOk(await (await open(t, port, path)).finished())
    t.match(lines, [{ level: 50, reqId: 'req-1', err: { message: 'broken' } }, { level: 50, reqId: 'req-2', err: { message: 'broken too' } }])
  })

  t.test('an onError that rejects is logged together with the first error', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, {}, { logger: { level: 'error', stream: { write: (line: string) => { lines.push(line) } } } })
    app.sseRoute('/', { source: () => { throw new Error('first') }, onError: async () => { throw new Error('second') } })
    t.notOk(await (await open(t, await listen(app), '/')).finished())
    t.match(lines, [/first/, /second/])
  })
})

test('injectSSE', async (t) => {
  t.test('injectSSE rejects with the response when it is not an event stream', async (t) => {
    const app = await makeApp(t)
    app.get('/', async () => ({ a: 1 }))
    const error = await injectSSE(app, { url: '/' }).catch((error) => error)
    t.ok(error instanceof SSE_ERR_NO_STREAM)
    t.match(error, { statusCode: 200, body: '{"a":1}', headers: { 'content-type': 'application/json; charset=utf-8' } })
    await t.rejects(injectSSE(app, { url: '/none' }), { code: 'SSE_ERR_NO_STREAM', statusCode: 404 })
  })

  t.test('injectSSE and stream.next() reject after the time limit', async (t) => {
    const app = await makeApp(t)
    app.get('/silent', () => {})
    app.sseRoute('/', { onConnect: () => {} })
    await t.rejects(injectSSE(app, { url: '/silent', timeout: 30 }), { code: 'SSE_ERR_TIMEOUT', message: 'An answer from /silent did not come within 30 ms' })
    const stream = await injectSSE(app, { url: '/', timeout: 30 })
    await t.rejects(stream.next(), { code: 'SSE_ERR_TIMEOUT', message: 'An event did not come within 30 ms' })
  })

  t.test('injectSSE disconnects on close(), and when a for await loop over it ends', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { interval: 5, payload: () => ({ id: 'i', event: 'e', data: 'd' }) })
    const stream = await injectSSE(app, { url: '/' })
    t.strictSame(await stream.next(), { id: 'i', event: 'e', data: 'd' })
    stream.close()
    let seen = 0
    for await (const { data } of await injectSSE(app, { url: '/' })) {
      t.equal(data, 'd')
      if (++seen === 2) break
    }
    await until('both streams to be closed', () => app.sse.stats().closed.client === 2)
  })
})
