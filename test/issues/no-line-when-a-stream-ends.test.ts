// Symptom: the log does not show why or when a stream ended.
// Cause: Fastify logs "request completed" without the reason, and nothing else was logged.
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

/** Creates an app that logs at level info, and a function that returns the log lines of closed streams. */
async function createApp (t: Test, server: FastifyServerOptions = {}, options: SSEPluginOptions = {}) {
  const lines: Line[] = []
  const app = Fastify({ logger: { level: 'info', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } }, ...server })
  t.teardown(() => app.close())
  await app.register(sse, { drain: { timeout: 200 }, ...options })
  return { app, lines, ends: () => lines.filter(({ closeReason }) => closeReason !== undefined) }
}

test('the end of a stream is logged once, at level info, by the logger of its request', async (t) => {
  t.test('the log line of a closed stream has the reason, the events, the bytes and the duration, including the last tick', async (t) => {
    const { app, lines, ends } = await createApp(t)
    app.sseRoute('/', { source: () => ['a', 'b', 'é'] })
    const client = await open(t, await listen(app), '/')
    await client.finished()
    await until('the log line', () => ends().length > 0)
    t.match(ends(), [{ level: 30, msg: 'event stream closed', closeReason: 'server', events: 3, bytes: Buffer.byteLength(client.text) }])
    t.ok(Number(ends()[0]?.ms) >= 0 && Number(ends()[0]?.ms) < 10_000)
    t.equal(ends()[0]?.reqId, lines.find(({ msg }) => msg === 'incoming request')?.reqId)
  })

  t.test('each close reason is logged when a stream closes', async (t) => {
    const { app, ends } = await createApp(t, {}, { drain: { event: 'bye', spread: 0 } })
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
      if (reason === 'client') client.disconnect()
      if (reason === 'drain') await app.close()
      await until(reason, () => ends().length > before)
      t.equal(ends().at(-1)?.closeReason, reason)
    }
    t.equal(ends().length, 7)
    t.match(ends().at(-1), { events: 1, bytes: Buffer.byteLength('data: hello\n\ndata: bye\n\nretry: 0\n') })
    t.ok(Number(ends().find(({ closeReason }) => closeReason === 'lifetime')?.ms) >= 17)
  })

  t.test('a HEAD request or a refused request logs no closed stream', async (t) => {
    const { app, ends } = await createApp(t, {}, { maxStreams: 1 })
    app.sseRoute('/', { onConnect: () => {} })
    const port = await listen(app)
    await app.inject({ method: 'HEAD', url: '/' })
    await open(t, port, '/')
    t.equal((await app.inject('/')).statusCode, 503)
    t.strictSame(ends(), [])
  })
})

test('with disableRequestLogging of Fastify, closed streams are not logged', async (t) => {
  const isExcluded = ({ url = '' }: { url?: string }) => url === '/excluded'
  class ExcludingController extends LogController {
    override isLogDisabled (request: { url?: string }): boolean { return isExcluded(request) }
  }
  for (const [name, server, expected] of [
    ['true', { logController: new LogController({ disableRequestLogging: true }) }, []],
    ['a function', { logController: new LogController({ disableRequestLogging: isExcluded }) }, ['/logged']],
    ['a log controller', { logController: new ExcludingController() }, ['/logged']],
    ['the deprecated option', { disableRequestLogging: isExcluded }, ['/logged']]
  ] as Array<[string, FastifyServerOptions, string[]]>) {
    const seen: string[] = []
    const { app, ends } = await createApp(t, server)
    for (const path of ['/excluded', '/logged']) app.sseRoute(path, { source: () => ['a'], onDisconnect: ({ url }) => { seen.push(url) } })
    for (const path of ['/excluded', '/logged']) await app.inject(path)
    await until('both streams to be closed', () => seen.length === 2)
    t.equal(ends().length, expected.length, name)
  }
})

test('the logLevel of a route applies to the log line of a closed stream', async (t) => {
  const { app, ends } = await createApp(t)
  app.sseRoute('/', { logLevel: 'warn', source: () => ['a'] })
  await app.inject('/')
  await until('the stream to be closed', () => app.sse.stats().closed.server === 1)
  t.strictSame(ends(), [])
})

test('a disableRequestLogging that throws is logged and does not affect streams', async (t) => {
  let broken = false
  const disableRequestLogging = () => {
    if (broken) throw new Error('broken')
    return true
  }
  const { app, lines } = await createApp(t, { logController: new LogController({ disableRequestLogging }) })
  app.sseRoute('/', {
    onConnect: (_request, stream) => {
      broken = true
      stream.close()
      broken = false
    }
  })
  const client = await open(t, await listen(app), '/')
  t.ok(await client.finished())
  await until('the log line', () => lines.some(({ msg }) => msg === 'disableRequestLogging failed'))
})

test('without a log controller, disableRequestLogging is read from the initialConfig of Fastify', async (t) => {
  const end = { closeReason: 'client', events: 1, bytes: 2, ms: 3 } as const
  const written: unknown[] = []
  const request = { log: { info: (line: object) => { written.push(line) } } }
  for (const disableRequestLogging of [undefined, false, true, () => true, () => false]) {
    const app = { initialConfig: { disableRequestLogging } }
    Reflect.apply(endLogOf, null, [app])(request, end)
  }
  t.strictSame(written, [end, end, end])
})
