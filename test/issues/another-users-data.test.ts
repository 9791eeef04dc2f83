import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { test, type Test } from 'tap'
import { listen, makeApp, open, until } from '../helpers/app.js'

const storage = new AsyncLocalStorage<string>()

/** The user of the code that runs; 'none' outside of any request. */
const user = () => storage.getStore() ?? 'none'

const named = ({ query }: FastifyRequest) => (query as { user: string }).user

/** An app that keeps the user of each request in an AsyncLocalStorage, as @fastify/request-context does. */
async function makeUsersApp (t: Test, options = {}): Promise<FastifyInstance> {
  const app = await makeApp(t, options)
  app.addHook('onRequest', (request, _reply, done) => { storage.run(named(request), done) })
  return app
}

/** The users whose data a client got. */
const usersIn = (text: string) => [...new Set(text.match(/(?<=data: )\w+/g))]

test('data of one user is sent to that user only', async (t) => {
  t.test('by an interval that two clients have in common, also after the first has left', async (t) => {
    const app = await makeUsersApp(t)
    app.sseRoute('/', { interval: 10, payload: () => user() })
    const port = await listen(app)
    const ann = await open(t, port, '/?user=ann')
    const bob = await open(t, port, '/?user=bob')
    await Promise.all([ann.until('data: ', 4), bob.until('data: ', 4)])
    ann.leave()
    await until('ann has left', () => app.sse.streams.size === 1)
    const before = bob.text.length
    await until('four more', () => bob.text.slice(before).split('data: ').length > 4)
    t.strictSame([usersIn(ann.text), usersIn(bob.text)], [['ann'], ['bob']])
  })

  t.test('by two routes with the same interval, sync and async, with and without a first payload', async (t) => {
    const app = await makeUsersApp(t)
    app.sseRoute('/sync', { interval: 10, immediate: false, payload: () => user() })
    app.sseRoute('/async', { interval: 10, payload: async () => { await Promise.resolve(); return user() } })
    const port = await listen(app)
    const clients = []
    for (const path of ['/sync?user=ann', '/async?user=bob', '/sync?user=cid', '/async?user=dot']) clients.push(await open(t, port, path))
    await Promise.all(clients.map((client) => client.until('data: ', 4)))
    t.strictSame(clients.map(({ text }) => usersIn(text)), [['ann'], ['bob'], ['cid'], ['dot']])
  })

  t.test('by sources, whose items other clients and timers wake', async (t) => {
    const app = await makeUsersApp(t)
    app.sseRoute('/', {
      source: async function * (_request, { signal }) {
        while (!signal.aborted) {
          yield user()
          await new Promise((resolve) => { setTimeout(resolve, 5) })
        }
      }
    })
    const port = await listen(app)
    const clients = await Promise.all(['ann', 'bob', 'cid'].map((name) => open(t, port, `/?user=${name}`)))
    await Promise.all(clients.map((client) => client.until('data: ', 4)))
    t.strictSame(clients.map(({ text }) => usersIn(text)), [['ann'], ['bob'], ['cid']])
  })
})

test('a shared payload runs in the context in which its route was declared', async (t) => {
  t.test('never in that of a client, nor do listeners of its signal', async (t) => {
    const app = await makeUsersApp(t)
    const aborted: string[] = []
    let awaited = false
    storage.run('declared', () => {
      app.sseRoute('/', {
        interval: 10,
        shared: true,
        payload: async (_request, _stream, call) => {
          call.signal.addEventListener('abort', () => { aborted.push(user()) })
          if (app.sse.streams.size < 2) return user()
          awaited = true
          await new Promise(() => {})
        }
      })
    })
    const port = await listen(app)
    const ann = await open(t, port, '/?user=ann')
    await ann.until('data: ', 2)
    const bob = await open(t, port, '/?user=bob')
    await bob.until('data: ')
    t.strictSame(usersIn(ann.text), ['declared'])
    await until('a call is awaited', () => awaited)
    ann.leave()
    bob.leave()
    await until('the call that is awaited is aborted', () => aborted.length > 0)
    t.strictSame([...new Set(aborted)], ['declared'])
  })

  t.test('while its key is asked for in that of the client', async (t) => {
    const app = await makeUsersApp(t)
    const keys: string[] = []
    app.sseRoute('/', { interval: 10, shared: () => { keys.push(user()); return 'key' }, payload: () => 'x' })
    const port = await listen(app)
    for (const name of ['ann', 'bob']) await (await open(t, port, `/?user=${name}`)).until('data: ')
    t.strictSame(keys, ['ann', 'bob'])
  })
})

