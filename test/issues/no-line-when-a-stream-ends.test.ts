import Fastify, { type FastifyServerOptions, LogController } from 'fastify'
import { test, type Test } from 'tap'
import { endLogOf } from '../../lib/stream/end-log.js'
import sse, { type SSEPluginOptions } from '../../lib/index.js'
import { listen, open, until } from '../helpers/app.js'

interface Line {
  level: number
  msg: string
  reqId: string
  closeReason: string
  events: number
  bytes: number
  ms: number
}

/** An app that logs at level info, and its lines at the ends of streams. */
async function setUp (t: Test, server: FastifyServerOptions = {}, options: SSEPluginOptions = {}) {
  const lines: Line[] = []
  const app = Fastify({ logger: { level: 'info', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } }, ...server })
  t.teardown(() => app.close())
  await app.register(sse, { drain: { timeout: 200 }, ...options })
  return { app, lines, ends: () => lines.filter(({ closeReason }) => closeReason !== undefined) }
}

test('the end of a stream is one line at level info in the log of its request', async (t) => {
  t.test('with its reason, events, bytes and ms, also those of the last tick', async (t) => {
    const { app, lines, ends } = await setUp(t)
    app.sseRoute('/', { source: () => ['a', 'b', 'é'] })
    const client = await open(t, await listen(app), '/')
    await client.over()
    await until('the line', () => ends().length > 0)
    t.match(ends(), [{ level: 30, msg: 'event stream closed', closeReason: 'server', events: 3, bytes: Buffer.byteLength(client.text) }])
    t.ok(Number(ends()[0]?.ms) >= 0 && Number(ends()[0]?.ms) < 10_000)
    t.equal(ends()[0]?.reqId, lines.find(({ msg }) => msg === 'incoming request')?.reqId)
  })

  t.test('whatever ended it', async (t) => {
    const { app, ends } = await setUp(t, {}, { drain: { event: 'bye', spread: 0 } })
    app.sseRoute('/client', { onConnect: (_request, stream) => stream.send('hello') })
    app.sseRoute('/error', { source: () => { throw new Error('failed') } })
    app.sseRoute('/idle', { onConnect: () => {}, idleTimeout: 20 })
    app.sseRoute('/lifetime', { onConnect: () => {}, maxLifetime: 20 })
    app.sseRoute('/overflow', { maxBufferedBytes: 10, onConnect: (_request, stream) => { while (!stream.closed) stream.send('x'.repeat(100_000)) } })
    app.sseRoute('/drain', { onConnect: (_request, stream) => stream.send('hello') })
    app.get('/server', (_request, reply) => { reply.sse().close() })
    const port = await listen(app)
    for (const reason of ['client', 'error', 'idle', 'lifetime', 'overflow', 'server', 'drain']) {
      const before = ends().length
      const client = await open(t, port, `/${reason}`)
      if (reason === 'client') await client.until('hello')
      if (reason === 'client') client.leave()
      if (reason === 'drain') await app.close()
      await until(reason, () => ends().length > before)
      t.equal(ends().at(-1)?.closeReason, reason)
    }
    t.equal(ends().length, 7)
    t.match(ends().at(-1), { events: 1, bytes: Buffer.byteLength('data: hello\n\ndata: bye\n\nretry: 0\n') })
    t.ok(Number(ends().find(({ closeReason }) => closeReason === 'lifetime')?.ms) >= 17)
  })

  t.test('not for a HEAD request, nor for one that got no stream', async (t) => {
    const { app, ends } = await setUp(t, {}, { maxStreams: 1 })
    app.sseRoute('/', { onConnect: () => {} })
    const port = await listen(app)
    await app.inject({ method: 'HEAD', url: '/' })
    await open(t, port, '/')
    t.equal((await app.inject('/')).statusCode, 503)
    t.strictSame(ends(), [])
  })
})

test('disableRequestLogging of Fastify keeps the line out', async (t) => {
  const quiet = ({ url = '' }: { url?: string }) => url === '/quiet'
  class Quiet extends LogController {
    override isLogDisabled (request: { url?: string }): boolean { return quiet(request) }
  }
  for (const [name, server, expected] of [
    ['true', { logController: new LogController({ disableRequestLogging: true }) }, []],
    ['a function', { logController: new LogController({ disableRequestLogging: quiet }) }, ['/loud']],
    ['a log controller', { logController: new Quiet() }, ['/loud']],
    ['the deprecated option', { disableRequestLogging: quiet }, ['/loud']]
  ] as Array<[string, FastifyServerOptions, string[]]>) {
    const seen: string[] = []
    const { app, ends } = await setUp(t, server)
    for (const path of ['/quiet', '/loud']) app.sseRoute(path, { source: () => ['a'], onDisconnect: ({ url }) => { seen.push(url) } })
    for (const path of ['/quiet', '/loud']) await app.inject(path)
    await until('both are over', () => seen.length === 2)
    t.equal(ends().length, expected.length, name)
  }
})

test('the level of a route holds for the line', async (t) => {
  const { app, ends } = await setUp(t)
  app.sseRoute('/', { logLevel: 'warn', source: () => ['a'] })
  await app.inject('/')
  await until('it is over', () => app.sse.stats().closed.server === 1)
  t.strictSame(ends(), [])
})

test('a disableRequestLogging that throws is logged, and harms no stream', async (t) => {
  let broken = false
  const disableRequestLogging = () => {
    if (broken) throw new Error('broken')
    return true
  }
  const { app, lines } = await setUp(t, { logController: new LogController({ disableRequestLogging }) })
  app.sseRoute('/', {
    onConnect: (_request, stream) => {
      broken = true
      stream.close()
      broken = false
    }
  })
  const client = await open(t, await listen(app), '/')
  t.ok(await client.over())
  await until('it is logged', () => lines.some(({ msg }) => msg === 'disableRequestLogging failed'))
})

test('a Fastify without a log controller tells by its initialConfig', async (t) => {
  const end = { closeReason: 'client', events: 1, bytes: 2, ms: 3 } as const
  const written: unknown[] = []
  const request = { log: { info: (line: object) => { written.push(line) } } }
  for (const disableRequestLogging of [undefined, false, true, () => true, () => false]) {
    const app = { initialConfig: { disableRequestLogging } }
    Reflect.apply(endLogOf, null, [app])(request, end)
  }
  t.strictSame(written, [end, end, end])
})
