// Symptom: code that should run for every stream has to be repeated at each route.
// Cause: onConnect, onDisconnect and onError were options of routes only.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { refusalOf } from '../helpers/refusal.js'

/** Creates an app with a stream of each kind, whose callbacks are recorded in `calls`. */
async function createApp (t: Test, options: SSEPluginOptions) {
  const calls: string[] = []
  const lines: string[] = []
  const app = await makeApp(t, options, { logger: { level: 'error', stream: { write: (line: string) => { lines.push(line) } } } })
  const own = {
    onDisconnect: () => { calls.push('own onDisconnect') },
    onError: (error: Error) => { calls.push(`own onError: ${error.message}`) }
  }
  const onConnect = () => { calls.push('own onConnect') }
  const source = async function * () {
    calls.push('source')
    yield 'item'
  }
  app.sseRoute('/interval', { interval: 60_000, payload: () => { calls.push('payload'); return 'item' }, onConnect, ...own })
  app.sseRoute('/source', { source, onConnect, ...own })
  app.sseRoute('/topics', { topics: ['a'], onConnect, ...own })
  app.get('/reply', (_request, reply) => { reply.sse(own).subscribe('a') })
  app.get('/iterable', (_request, reply) => reply.sse(source(), own))
  app.get('/function', (_request, reply) => reply.sse(() => source(), own))
  declareFailing(app, '', {})
  declareFailing(app, '/own', { onError: own.onError })
  return { app, port: await listen(app), calls, lines }
}

/** Declares streams of each kind that fail. */
function declareFailing (app: FastifyInstance, prefix: string, options: object): void {
  const fail = (message: string) => () => { throw new Error(message) }
  app.sseRoute(`${prefix}/failing/payload`, { interval: 60_000, payload: fail('payload'), ...options })
  app.sseRoute(`${prefix}/failing/source`, { source: fail('source'), ...options })
  app.sseRoute(`${prefix}/failing/onConnect`, { onConnect: fail('onConnect'), ...options })
  app.sseRoute(`${prefix}/failing/onDisconnect`, { source: () => [], onDisconnect: fail('onDisconnect'), ...options })
  app.get(`${prefix}/failing/handler`, (_request, reply) => { reply.sse(options); throw new Error('handler') })
  app.get(`${prefix}/failing/function`, (_request, reply) => reply.sse(fail('function'), options))
}

const failing = ['payload', 'source', 'onConnect', 'onDisconnect', 'handler', 'function']
const paths = ['/interval', '/source', '/topics', '/reply', '/iterable', '/function']

test('onConnect of the plugin is called for every stream', async (t) => {
  t.test('onConnect of the plugin runs before that of the route, and is awaited before the first payload, item or replayed event', async (t) => {
    const { app, port, calls } = await createApp(t, {
      onConnect: async (request, stream) => {
        calls.push(`onConnect of ${request.url}`)
        await stream.send('welcome')
        await wait(20)
        calls.push('connected')
      }
    })
    const missed = [await app.sse.publish('a', 'missed'), await app.sse.publish('a', 'item')]
    for (const path of paths) {
      calls.length = 0
      const client = await open(t, port, `${path}?lastEventId=${path.endsWith('s') ? missed[0] : ''}`)
      if (path === '/reply') await app.sse.publish('a', 'item')
      await client.until('data: item')
      t.match(client.text, /^(id: \S+\n\n)?data: welcome\n\n[^]*data: item\n\n/)
      t.match(calls[0], `onConnect of ${path}`)
      const connected = calls.indexOf('connected')
      for (const later of ['own onConnect', 'payload']) t.ok(!calls.includes(later) || calls.indexOf(later) > connected, `${path}: ${later} was called before onConnect had finished`)
      if (path === '/source' || path === '/function') t.ok(calls.indexOf('source') > connected, path)
      client.disconnect()
      await until('the stream to be closed', () => calls.includes('own onDisconnect'))
    }
  })

  t.test('an onConnect of the plugin that throws aborts the stream and calls onError of the route', async (t) => {
    const { port, calls, lines } = await createApp(t, { onConnect: () => { throw new Error('refused') } })
    for (const path of paths) {
      calls.length = 0
      const client = await open(t, port, path)
      t.notOk(await client.finished(), path)
      await until('the call of onError', () => calls.includes('own onError: refused'))
      t.notOk(calls.includes('own onConnect') || calls.includes('payload'), path)
    }
    t.strictSame(lines, [])
  })

  t.test('an onConnect of the plugin that closes the stream ends it before any callback of the route', async (t) => {
    const { port, calls } = await createApp(t, { onConnect: (_request, stream) => { stream.close() } })
    for (const path of paths) {
      calls.length = 0
      const client = await open(t, port, path)
      t.ok(await client.finished(), path)
      await until('the stream to be closed', () => calls.includes('own onDisconnect'))
      t.notOk(calls.includes('own onConnect') || calls.includes('payload'), path)
    }
  })
})