test('callbacks run in the context of their request', async (t) => {
  t.test('before the stream opens: topics, clientId, key of a limit, onConnect', async (t) => {
    const calls: string[] = []
    const note = (what: string) => { calls.push(`${what} ${user()}`) }
    const app = await makeUsersApp(t, { maxStreamsPerClient: { max: 5, key: () => { note('limit'); return user() } } })
    app.sseRoute('/', {
      clientId: () => { note('clientId'); return user() },
      topics: async () => { await new Promise((resolve) => { setTimeout(resolve, 5) }); note('topics'); return [] },
      onConnect: () => note('onConnect')
    })
    const port = await listen(app)
    await Promise.all(['ann', 'bob'].map((name) => open(t, port, `/?user=${name}`)))
    await until('all are called', () => calls.length === 8)
    for (const name of ['ann', 'bob']) t.strictSame(calls.filter((call) => call.endsWith(name)), ['limit', 'topics', 'clientId', 'onConnect'].map((what) => `${what} ${name}`))
  })

  t.test('when the stream closes, whatever closed it: signal, the source that is stopped, onDisconnect', async (t) => {
    const calls: string[] = []
    const app = await makeUsersApp(t)
    const closing = {
      source: async function * (request: FastifyRequest, stream: { signal: AbortSignal }) {
        stream.signal.addEventListener('abort', () => { calls.push(`${named(request)} signal ${user()}`) })
        try {
          yield 'x'.repeat(10)
          await new Promise((resolve) => { stream.signal.addEventListener('abort', resolve) })
        } finally {
          calls.push(`${named(request)} source ${user()}`)
        }
      },
      onDisconnect: (request: FastifyRequest, stream: { closeReason: string | null }) => { calls.push(`${named(request)} onDisconnect ${user()} ${stream.closeReason}`) }
    }
    app.sseRoute('/idle', { ...closing, idleTimeout: 30 })
    app.sseRoute('/lifetime', { ...closing, maxLifetime: 30 })
    app.sseRoute('/client', closing)
    app.sseRoute('/server', closing)
    app.sseRoute('/drain', closing)
    const port = await listen(app)
    // each list of a delay is shared by two streams
    for (const reason of ['idle', 'lifetime', 'client', 'server', 'drain']) {
      for (const name of ['ann', 'bob']) {
        const client = await open(t, port, `/${reason}?user=${name}`)
        await client.until('data: ')
        if (reason === 'client') client.leave()
      }
    }
    for (const stream of app.sse.streams.values()) if (stream.request.url.startsWith('/server')) stream.close()
    await until('most are closed', () => app.sse.streams.size === 2)
    await app.close()
    const expected = ['idle', 'lifetime', 'client', 'server', 'drain'].flatMap((reason) =>
      ['ann', 'bob'].flatMap((name) => [`${name} signal ${name}`, `${name} source ${name}`, `${name} onDisconnect ${name} ${reason}`]))
    t.strictSame(calls.sort(), expected.sort())
  })

  t.test('when something fails: onError of a payload, a source and a stream that another one overflowed', async (t) => {
    const calls: string[] = []
    const app = await makeUsersApp(t)
    const onError = (error: Error, request: FastifyRequest) => { calls.push(`${error.message} ${named(request)} ${user()}`) }
    app.sseRoute('/payload', { interval: 10, payload: () => { throw new Error('payload') }, onError })
    app.sseRoute('/shared', { interval: 10, shared: true, payload: () => { throw new Error('shared') }, onError })
    app.sseRoute('/source', { source: async function * () { yield 'x'; await new Promise((resolve) => { setTimeout(resolve, 5) }); throw new Error('source') }, onError })
    const port = await listen(app)
    for (const path of ['/payload', '/shared', '/source']) for (const name of ['ann', 'bob']) await open(t, port, `${path}?user=${name}`)
    await until('all have failed', () => calls.length > 12 && ['payload ann', 'payload bob', 'source ann', 'source bob'].every((start) => calls.some((call) => call.startsWith(start))))
    for (const call of calls) t.match(call, /^(payload|shared|source) (ann|bob) \2$/)
  })

  t.test('in reply.sse(): a function, its source, onError, onDisconnect', async (t) => {
    const calls: string[] = []
    const app = await makeUsersApp(t)
    app.get('/', (request, reply) => {
      const options = {
        onError: (error: Error) => { calls.push(`${error.message} ${named(request)} ${user()}`) },
        onDisconnect: () => { calls.push(`left ${named(request)} ${user()}`) }
      }
      return reply.sse(async function * (stream) {
        yield user()
        await new Promise((resolve) => { stream.signal.addEventListener('abort', resolve) })
        calls.push(`stopped ${named(request)} ${user()}`)
      }, options)
    })
    const port = await listen(app)
    const clients = await Promise.all(['ann', 'bob'].map((name) => open(t, port, `/?user=${name}`)))
    await Promise.all(clients.map((client) => client.until('data: ')))
    t.strictSame(clients.map(({ text }) => usersIn(text)), [['ann'], ['bob']])
    for (const client of clients) client.leave()
    await until('both have left', () => calls.length === 4)
    for (const call of calls) t.match(call, /^(left|stopped) (ann|bob) \2$/)
  })
})
