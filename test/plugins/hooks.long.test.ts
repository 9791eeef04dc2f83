import cookie from '@fastify/cookie'
import jwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import sensible from '@fastify/sensible'
import session, { type SessionStore } from '@fastify/session'
import underPressure from '@fastify/under-pressure'
import type { FastifyRequest } from 'fastify'
import { test } from 'tap'
import { type Client, open, until } from '../helpers/app.js'
import { answerOf, inBothOrders, openAll, PATHS, reach } from './orders.js'

/** The cookies that an answer sets, without their attributes. */
function cookiesOf ({ response }: Client): (string | undefined)[] {
  return (response.headers['set-cookie'] ?? []).map((line) => line.split(';')[0]).sort()
}

declare module 'fastify' {
  interface Session { name?: string }
}

test('@fastify/cookie', async (t) => {
  const apps = await inBothOrders(t, async (app) => {
    await app.register(cookie)
    app.addHook('onRequest', async (request, reply) => { reply.setCookie('one', '1') })
    app.addHook('preHandler', async (request, reply) => { reply.setCookie('two', '2').header('set-cookie', 'three=3') })
  }, {
    routes: (app) => {
      app.get('/late', (request, reply) => {
        reply.setCookie('four', '4').sse()
        reply.setCookie('late', '1')
      })
    }
  })
  for (const client of await openAll(t, apps)) t.strictSame(cookiesOf(client), ['one=1', 'three=3', 'two=2'])
  for (const { port } of apps) {
    t.strictSame(cookiesOf(await open(t, port, '/late')), ['four=4', 'one=1', 'three=3', 'two=2'])
  }
})

/** Keeps text, as those outside the process do; counts what it is given, and fails where it is told to. */
class Store implements SessionStore {
  readonly #sessions = new Map<string, string>()
  sets = 0
  failing: 'get' | 'set' | null = null

