import { createTRPCUntypedClient, httpSubscriptionLink } from '@trpc/client'
import { EventSource } from 'eventsource'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { listen, until } from '../helpers/app.js'
import { startInterruptibleProxy } from '../helpers/interruptible-proxy.js'
import { pageOf } from './document.js'
import { run, toJavaScript } from './run.js'

const page = pageOf('docs/graphql-and-trpc.md')

const [source] = page.codeOf('tRPC: a route with a source', 'ts')
const [topics] = page.codeOf('tRPC: a route with topics', 'ts')
const [clientCode] = page.codeOf('The client of tRPC', 'ts')

interface Parts { build: () => FastifyInstance, requests: unknown[] }

async function start (t: Test, { change = String }: { change?: (code: string) => string } = {}) {
  const files = {
    'trpc-source.js': `${toJavaScript(change(source.replace('1_000, null', '20, null').replace('retry: 1_000', 'retry: 20')))}
      export function userOf ({ headers }) { if (headers.cookie !== 'user=ann' && headers.authorization !== 'Bearer ann') throw Object.assign(new Error('Sign in'), { statusCode: 401 }) }`,
    'trpc-topics.js': toJavaScript(change(topics.replace('retry: 1_000', 'retry: 20').replace('10_000', '1_000').replace('3_000', '100')))
  }
  const parts = await run<Parts>(t, `import Fastify from 'fastify'
    import sse from 'fastify-sse-routes'
    import { countdown } from './trpc-source.js'
    import { orders } from './trpc-topics.js'
    const requests = []
    function build () {
      const app = Fastify({ forceCloseConnections: true })
      app.addHook('onRequest', async ({ method, query, headers }) => { requests.push([method, query.input, headers['last-event-id']]) })
      app.register(sse, { heartbeat: 50 })
      app.register(countdown)
      app.register(orders)
      app.get('/page', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
      return app
    }
    const parts = { build, requests }`, 'parts', files)
  const app = parts.build()
  t.teardown(() => app.close())
  return { ...parts, app, port: await listen(app) }
}

function collect (url: string, path: string, input: unknown, user = 'ann') {
  const ES = class extends EventSource { constructor (url: string, init = {}) { super(url, { ...init, fetch: (u, i) => fetch(u, { ...i, headers: { ...i?.headers, authorization: `Bearer ${user}` } }) }) } }
  const client = createTRPCUntypedClient({ links: [httpSubscriptionLink({ url: `${url}/trpc`, EventSource: ES })] })
  const seen: { all: unknown[] } = { all: [] }
  const sub = client.subscription(path, input, {
    onStarted: () => seen.all.push('started'),
    onData: (data) => seen.all.push(data),
    onError: (e) => seen.all.push(['error', e.message, e.data, e.cause]),
    onComplete: () => seen.all.push('complete'),
    onStopped: () => seen.all.push('stopped'),
    onConnectionStateChange: (s) => seen.all.push([s.state, s.error?.message, s.error?.data])
  })
  return { seen: seen.all, sub }
}

test('explore', async (t) => {
  const { app, port, requests } = await start(t, { change: code => code.replace('yield { id: left', "if (left === 5 && !globalThis.failed) { globalThis.failed = true; throw new Error('boom') }\nif (left === 17) throw Object.assign(new Error('bad'), { statusCode: 400 });  yield { id: left") })
  const url = `http://127.0.0.1:${port}`
  for (const [input, user] of [[{ from: 2 }], [{ from: 7 }], [{ from: 18 }], [{ from: 'x' }], [undefined], [{ from: 2 }, 'eve']] as const) {
    requests.length = 0
    const { seen } = collect(url, 'countdown', input, user)
    await until('over', () => seen.some(s => s === 'complete' || (Array.isArray(s) && s[0] === 'error')), 3000).catch(String)
    console.error(JSON.stringify(input), user, seen, requests)
  }
  await until('none', () => app.sse.streams.size === 0, 3000)
  const { seen } = collect(url, 'nothing', {})
  await until('over', () => seen.some(s => s === 'complete' || (Array.isArray(s) && s[0] === 'error')), 3000).catch(String)
  console.error(seen)
})

test('explore topics', async (t) => {
  const { app, port, requests, build } = await start(t)
  const proxy = await startInterruptibleProxy(t, `http://127.0.0.1:${port}`)
  const { seen, sub } = collect(proxy.url, 'orders', { shop: 'a' })
  const post = (item: string, a = app) => a.inject({ method: 'POST', url: '/shops/a/orders', payload: { item } })
  await until('started', () => seen.includes('started'))
  await post('one')
  await until('one', () => seen.length === 4)
  proxy.interrupt()
  await until('gone', () => app.sse.streams.size === 0)
  await post('two')
  await proxy.restore()
  await until('two', () => JSON.stringify(seen).includes('two'))
  console.error(seen.splice(0), requests.splice(0))
  // drain
  await app.close()
  const next = build()
  t.teardown(() => next.close())
  await next.listen({ port, host: '127.0.0.1' })
  await until('again', () => next.sse.streams.size === 1)
  await post('three', next)
  await until('three', () => JSON.stringify(seen).includes('three'))
  console.error(seen.splice(0), requests.splice(0))
  await next.sse.broadcast({ data: 'bc' })
  await next.sse.broadcast({ event: 'news', data: 'bc2' })
  await post('four', next)
  await until('four', () => JSON.stringify(seen).includes('four'))
  console.error(seen.splice(0), requests.splice(0))
  sub.unsubscribe()
  await until('none', () => next.sse.streams.size === 0, 3000)
})

test('explore timeout', async (t) => {
  const { app, port, requests } = await start(t, { change: code => code.replace('interval: 100', 'interval: 5_000, immediate: false').replace('1_000', '200') })
  const { seen, sub } = collect(`http://127.0.0.1:${port}`, 'orders', { shop: 'a' })
  const post = (item: string, a = app) => a.inject({ method: 'POST', url: '/shops/a/orders', payload: { item } })
  await until('started', () => seen.includes('started'))
  await post('one')
  await until('second', () => app.sse.stats().opened === 2)
  for (const { request } of app.sse.streams.values()) request.raw.socket.destroy()
  await until('third', () => app.sse.stats().opened === 3)
  await post('two')
  await until('two', () => JSON.stringify(seen).includes('two'))
  console.error(seen.splice(0), requests.splice(0), app.sse.stats())
  sub.unsubscribe()
  void clientCode
})
