// Symptom: app.close() hangs, or a client waits without an answer.
// Cause: the `topics` of a route were a promise that did not settle, and nothing ended the request.
import { connect } from 'node:http2'
import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { type Client, connectSocket, listen, makeApp, open, until } from '../helpers/app.js'
import { hubOf } from '../helpers/subscriber.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => { unhandled.push(reason) })

interface Line { level: number, msg: string, err?: { message: string } }

/** Declares a route whose topics are settled by the test, and which must not open a stream. */
async function createAppWithTopics (t: Test, options: SSEPluginOptions = {}, server: object = {}) {
  const log: Line[] = []
  const logger = { level: 'debug', stream: { write: (line: string) => { log.push(JSON.parse(line)) } } }
  const app = await makeApp(t, options, { logger, ...server })
  const asked: Array<{ resolve (topics: string[]): void, reject (error: Error): void }> = []
  const never = () => { t.fail('a callback was called, so a stream was opened') }
  app.sseRoute('/', {
    topics: () => new Promise((resolve, reject) => { asked.push({ resolve, reject }) }),
    clientId: () => { never(); return 'a' },
    onConnect: never,
    onDisconnect: never,
    onError: never
  })
  return { app, asked, log }
}

/** Closes the app while a request is pending and returns the response. */
async function closeWhilePending (app: FastifyInstance, asked: unknown[], request: () => Promise<Client>): Promise<Client> {
  const response = request()
  await until('the call of topics', () => asked.length > 0)
  await app.close()
  return response
}

const CLOSING = /"code":"SSE_ERR_CLOSING".*"The server is closing"/

test('app.close() answers a request whose topics are pending with 503', async (t) => {
  const { app, asked } = await createAppWithTopics(t)
  const port = await listen(app)
  const client = await closeWhilePending(app, asked, () => open(t, port, '/'))
  t.equal(client.response.statusCode, 503)
  await client.finished()
  t.match(client.text, CLOSING)
})

test('app.close() answers an HTTP/2 request whose topics are pending with 503', async (t) => {
  const { app, asked } = await createAppWithTopics(t, {}, { http2: true })
  const session = connect(`http://127.0.0.1:${await listen(app)}`)
  t.teardown(() => session.destroy())
  const request = session.request({ ':path': '/' })
  request.setEncoding('utf8').end()
  let text = ''
  request.on('data', (part: string) => { text += part })
  await until('the call of topics', () => asked.length > 0)
  const [[headers]] = await Promise.all([once(request, 'response'), app.close()])
  t.equal(headers[':status'], 503)
  await until('the response', () => CLOSING.test(text))
})

test('app.close() answers an injected request whose topics are pending with 503', async (t) => {
  const { app, asked } = await createAppWithTopics(t)
  const response = app.inject('/')
  await until('the call of topics', () => asked.length > 0)
  await app.close()
  t.match([(await response).statusCode, (await response).body], [503, CLOSING])
})

test('a request whose topics are requested while the server closes is answered with 503', async (t) => {
  const { app, asked } = await createAppWithTopics(t)
  let pass: (() => void) | undefined
  app.addHook('preHandler', () => new Promise<void>((resolve) => { pass = resolve }))
  let draining = false
  app.addHook('preClose', async () => { draining = true })
  const port = await listen(app)
  const response = open(t, port, '/')
  await until('the call of the hook', () => pass !== undefined)
  const closes = app.close()
  await until('the server to close', () => draining)
  pass?.()
  t.equal((await response).response.statusCode, 503)
  await closes
  t.equal(asked.length, 1)
})

test('topics that resolve after the 503 open no stream, and a rejection is logged at debug', async (t) => {
  for (const settle of ['resolve', 'reject'] as const) {
    const { app, asked, log } = await createAppWithTopics(t)
    await closeWhilePending(app, asked, async () => open(t, await listen(app), '/'))
    if (settle === 'resolve') asked[0]?.resolve(['a'])
    else asked[0]?.reject(new Error('too late'))
    if (settle === 'reject') await until('the log line', () => log.some(({ level, err }) => level === 20 && err?.message === 'too late'))
    t.strictSame([hubOf(app).streams.size, hubOf(app).topics.size], [0, 0])
  }
})

test('a client that disconnects while its topics are pending frees its place and opens no stream', async (t) => {
  for (const settle of ['resolve', 'reject'] as const) {
    const { app, asked, log } = await createAppWithTopics(t, { maxStreams: 1 })
    let over = 0
    app.addHook('onRequestAbort', async (_request) => { over++ })
    const port = await listen(app)
    for (let client = 0; client < 3; client++) {
      const socket = await connectSocket(t, port)
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      await until('the call of topics', () => asked.length === client + 1)
      socket.destroy()
      await until('the server to notice the disconnect', () => over === client + 1)
    }
    for (const lookup of asked) {
      if (settle === 'resolve') lookup.resolve(['a'])
      else lookup.reject(new Error('too late'))
    }
    if (settle === 'reject') await until('the log lines', () => log.filter(({ level, err }) => level === 20 && err?.message === 'too late').length === 3)
    t.strictSame([hubOf(app).streams.size, hubOf(app).topics.size, hubOf(app).clients.size], [0, 0, 0])
    await app.close()
    t.notOk(log.some(({ level }) => level >= 50), 'no error is logged')
  }
})

test('a client that disconnected before its topics are requested opens no stream', async (t) => {
  const { app, asked } = await createAppWithTopics(t)
  app.addHook('preHandler', async ({ raw }) => { await once(raw.socket, 'close') })
  const socket = await connectSocket(t, await listen(app))
  socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  socket.destroySoon()
  await until('the call of topics', () => asked.length > 0)
  asked[0]?.resolve(['a'])
  await app.close()
  t.strictSame([hubOf(app).streams.size, hubOf(app).topics.size], [0, 0])
})

test('topics that reject after their request has ended cause no unhandled rejection', (t) => {
  t.strictSame(unhandled, [])
  t.end()
})
