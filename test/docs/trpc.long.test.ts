import type { createTRPCUntypedClient } from '@trpc/client'
import { build } from 'esbuild'
import type { FastifyInstance } from 'fastify'
import { join } from 'node:path'
import t, { test, type Test } from 'tap'
import { listen, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { startInterruptibleProxy } from '../helpers/interruptible-proxy.js'
import { pageOf, root } from './document.js'
import { run, toJavaScript } from './run.js'

const page = pageOf('docs/graphql-and-trpc.md')

const [source] = page.codeOf('tRPC: a route with a source', 'ts')
const [topics] = page.codeOf('tRPC: a route with topics', 'ts')
const [browserClient] = page.codeOf('The client of tRPC', 'ts')
const [nodeClient] = page.codeOf('Node', 'ts')

const browser = await launchChromium(t)

/** The client of the page for Chromium, which notes what its callbacks get. */
const { outputFiles: [script] } = await build({
  stdin: {
    contents: `${browserClient}
      const [data, log] = [[], []]
      console.log = (...line) => { log.push(line) }
      Object.assign(globalThis, { data, log, follow: (path, input) => { globalThis.subscription = follow(path, input, (event) => data.push(event)) } })`,
    loader: 'ts',
    resolveDir: join(root, 'test')
  },
  bundle: true,
  write: false
})

interface Parts {
  build: () => FastifyInstance
  /** The input and the Last-Event-ID of each subscription. */
  requests: unknown[]
  /** `onSubscribe` is called before each subscription. */
  hooks: { onSubscribe: () => Promise<void> }
  /** Returns the number of generators that have ended. */
  ended: () => number
}

/** Runs the routes of the page with shorter times. */
async function start (t: Test, change: (code: string) => string = String) {
  const files = {
    'trpc-source.js': `${toJavaScript(change(source.replace('every(1_000, null, { signal: stream.signal })', 'watch(every(20, null, { signal: stream.signal }))').replace('retry: 1_000', 'retry: 20')))}
      export let ended = 0
      async function * watch (items) { try { yield * items } finally { ended++ } }
      export function userOf ({ headers }) { if (!/(Bearer |user=)ann/.test([headers.authorization, headers.cookie])) throw Object.assign(new Error('Sign in'), { statusCode: 401 }) }`,
    'trpc-topics.js': toJavaScript(change(topics.replace('retry: 1_000', 'retry: 20').replace('3_000', '100')))
  }
  const parts = await run<Parts>(t, `import Fastify from 'fastify'
    import sse from 'fastify-sse-routes'
    import * as source from './trpc-source.js'
    import { orders } from './trpc-topics.js'
    const requests = []
    const hooks = { onSubscribe: async () => {} }
    function build () {
      const app = Fastify({ forceCloseConnections: true })
      app.addHook('onRequest', async ({ query, headers }) => { 
        if (!query.input) return
        requests.push([query.input, headers['last-event-id']])
        await hooks.onSubscribe()
      })
      app.register(sse)
      app.register(source.countdown)
      app.register(orders)
      app.get('/page', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
      return app
    }
    const parts = { build, requests, hooks, ended: () => source.ended }`, 'parts', files)
  const app = parts.build()
  t.teardown(() => app.close())
  return { ...parts, app, port: await listen(app) }
}

const order = (app: FastifyInstance, item: string) => app.inject({ method: 'POST', url: '/shops/a/orders', payload: { item } })

/** A subscription, and everything that its callbacks got. */
interface Subscription {
  data: () => Promise<Array<Record<string, unknown>>>
  /** The lines of onComplete, onError and onConnectionStateChange. */
  log: () => Promise<unknown[][]>
  stop: () => unknown
}

/** Subscribes with the client of the page for Node. */
async function inNode (t: Test, port: number | string, path: string, input: unknown, user = 'ann'): Promise<Subscription> {
  const code = nodeClient.replace('export ', '').replace('\'@trpc/client\'', JSON.stringify(import.meta.resolve('@trpc/client'))).replace('\'eventsource\'', JSON.stringify(import.meta.resolve('eventsource')))
  const connect = await run<(url: string, token: string) => ReturnType<typeof createTRPCUntypedClient>>(t, code, 'connect')
  const [data, log] = [[] as Array<Record<string, unknown>>, [] as unknown[][]]
  const { unsubscribe } = connect(`http://127.0.0.1:${port}/trpc`, user).subscription(path, input, {
    onData: (event) => { data.push(event as Record<string, unknown>) },
    onComplete: () => { log.push(['complete']) },
    onConnectionStateChange: ({ state, error }) => { log.push([state, error?.message]) },
    onError: ({ message, data }) => { log.push(['error', message, data]) }
  })
  t.teardown(unsubscribe)
  return { data: async () => data, log: async () => log, stop: unsubscribe }
}

/** Subscribes with the client of the page in Chromium. */
async function inChromium (t: Test, port: number | string, path: string, input: unknown, user = 'ann'): Promise<Subscription> {
  const context = await browser.newContext()
  t.teardown(() => context.close())
  const tab = await context.newPage()
  await context.addCookies([{ name: 'user', value: user, url: `http://127.0.0.1:${port}` }])
  await tab.goto(`http://127.0.0.1:${port}/page`)
  await tab.addScriptTag({ content: script?.text ?? '' })
  await tab.evaluate(`follow(${JSON.stringify(path)}, ${JSON.stringify(input)})`)
  return { data: () => tab.evaluate('data'), log: () => tab.evaluate('log'), stop: () => tab.evaluate('subscription.unsubscribe()') }
}

const tracked = (...numbers: number[]) => numbers.map((left) => ({ id: `${left}`, data: { left } }))
/** Waits for a line that begins with a word. */
const logged = ({ log }: Subscription, word: string, times = 1) => until(`${times} × ${word}`, async () => (await log()).filter(([first]) => first === word).length >= times)

for (const [where, subscribe] of Object.entries({ Node: inNode, Chromium: inChromium })) {
  test(`tRPC, ${where}: a source in order, its end, and errors before it and in it`, async (t) => {
    const change = (code: string) => code.replace('yield { id: left', `if (left === 5 && stream.lastEventId === null) throw new Error('no memory')
      if (left === 17) throw Object.assign(new Error('Too many'), { statusCode: 400 })\n$&`)
    const { app, port, requests } = await start(t, change)
    const whole = await subscribe(t, port, 'countdown', { from: 2 })
    await logged(whole, 'complete')
    t.strictSame(await whole.data(), tracked(2, 1, 0))
    t.match(await whole.log(), [['connecting'], ['pending'], ['idle'], ['complete']])
    t.equal(requests.length, 1, 'no reconnect')

    requests.length = 0
    const resumed = await subscribe(t, port, 'countdown', { from: 7 })
    await logged(resumed, 'complete')
    t.strictSame(await resumed.data(), tracked(7, 6, 5, 4, 3, 2, 1, 0), 'none twice, none missing')
    t.match(await resumed.log(), [['connecting'], ['pending'], ['connecting', 'Internal error'], ['connecting'], ['pending'], ['idle'], ['complete']])
    t.strictSame(requests, [['{"from":7}', undefined], ['{"from":7}', '6']])

    for (const [input, user, message, code] of [[{ from: 18 }, 'ann', 'Too many', 'BAD_REQUEST'], [{}, 'ann', 'No number in from', 'BAD_REQUEST'], [{ from: 2 }, 'eve', 'Sign in', 'UNAUTHORIZED']] as const) {
      requests.length = 0
      const failed = await subscribe(t, port, 'countdown', input, user)
      await logged(failed, 'error')
      t.match(await failed.log(), [['connecting'], ['pending'], ['error', message, { code }]])
      t.equal(requests.length, 1, 'no reconnect')
    }
    await until('the disconnects', () => app.sse.streams.size === 0)
  })

  test(`tRPC, ${where}: the client stops a subscription, and the server ends its generator; a refusal by a hook has no reason`, async (t) => {
    const { app, port, ended } = await start(t)
    const endless = await subscribe(t, port, 'countdown', { from: 1_000_000 })
    await until('an event', async () => (await endless.data()).length > 0)
    t.equal(ended(), 0)
    await endless.stop()
    await until('the end of the generator', () => ended() === 1)
    t.equal(app.sse.streams.size, 0)
    const refused = await subscribe(t, port, 'orders', { shop: 'a' }, 'eve')
    await logged(refused, 'error')
    t.match(await refused.log(), [['connecting'], ['error', where === 'Node' ? 'Non-200 status code (401)' : 'Unknown error', undefined]])
  })

  test(`tRPC, ${where}: topics are replayed after a broken connection, app.close() gives a gap, and text of a broadcast is an error`, async (t) => {
    const { app, port, requests, build } = await start(t, (code) => code.replace('interval: 100', 'interval: 30_000, immediate: false').replace('10_000', '60_000'))
    const proxy = await startInterruptibleProxy(t, `http://127.0.0.1:${port}`)
    const seen = await subscribe(t, new URL(proxy.url).port, 'orders', { shop: 'a' })
    const items = async () => (await seen.data()).map(({ data }) => Object.values(data as object).join())
    await logged(seen, 'pending')
    await order(app, 'one')
    await until('the first', async () => (await items()).length === 1)
    proxy.interrupt()
    await until('the disconnect', () => app.sse.streams.size === 0)
    await order(app, 'two')
    await proxy.restore()
    await until('the second', async () => (await items()).length === 2)
    t.strictSame(await items(), ['one', 'two'])
    const [first, second] = (await seen.data()).map(({ id }) => id)
    t.strictSame(requests, [['{"shop":"a"}', undefined], ['{"shop":"a"}', first]], 'the id is in the header')

    await app.close()
    const next = build()
    t.teardown(() => next.close())
    await next.listen({ port, host: '127.0.0.1' })
    await until('the gap', async () => (await items()).length === 3)
    await order(next, 'three')
    await until('the third', async () => (await items()).length === 4)
    t.strictSame(await items(), ['one', 'two', 'true', 'three'])
    t.strictSame(requests.at(-1), ['{"shop":"a"}', second])
    await next.sse.broadcast({ event: 'news', data: 'not JSON' })
    await next.sse.broadcast({ data: { all: 'all' } })
    await until('the broadcast', async () => (await items()).length === 5)
    await next.sse.broadcast({ data: 'not JSON' })
    await logged(seen, 'error')
    t.match((await seen.log()).at(-1), ['error', /JSON/])
    await until('the disconnect', () => next.sse.streams.size === 0)
  })

  test(`tRPC, ${where}: ${where === 'Node' ? 'loses' : 'gets'} an event that was published after a connection without an event`, async (t) => {
    const { app, port } = await start(t)
    const proxy = await startInterruptibleProxy(t, `http://127.0.0.1:${port}`)
    const seen = await subscribe(t, new URL(proxy.url).port, 'orders', { shop: 'a' })
    await logged(seen, 'pending')
    proxy.interrupt()
    await until('the disconnect', () => app.sse.streams.size === 0)
    await order(app, 'one')
    await proxy.restore()
    await logged(seen, 'pending', 2)
    await order(app, 'two')
    await until('the last event', async () => (await seen.data()).some(({ data }) => JSON.stringify(data).includes('two')))
    t.equal((await seen.data()).length, where === 'Node' ? 1 : 2)
  })

  test(`tRPC, ${where}: after a time without an event the client sends lastEventId in the input, and misses nothing`, async (t) => {
    const { app, port, requests, hooks } = await start(t, (code) => code.replace('10_000', '1_000').replace('interval: 100', 'interval: 10_000, immediate: false'))
    hooks.onSubscribe = async () => { if (requests.length === 2) await app.sse.publish('orders:a', { data: { item: 'two' } }) }
    const seen = await subscribe(t, port, 'orders', { shop: 'a' })
    await logged(seen, 'pending')
    await order(app, 'one')
    await until('the second', async () => (await seen.data()).length === 2)
    const [{ id } = {}] = await seen.data()
    t.strictSame(requests.slice(0, 2), [['{"shop":"a"}', undefined], [`{"shop":"a","lastEventId":"${id}"}`, undefined]])
    t.strictSame((await seen.data()).map(({ data }) => data), [{ item: 'one' }, { item: 'two' }])
    t.match((await seen.log())[2], ['connecting', 'Timeout of 1000ms reached while waiting for a response'])
    await seen.stop()
    await until('the disconnect', () => app.sse.streams.size === 0)
  })
}

test('tRPC: a reconnect after the last event of a source, and an id of another form, get the end', async (t) => {
  const { app } = await start(t)
  for (const id of ['0', 'x']) {
    const { body } = await app.inject({ url: '/trpc/countdown', query: { input: '{"from":3}' }, headers: { authorization: 'Bearer ann', 'last-event-id': id } })
    t.equal(body, 'retry: 20\nevent: connected\ndata: {}\n\nevent: return\ndata: \n\n')
  }
})

test('tRPC: ping events keep a connection that sends no data', async (t) => {
  const { app, port } = await start(t, (code) => code.replace('10_000', '1_000'))
  const seen = await inNode(t, port, 'orders', { shop: 'a' })
  await logged(seen, 'pending')
  await until('pings for two seconds', () => app.sse.stats().sent > 20)
  t.equal(app.sse.stats().opened, 1)
  for (const { request } of app.sse.streams.values()) request.raw.destroy()
})
