import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { Agent } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { hubOf } from '../helpers/subscriber.js'

test('app.close', async (t) => {
  t.test('app.close() ends 200 streams of every kind within a second, each with a retry time', async (t) => {
    // some of these sources never end
    const app = await makeApp(t, { drain: { spread: 1_000, timeout: 100 } })
    const paths = ['/interval', '/shared', '/source', '/connect', '/hand', '/reply-source', '/limited', '/busy']
    let left = 0
    const onDisconnect = () => { left++ }
    const never = () => new Promise<never>(() => {})
    app.sseRoute('/interval', { interval: 50, payload: () => 'x', onDisconnect })
    app.sseRoute('/shared', { interval: 50, shared: true, payload: () => 'x', onDisconnect })
    app.sseRoute('/source', { source: async function * () { yield 'x'; await never() }, onDisconnect })
    app.sseRoute('/connect', { onConnect: never, onDisconnect })
    app.sseRoute('/limited', { idleTimeout: 60_000, maxLifetime: 60_000, onConnect: () => {}, onDisconnect })
    app.sseRoute('/busy', { source: async function * () { for (;;) yield wait(1, 'x'.repeat(1_000)) }, onDisconnect })
    app.get('/hand', async (request, reply) => { await reply.sse().send('x'); await never() })
    app.get('/reply-source', async (request, reply) => reply.sse((async function * () { yield 'x'; await never() })()))
    const port = await listen(app)
    const clients = await Promise.all(Array.from({ length: 200 }, (_, i) => open(t, port, paths[i % paths.length] ?? '')))
    t.equal(app.sse.streams.size, 200)
    const start = performance.now()
    await app.close()
    const took = performance.now() - start
    t.ok(took < 1_000, `${took} ms`)
    for (const client of clients) t.ok(await client.finished())
    const delays = clients.map(({ text }) => Number(/retry: (\d+)\n$/.exec(text)?.[1]))
    t.ok(delays.every((ms) => ms >= 0 && ms <= 1_000))
    t.ok(new Set(delays).size > 100, 'not all at the same time')
    t.equal(left, 150)
    t.match(app.sse.stats(), { active: 0, closed: { drain: 200 } })
  })

  t.test('app.close() ends a stream that opens meanwhile, and answers 503 to one that waits for its first item', async (t) => {
    const app = await makeApp(t, { drain: { timeout: 100 } })
    const goOn: (() => void)[] = []
    const hold = () => new Promise<void>((resolve) => { goOn.push(resolve) })
    app.addHook('onSend', async (request) => { if (request.url === '/late') await hold() })
    app.sseRoute('/late', { onConnect: () => {} })
    app.sseRoute('/waits', { openOn: 'first-event', preHandler: hold, source: () => new Promise<never>(() => {}) })
    const port = await listen(app)
    const late = open(t, port, '/late')
    const waits = open(t, port, '/waits')
    await until('both hooks', () => goOn.length === 2)
    const closed = app.close()
    await wait(10)
    for (const go of goOn) go()
    t.ok(await (await late).finished())
    t.match((await late).text, /retry: \d+\n$/)
    t.equal((await waits).response.statusCode, 503)
    await closed
  })

  t.test('app.close() waits for a stream that waits for its hooks, also on a kept connection', async (t) => {
    const app = await makeApp(t)
    app.addHook('onSend', async () => { await wait(100) })
    app.sseRoute('/', { onConnect: () => {} })
    const agent = new Agent({ keepAlive: true })
    t.teardown(() => agent.destroy())
    const client = open(t, await listen(app), '/', { agent })
    await wait(50)
    const start = performance.now()
    await app.close()
    t.ok(performance.now() - start < 1_000)
    t.ok(await (await client).finished())
  })

  t.test('the process exits without process.exit() after app.close()', async (t) => {
    const server = spawn(process.execPath, ['--import=./test/typescript.mjs', fileURLToPath(new URL('exits.ts', import.meta.url))], {
      stdio: ['ignore', 'pipe', 'inherit'],
      // collects no coverage, because that takes time and the tests reach every line themselves
      env: { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
    })
    t.teardown(() => server.kill())
    let text = ''
    server.stdout.on('data', (data) => { text += data })
    const [code] = await once(server, 'exit')
    t.equal(code, 0)
    t.match(JSON.parse(text), { streams: 20, after: 0 })
  })
})

test('any mix of connects and disconnects leaves app.sse without streams and timers', async (t) => {
  const app = await makeApp(t, { heartbeat: 50, idleTimeout: 5_000, maxLifetime: 5_000 })
  app.sseRoute('/interval', { interval: 10, payload: () => 'x' })
  app.sseRoute('/shared/:key', { interval: 10, shared: (request) => request.url, payload: () => 'x' })
  app.sseRoute('/source', { source: async function * (request, stream) { yield 'x'; await once(stream.signal, 'abort') } })
  app.get('/hand', (request, reply) => { reply.sse() })
  const port = await listen(app)
  const paths = ['/interval', '/shared/a', '/shared/b', '/source', '/hand']
  for (let round = 0; round < 5; round++) {
    const clients = await Promise.all(Array.from({ length: 50 }, (_, i) => open(t, port, paths[i % paths.length] ?? '')))
    for (const client of clients.sort(() => Math.random() - 0.5)) client.disconnect()
    await until('all are gone', () => app.sse.streams.size === 0)
  }
  t.equal(hubOf(app).timers.size, 0, 'no heartbeat, idle timeout or interval')
  t.match(app.sse.stats(), { active: 0, opened: 250, closed: { client: 250 } })
})