test('onDisconnect of the plugin is called for every stream, before that of the route', async (t) => {
  const seen: string[] = []
  const { port, calls } = await createApp(t, {
    onDisconnect: async (request, stream) => {
      seen.push(`${request.url} ${stream.closeReason}`)
      calls.push('onDisconnect')
      // a call that never settles delays only app.close(), for drain.timeout
      await new Promise(() => {})
    }
  })
  for (const path of paths) {
    calls.length = 0
    const client = await open(t, port, path)
    client.disconnect()
    await until('both calls', () => calls.includes('own onDisconnect'))
    t.ok(calls.indexOf('onDisconnect') < calls.indexOf('own onDisconnect'), path)
  }
  t.strictSame(seen.map((line) => line.split(' ')[0]), paths)
  t.match(seen[0], / client$/)
})

test('an onDisconnect of the plugin that throws calls onError, and onDisconnect of the route is still called', async (t) => {
  const { port, calls } = await createApp(t, { onDisconnect: () => { throw new Error('failed') } })
  const client = await open(t, port, '/source')
  await client.finished()
  await until('both calls', () => calls.includes('own onDisconnect') && calls.includes('own onError: failed'))
  t.strictSame(calls.slice(0, 2), ['own onConnect', 'source'])
})

test('onError of the plugin gets the errors of streams without an onError', async (t) => {
  const errors: string[] = []
  const { port, calls, lines } = await createApp(t, {
    onError: (error, request, stream) => {
      errors.push(error.message)
      t.equal(stream.request, request)
    }
  })
  for (const name of failing) {
    for (const prefix of ['', '/own']) {
      calls.length = errors.length = 0
      const client = await open(t, port, `${prefix}/failing/${name}`)
      await until(`${prefix} ${name}`, () => calls.length + errors.length > 0)
      client.disconnect()
      t.strictSame([errors, calls], prefix === '' ? [[name], []] : [[], [`own onError: ${name}`]])
    }
  }
  t.strictSame(lines, [])
})

test('an onError of the plugin that rejects is logged together with the first error', async (t) => {
  const { port, lines } = await createApp(t, { onError: async () => { throw new Error('second') } })
  await (await open(t, port, '/failing/source')).finished()
  await until('both log lines', () => lines.length === 2)
  t.match(lines.map((line) => JSON.parse(line)), [{ msg: 'source' }, { msg: 'onError of an event stream failed', err: { message: 'second' } }])
})

test('callbacks of the plugin run in the async context of their request', async (t) => {
  const storage = new AsyncLocalStorage<string>()
  const seen: string[] = []
  const note = (name: string) => { seen.push(`${name} ${storage.getStore()}`) }
  const app = await makeApp(t, { onConnect: () => note('connect'), onDisconnect: () => note('disconnect'), onError: () => note('error') })
  app.addHook('onRequest', (request, _reply, done) => { storage.run(request.url, done) })
  app.sseRoute('/a', { interval: 10, payload: () => { throw new Error('payload') } })
  app.get('/b', (_request, reply) => { reply.sse() })
  const port = await listen(app)
  for (const path of ['/a', '/b']) await open(t, port, path)
  await until('errors of several ticks', () => seen.filter((line) => line === 'error /a').length > 2)
  await app.close()
  t.strictSame([...new Set(seen)].sort(), ['connect /a', 'connect /b', 'disconnect /a', 'disconnect /b', 'error /a'])
})

test('a callback of the plugin that is not a function fails with SSE_ERR_OPTION', async (t) => {
  for (const name of ['onConnect', 'onDisconnect', 'onError']) {
    await t.rejects(makeApp(t, { [name]: true }), { code: 'SSE_ERR_OPTION', message: `The option "${name}" takes a function, got true` })
  }
  const app = await makeApp(t)
  app.get('/', (_request, reply) => { reply.sse({ onConnect: () => {} } as object) })
  t.match(await refusalOf(app, '/'), { code: 'SSE_ERR_UNKNOWN_OPTION', message: /given at register or at sseRoute/ })
})
