import type { FastifyInstance, FastifyRequest } from 'fastify'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'

let waiting = 0

function declareRoutes (app: FastifyInstance): void {
  app.sseRoute('/open', { onConnect: () => {} })
  app.sseRoute('/ends', { source: () => ['x'] })
  app.sseRoute('/fails', { source: () => { throw new Error('x') }, onError: () => {} })
  app.sseRoute('/refused', { openOn: 'first-event', source: () => { throw new Error('x') } })
  app.sseRoute('/waits', { openOn: 'first-event', source: () => { waiting++; return new Promise<never>(() => {}) } })
  app.sseRoute('/client-id', { source: () => [], clientId: () => { throw new Error('x') } })
  app.get('/reply', (request, reply) => { reply.sse() })
}

test('maxStreams', async (t) => {
  t.test('requests above maxStreams are answered with 503 and Retry-After, and counted as rejected', async (t) => {
    const app = await makeApp(t, { maxStreams: 2 })
    declareRoutes(app)
    const port = await listen(app)
    const [one] = [await open(t, port, '/open'), await open(t, port, '/reply')]
    for (const path of ['/open', '/reply']) {
      const { statusCode, headers } = (await open(t, port, path)).response
      t.equal(statusCode, 503)
      t.match(headers, { 'retry-after': '5', 'content-type': /json/ })
    }
    t.match(app.sse.stats(), { active: 2, opened: 2, rejected: 2 })
    one?.disconnect()
    await until('a stream to be closed', () => app.sse.streams.size === 1)
    t.equal((await open(t, port, '/open')).response.statusCode, 200)
  })

  t.test('maxStreams holds when 50 requests arrive at once', async (t) => {
    const app = await makeApp(t, { maxStreams: 5 })
    declareRoutes(app)
    const port = await listen(app)
    const clients = await Promise.all(Array.from({ length: 50 }, () => open(t, port, '/open')))
    t.equal(clients.filter(({ response }) => response.statusCode === 200).length, 5)
    t.match(app.sse.stats(), { active: 5, rejected: 45 })
  })

  t.test('every way in which a stream ends or fails to open frees its place under maxStreams', async (t) => {
    const app = await makeApp(t, { maxStreams: 1, maxStreamsPerClient: { max: 1 } })
    declareRoutes(app)
    app.get('/gone', async (request, reply) => {
      await until('the client to be gone', () => reply.raw.destroyed)
      reply.sse()
    })
    const port = await listen(app)
    for (let round = 0; round < 3; round++) {
      for (const path of ['/ends', '/fails', '/refused', '/client-id', '/open', '/reply', '/waits', '/gone']) {
        const socket = await connectSocket(t, port)
        const before = waiting
        socket.write(`GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`)
        if (path === '/waits') await until(path, () => waiting > before)
        else if (path !== '/gone') await until(path, () => socket.text.includes('\r\n\r\n'))
        t.notMatch(socket.text, 'HTTP/1.1 503', path)
        t.notMatch(socket.text, 'HTTP/1.1 429', path)
        socket.destroy()
        await until('the place to be free', async () => (await app.inject('/refused')).statusCode === 500)
      }
    }
  })
})

test('maxStreamsPerClient', async (t) => {
  t.test('requests of one client above maxStreamsPerClient are answered with 429 and Retry-After', async (t) => {
    const app = await makeApp(t, { maxStreamsPerClient: { max: 2, key: (request) => String(request.headers['x-user']) } })
    declareRoutes(app)
    const streams = [
      await injectSSE(app, { url: '/open', headers: { 'x-user': 'ann' } }),
      await injectSSE(app, { url: '/open', headers: { 'x-user': 'ann' } })
    ]
    const third = await app.inject({ url: '/open', headers: { 'x-user': 'ann' } })
    t.match(third, { statusCode: 429, headers: { 'retry-after': '5' } })
    t.match(third.json(), { code: 'SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT' })
    const other = await injectSSE(app, { url: '/open', headers: { 'x-user': 'bob' } })
    t.equal(other.statusCode, 200)
    streams[0]?.close()
    await until('a stream to be closed', () => app.sse.streams.size === 2)
    t.equal((await injectSSE(app, { url: '/open', headers: { 'x-user': 'ann' } })).statusCode, 200)
  })

  t.test('maxStreamsPerClient identifies a client by its address, an IPv6 client by its /64 network', async (t) => {
    const app = await makeApp(t, { maxStreamsPerClient: { max: 1 } })
    declareRoutes(app)
    const from = (remoteAddress: string) => app.inject({ url: '/open', remoteAddress, payloadAsStream: true })
    const same = [['10.0.0.1', '10.0.0.1'], ['2001:db8:1:2::1', '2001:db8:1:2:ffff::9'], ['2001:db8::1', '2001:DB8:0:0:1::'], ['::1', '::2'], ['fe80::1%eth0', 'fe80::2%eth0']]
    for (const [first = '', second = ''] of same) {
      t.equal((await from(first)).statusCode, 200, first)
      t.equal((await from(second)).statusCode, 429, second)
    }
    for (const address of ['10.0.0.2', '2001:db8:1:3::1', '2001:db8:0:1::', '::ffff:10.0.0.3', '::ffff:10.0.0.4']) {
      t.equal((await from(address)).statusCode, 200, address)
    }
  })
})

