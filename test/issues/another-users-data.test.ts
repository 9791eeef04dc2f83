// Symptom: one user receives data of another user.
// Cause: one timer serves the streams of many clients, so that a callback ran in the AsyncLocalStorage context of a client that happened to own the timer.
import { AsyncLocalStorage } from 'node:async_hooks'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { test, type Test } from 'tap'
import { listen, makeApp, open, until } from '../helpers/app.js'

const storage = new AsyncLocalStorage<string>()

/** Returns the user in the current async context; 'none' outside of any request. */
const user = () => storage.getStore() ?? 'none'

const userOf = ({ query }: FastifyRequest) => (query as { user: string }).user

/** Creates an app that stores the user of each request in an AsyncLocalStorage, as @fastify/request-context does. */
async function makeUsersApp (t: Test, options = {}): Promise<FastifyInstance> {
  const app = await makeApp(t, options)
  app.addHook('onRequest', (request, _reply, done) => { storage.run(userOf(request), done) })
  return app
}

/** Returns the users whose data is in the text of a client. */
const usersIn = (text: string) => [...new Set(text.match(/(?<=data: )\w+/g))]

test('data of one user is sent to that user only', async (t) => {
  t.test('an interval sends each client data of its own user, also after another client of the interval has disconnected', async (t) => {
    const app = await makeUsersApp(t)
    app.sseRoute('/', { interval: 10, payload: () => user() })
    const port = await listen(app)
    const ann = await open(t, port, '/?user=ann')
    const bob = await open(t, port, '/?user=bob')
    await Promise.all([ann.until('data: ', 4), bob.until('data: ', 4)])
    ann.disconnect()
    await until('the stream of ann to be closed', () => app.sse.streams.size === 1)
    const before = bob.text.length
    await until('four more events', () => bob.text.slice(before).split('data: ').length > 4)
    t.strictSame([usersIn(ann.text), usersIn(bob.text)], [['ann'], ['bob']])
  })

  t.test('two routes with the same interval send each client data of its own user, sync or async, with and without a first payload', async (t) => {
    const app = await makeUsersApp(t)
    app.sseRoute('/sync', { interval: 10, immediate: false, payload: () => user() })
    app.sseRoute('/async', { interval: 10, payload: async () => { await Promise.resolve(); return user() } })
    const port = await listen(app)
    const clients = []
    for (const path of ['/sync?user=ann', '/async?user=bob', '/sync?user=cid', '/async?user=dot']) clients.push(await open(t, port, path))
    await Promise.all(clients.map((client) => client.until('data: ', 4)))
    t.strictSame(clients.map(({ text }) => usersIn(text)), [['ann'], ['bob'], ['cid'], ['dot']])
  })

  t.test('a source sends each client data of its own user when items are triggered by timers and other clients', async (t) => {
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
  t.test('a shared payload and the listeners of its signal run in the context of the route declaration, never in that of a client', async (t) => {
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
    await until('a pending call', () => awaited)
    ann.disconnect()
    bob.disconnect()
    await until('the signal of the pending call to be aborted', () => aborted.length > 0)
    t.strictSame([...new Set(aborted)], ['declared'])
  })

  t.test('the key of a shared payload is computed in the context of the request', async (t) => {
    const app = await makeUsersApp(t)
    const keys: string[] = []
    app.sseRoute('/', { interval: 10, shared: () => { keys.push(user()); return 'key' }, payload: () => 'x' })
    const port = await listen(app)
    for (const name of ['ann', 'bob']) await (await open(t, port, `/?user=${name}`)).until('data: ')
    t.strictSame(keys, ['ann', 'bob'])
  })
})

test('callbacks run in the context of their request', async (t) => {
  t.test('topics, clientId, the key of a limit and onConnect run in the context of their request', async (t) => {
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
    await until('all callbacks to be called', () => calls.length === 8)
    for (const name of ['ann', 'bob']) t.strictSame(calls.filter((call) => call.endsWith(name)), ['limit', 'topics', 'clientId', 'onConnect'].map((what) => `${what} ${name}`))
  })

  t.test('abort listeners, the finally of a source and onDisconnect run in the context of their request, for each close reason', async (t) => {
    const calls: string[] = []
    const app = await makeUsersApp(t)
    const closing = {
      source: async function * (request: FastifyRequest, stream: { signal: AbortSignal }) {
        stream.signal.addEventListener('abort', () => { calls.push(`${userOf(request)} signal ${user()}`) })
        try {
          yield 'x'.repeat(10)
          await new Promise((resolve) => { stream.signal.addEventListener('abort', resolve) })
        } finally {
          calls.push(`${userOf(request)} source ${user()}`)
        }
      },
      onDisconnect: (request: FastifyRequest, stream: { closeReason: string | null }) => { calls.push(`${userOf(request)} onDisconnect ${user()} ${stream.closeReason}`) }
    }
    app.sseRoute('/idle', { ...closing, idleTimeout: 30 })
    app.sseRoute('/lifetime', { ...closing, maxLifetime: 30 })
    app.sseRoute('/client', closing)
    app.sseRoute('/server', closing)
    app.sseRoute('/drain', closing)
    const port = await listen(app)
    // so that two streams share the timer list of each delay
    for (const reason of ['idle', 'lifetime', 'client', 'server', 'drain']) {
      for (const name of ['ann', 'bob']) {
        const client = await open(t, port, `/${reason}?user=${name}`)
        await client.until('data: ')
        if (reason === 'client') client.disconnect()
      }
    }
    for (const stream of app.sse.streams.values()) if (stream.request.url.startsWith('/server')) stream.close()
    await until('all streams but two to be closed', () => app.sse.streams.size === 2)
    await app.close()
    const expected = ['idle', 'lifetime', 'client', 'server', 'drain'].flatMap((reason) =>
      ['ann', 'bob'].flatMap((name) => [`${name} signal ${name}`, `${name} source ${name}`, `${name} onDisconnect ${name} ${reason}`]))
    t.strictSame(calls.sort(), expected.sort())
  })

  t.test('onError runs in the context of its request, for a payload, a shared payload and a source', async (t) => {
    const calls: string[] = []
    const app = await makeUsersApp(t)
    const onError = (error: Error, request: FastifyRequest) => { calls.push(`${error.message} ${userOf(request)} ${user()}`) }
    app.sseRoute('/payload', { interval: 10, payload: () => { throw new Error('payload') }, onError })
    app.sseRoute('/shared', { interval: 10, shared: true, payload: () => { throw new Error('shared') }, onError })
    app.sseRoute('/source', { source: async function * () { yield 'x'; await new Promise((resolve) => { setTimeout(resolve, 5) }); throw new Error('source') }, onError })
    const port = await listen(app)
    for (const path of ['/payload', '/shared', '/source']) for (const name of ['ann', 'bob']) await open(t, port, `${path}?user=${name}`)
    await until('all callbacks to fail', () => calls.length > 12 && ['payload ann', 'payload bob', 'source ann', 'source bob'].every((start) => calls.some((call) => call.startsWith(start))))
    for (const call of calls) t.match(call, /^(payload|shared|source) (ann|bob) \2$/)
  })

  t.test('a function given to reply.sse(), its source, onError and onDisconnect run in the context of their request', async (t) => {
    const calls: string[] = []
    const app = await makeUsersApp(t)
    app.get('/', (request, reply) => {
      const options = {
        onError: (error: Error) => { calls.push(`${error.message} ${userOf(request)} ${user()}`) },
        onDisconnect: () => { calls.push(`left ${userOf(request)} ${user()}`) }
      }
      return reply.sse(async function * (stream) {
        yield user()
        await new Promise((resolve) => { stream.signal.addEventListener('abort', resolve) })
        calls.push(`stopped ${userOf(request)} ${user()}`)
      }, options)
    })
    const port = await listen(app)
    const clients = await Promise.all(['ann', 'bob'].map((name) => open(t, port, `/?user=${name}`)))
    await Promise.all(clients.map((client) => client.until('data: ')))
    t.strictSame(clients.map(({ text }) => usersIn(text)), [['ann'], ['bob']])
    for (const client of clients) client.disconnect()
    await until('both streams to be closed', () => calls.length === 4)
    for (const call of calls) t.match(call, /^(left|stopped) (ann|bob) \2$/)
  })
})