  get (...[id, done]: Parameters<SessionStore['get']>): void {
    done(this.failing === 'get' ? new Error('no get') : null, JSON.parse(this.#sessions.get(id) ?? 'null'))
  }

  set (...[id, session, done]: Parameters<SessionStore['set']>): void {
    this.sets++
    this.#sessions.set(id, JSON.stringify(session))
    done(this.failing === 'set' ? new Error('no set') : null)
  }

  destroy (...[id, done]: Parameters<SessionStore['destroy']>): void {
    this.#sessions.delete(id)
    done(null)
  }
}

test('@fastify/session', async (t) => {
  const store = new Store()
  const apps = await inBothOrders(t, async (app) => {
    await app.register(cookie)
    await app.register(session, { secret: 'x'.repeat(32), cookie: { secure: false }, store })
  }, {
    routes: (app) => {
      app.get('/sign-in', async (request) => { request.session.name = 'Ada' })
      app.get('/name', async (request) => ({ name: request.session.name }))
      app.get('/sign-out', async (request) => { await request.session.destroy() })
      app.sseRoute('/changed', {
        onConnect: async (request, stream) => {
          request.session.name = 'changed'
          await stream.send('changed')
        }
      })
      app.sseRoute('/saved', {
        onConnect: async (request, stream) => {
          request.session.name = 'saved'
          await request.session.save()
          await stream.send('saved')
        }
      })
    }
  })
  for (const { app, port } of apps) {
    const signedIn = cookiesOf(await open(t, port, '/sign-in'))
    const headers = { cookie: String(signedIn) }
    for (const path of PATHS) {
      const before = store.sets
      t.strictSame(cookiesOf(await open(t, port, path, { headers })), signedIn, `${path} sets the cookie anew`)
      t.equal(store.sets, before + 1, `${path} saves once`)
    }
    const before = store.sets
    t.match(cookiesOf(await open(t, port, '/route')), [/^sessionId=/])
    t.equal(store.sets, before + 1, 'a client without a session gets one')
    for (const [data, name] of [['changed', 'Ada'], ['saved', 'saved']]) {
      await (await open(t, port, `/${data}`, { headers })).until(`data: ${data}`)
      t.strictSame((await answerOf(await open(t, port, '/name', { headers }))).body, { name })
    }
    for (const failing of ['get', 'set'] as const) {
      store.failing = failing
      for (const path of PATHS) t.match(await answerOf(await open(t, port, path, { headers })), { status: 500, body: { message: `no ${failing}` } }, `${path} ${failing}`)
      store.failing = null
    }
    const stream = await open(t, port, '/route', { headers })
    await open(t, port, '/sign-out', { headers })
    await app.sse.publish('a', 'after')
    await stream.until('data: after')
  }
})

test('@fastify/jwt', async (t) => {
  let late = 0
  const apps = await inBothOrders(t, async (app) => {
    await app.register(cookie)
    await app.register(jwt, { secret: 'x'.repeat(32), cookie: { cookieName: 'token', signed: false } })
    app.addHook('onRequest', (request) => request.jwtVerify({ clockTimestamp: Date.now() + late }))
  }, {
    sse: { clientId: (request: FastifyRequest) => (request.user as { sub: string }).sub },
    routes: (app) => { app.sseRoute('/short', { maxLifetime: 50, onConnect: () => {} }) }
  })
  for (const client of await openAll(t, apps)) t.match(await answerOf(client), { status: 401, body: { code: 'FST_JWT_NO_AUTHORIZATION_IN_COOKIE' } })
  for (const { app, port } of apps) {
    late = 0
    const token = app.jwt.sign({ sub: 'ada' }, { expiresIn: '1m' })
    const headers = { cookie: `token=${token}` }
    const clients = [
      await open(t, port, '/route', { headers }),
      await open(t, port, '/hand', { headers }),
      await open(t, port, '/route', { headers: { authorization: `Bearer ${token}` } })
    ]
    const short = await open(t, port, '/short', { headers })
    late = 3_600_000
    t.ok(await short.finished())
    t.match(await answerOf(await open(t, port, '/short', { headers })), { status: 401, body: { code: 'FST_JWT_AUTHORIZATION_TOKEN_EXPIRED' } })
    await app.sse.sendTo('ada', 'late')
    for (const client of clients) await client.until('data: late')
  }
})

test('@fastify/rate-limit', async (t) => {
  const apps = await inBothOrders(t, (app) => app.register(rateLimit, { max: 3 }))
  for (const app of apps) {
    const clients = await openAll(t, [app])
    t.match(clients.map(({ response }) => response.headers), [{ 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': '2' }, { 'x-ratelimit-remaining': '1' }])
    for (const client of clients) client.disconnect()
    await until('they have left', () => app.app.sse.streams.size === 0)
    const third = await open(t, app.port, '/route')
    t.equal(third.response.statusCode, 200)
    const fourth = await open(t, app.port, '/route')
    t.match(await answerOf(fourth), { status: 429, body: { statusCode: 429, error: 'Too Many Requests' } })
    t.match(fourth.response.headers, { 'retry-after': /^\d+$/, 'content-type': /json/ })
    await reach([app], [third], 'on')
  }
})

test('@fastify/under-pressure', async (t) => {
  let healthy = true
  const apps = await inBothOrders(t, (app) => app.register(underPressure, { healthCheck: async () => healthy, healthCheckInterval: 10 }))
  const before = await openAll(t, apps)
  healthy = false
  for (const { port } of apps) {
    for (const path of PATHS) {
      await until('pressure', async () => (await open(t, port, path)).response.statusCode === 503)
      const client = await open(t, port, path)
      t.match(await answerOf(client), { status: 503, body: { code: 'FST_UNDER_PRESSURE', statusCode: 503 } })
      t.equal(client.response.headers['retry-after'], '10')
    }
  }
  await reach(apps, before, 'on')
})

test('@fastify/sensible', async (t) => {
  const apps = await inBothOrders(t, async (app) => {
    await app.register(sensible)
    app.addHook('preHandler', async (request, reply) => {
      if ('out' in request.headers) return reply.unauthorized('who?')
      reply.vary('cookie')
      if ('secret' in request.headers) reply.preventCache()
    })
  }, {
    routes: (app) => {
      app.sseRoute('/topics', { topics: () => { throw app.httpErrors.forbidden('not you') } })
      app.get('/after', (request, reply) => { reply.preventCache().cacheControl('no-transform').sse() })
    }
  })
  for (const client of await openAll(t, apps, { out: '1' })) t.match(await answerOf(client), { status: 401, body: { statusCode: 401, error: 'Unauthorized', message: 'who?' } })
  for (const { response } of await openAll(t, apps)) t.match(response.headers, { vary: 'cookie', 'cache-control': 'no-cache, no-transform' })
  for (const { response } of await openAll(t, apps, { secret: '1' })) t.match(response.headers, { 'cache-control': 'no-store, max-age=0, private', pragma: 'no-cache', expires: '0' })
  for (const { port } of apps) {
    t.match(await answerOf(await open(t, port, '/topics')), { status: 403, body: { message: 'not you' } })
    t.match((await open(t, port, '/after')).response.headers, { 'cache-control': 'no-store, max-age=0, private, no-transform' })
  }
})