test('limits of a route', async (t) => {
  t.test('maxStreams of a route counts the streams of that route, in addition to the limits of the plugin', async (t) => {
    const app = await makeApp(t, { maxStreams: 3 })
    declareRoutes(app)
    app.sseRoute('/one', { maxStreams: 1, onConnect: () => {} })
    app.sseRoute('/two', { maxStreams: 2, onConnect: () => {} })
    const one = await injectSSE(app, { url: '/one' })
    t.match(await app.inject('/one'), { statusCode: 503, headers: { 'retry-after': '5' } })
    await injectSSE(app, { url: '/two' })
    await injectSSE(app, { url: '/two' })
    for (const url of ['/two', '/open', '/reply']) t.equal((await app.inject(url)).statusCode, 503, url)
    one.close()
    await until('a stream to be closed', () => app.sse.streams.size === 2)
    t.equal((await app.inject('/two')).statusCode, 503, 'the free place can be used by other routes only')
    t.equal((await injectSSE(app, { url: '/open' })).statusCode, 200)
    t.match(app.sse.stats(), { active: 3, rejected: 5 })
  })

  t.test('maxStreamsPerClient of a route counts clients by the key of that route', async (t) => {
    const app = await makeApp(t, { maxStreamsPerClient: { max: 2, key: ({ headers }) => String(headers['x-tenant']) } })
    app.sseRoute('/mine', { maxStreamsPerClient: { max: 1, key: ({ headers }) => String(headers['x-user']) }, onConnect: () => {} })
    app.sseRoute('/other', { onConnect: () => {} })
    const ask = async (url: string, user: string, tenant = 'a') => (await app.inject({ url, headers: { 'x-user': user, 'x-tenant': tenant }, payloadAsStream: true })).statusCode
    t.equal(await ask('/mine', 'ann'), 200)
    t.equal(await ask('/mine', 'ann'), 429, 'refused by the limit per user')
    t.equal(await ask('/other', 'ann'), 200)
    t.equal(await ask('/mine', 'bob'), 429, 'refused by the limit per tenant')
    t.equal(await ask('/mine', 'bob', 'b'), 200)
    t.match(app.sse.stats(), { active: 3, rejected: 2 })
  })
})

test('a list of maxStreamsPerClient', async (t) => {
  const byUser = { max: 1, key: ({ headers }: FastifyRequest) => String(headers['x-user']) }
  const byTenant = { max: 2, key: ({ headers }: FastifyRequest) => String(headers['x-tenant']) }

  t.test('a list of maxStreamsPerClient limits by each of its keys, at the plugin and at a route', async (t) => {
    for (const [plugin, route] of [[[byUser, byTenant], undefined], [undefined, [byUser, byTenant]], [byTenant, [byUser]]]) {
      const app = await makeApp(t, { maxStreamsPerClient: plugin })
      app.sseRoute('/', { maxStreamsPerClient: route, onConnect: () => {} })
      const ask = (user: string, tenant: string) => app.inject({ url: '/', headers: { 'x-user': user, 'x-tenant': tenant }, payloadAsStream: true })
      const answers = []
      for (const [user = '', tenant = ''] of [['ann', 'a'], ['ann', 'b'], ['bob', 'a'], ['cid', 'a'], ['cid', 'b']]) answers.push((await ask(user, tenant)).statusCode)
      t.strictSame(answers, [200, 429, 200, 429, 200])
      t.match(app.sse.stats(), { active: 3, rejected: 2 })
    }
  })

  t.test('a request that is refused by one limit takes no place under the others', async (t) => {
    const app = await makeApp(t, { maxStreams: 3, maxStreamsPerClient: [{ max: 3 }, byUser] })
    app.sseRoute('/', { maxStreams: 3, maxStreamsPerClient: [byTenant], onConnect: () => {} })
    const ask = async (user: string, tenant: string) => (await app.inject({ url: '/', headers: { 'x-user': user, 'x-tenant': tenant }, payloadAsStream: true })).statusCode
    t.equal(await ask('ann', 'a'), 200)
    for (let round = 0; round < 5; round++) t.equal(await ask('ann', 'b'), 429)
    t.equal(await ask('bob', 'a'), 200)
    for (let round = 0; round < 5; round++) t.equal(await ask('cid', 'a'), 429)
    t.equal(await ask('cid', 'b'), 200)
    t.equal(await ask('dan', 'b'), 503)
    t.match(app.sse.stats(), { active: 3, rejected: 11 })
  })

  t.test('an empty list of maxStreamsPerClient sets no limit', async (t) => {
    const app = await makeApp(t, { maxStreamsPerClient: [] })
    declareRoutes(app)
    for (let count = 0; count < 3; count++) t.equal((await injectSSE(app, { url: '/open' })).statusCode, 200)
  })
})
