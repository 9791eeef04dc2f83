import { connect } from 'node:http2'
import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { type Client, dial, listen, makeApp, open, until } from '../helpers/app.js'
import { hubOf } from '../helpers/subscriber.js'

const unhandled: unknown[] = []
process.on('unhandledRejection', (reason) => { unhandled.push(reason) })

interface Line { level: number, msg: string, err?: { message: string } }

/** A route whose topics settle when the test says so; it must not open a stream. */
async function lookUp (t: Test, options: SSEPluginOptions = {}, server: object = {}) {
  const log: Line[] = []
  const logger = { level: 'debug', stream: { write: (line: string) => { log.push(JSON.parse(line)) } } }
  const app = await makeApp(t, options, { logger, ...server })
  const asked: Array<{ resolve (topics: string[]): void, reject (error: Error): void }> = []
  const never = () => { t.fail('nothing is opened') }
  app.sseRoute('/', {
    topics: () => new Promise((resolve, reject) => { asked.push({ resolve, reject }) }),
    clientId: () => { never(); return 'a' },
    onConnect: never,
    onDisconnect: never,
    onError: never
  })
  return { app, asked, log }
}

/** The answer to a request while the app closes. */
async function closed (app: FastifyInstance, asked: unknown[], request: () => Promise<Client>): Promise<Client> {
  const response = request()
  await until('the topics are asked for', () => asked.length > 0)
  await app.close()
  return response
}

const CLOSING = /"code":"SSE_ERR_CLOSING".*"The server is closing"/

test('app.close() answers a request that awaits its topics with 503', async (t) => {
  const { app, asked } = await lookUp(t)
  const port = await listen(app)
  const client = await closed(app, asked, () => open(t, port, '/'))
  t.equal(client.response.statusCode, 503)
  await client.over()
  t.match(client.text, CLOSING)
})

test('over HTTP/2 as well', async (t) => {
  const { app, asked } = await lookUp(t, {}, { http2: true })
  const session = connect(`http://127.0.0.1:${await listen(app)}`)
  t.teardown(() => session.destroy())
  const request = session.request({ ':path': '/' })
  request.setEncoding('utf8').end()
  let text = ''
  request.on('data', (part: string) => { text += part })
  await until('the topics are asked for', () => asked.length > 0)
  const [[headers]] = await Promise.all([once(request, 'response'), app.close()])
  t.equal(headers[':status'], 503)
  await until('the answer', () => CLOSING.test(text))
})

test('by inject as well', async (t) => {
  const { app, asked } = await lookUp(t)
  const response = app.inject('/')
  await until('the topics are asked for', () => asked.length > 0)
  await app.close()
  t.match([(await response).statusCode, (await response).body], [503, CLOSING])
})

test('a request that asks for its topics while the server closes is answered the same', async (t) => {
  const { app, asked } = await lookUp(t)
  let pass: (() => void) | undefined
  app.addHook('preHandler', () => new Promise<void>((resolve) => { pass = resolve }))
  let draining = false
  app.addHook('preClose', async () => { draining = true })
  const port = await listen(app)
  const response = open(t, port, '/')
  await until('the hook is asked', () => pass !== undefined)
  const closes = app.close()
  await until('the server closes', () => draining)
  pass?.()
  t.equal((await response).response.statusCode, 503)
  await closes
  t.equal(asked.length, 1)
})

test('topics that settle after the answer open nothing; a rejection is logged at debug', async (t) => {
  for (const settle of ['resolve', 'reject'] as const) {
    const { app, asked, log } = await lookUp(t)
    await closed(app, asked, async () => open(t, await listen(app), '/'))
    if (settle === 'resolve') asked[0]?.resolve(['a'])
    else asked[0]?.reject(new Error('too late'))
    if (settle === 'reject') await until('the line', () => log.some(({ level, err }) => level === 20 && err?.message === 'too late'))
    t.strictSame([hubOf(app).streams.size, hubOf(app).topics.size], [0, 0])
  }
})

test('a client that leaves while its topics are awaited frees its place, and opens nothing', async (t) => {
  for (const settle of ['resolve', 'reject'] as const) {
    const { app, asked, log } = await lookUp(t, { maxStreams: 1 })
    let over = 0
    app.addHook('onRequestAbort', async (_request) => { over++ })
    const port = await listen(app)
    for (let client = 0; client < 3; client++) {
      const socket = await dial(t, port)
      socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
      await until('the topics are asked for', () => asked.length === client + 1)
      socket.destroy()
      await until('the server notices', () => over === client + 1)
    }
    for (const lookup of asked) {
      if (settle === 'resolve') lookup.resolve(['a'])
      else lookup.reject(new Error('too late'))
    }
    if (settle === 'reject') await until('the lines', () => log.filter(({ level, err }) => level === 20 && err?.message === 'too late').length === 3)
    t.strictSame([hubOf(app).streams.size, hubOf(app).topics.size, hubOf(app).clients.size], [0, 0, 0])
    await app.close()
    t.notOk(log.some(({ level }) => level >= 50), 'and no error')
  }
})

test('a client that has left before its topics are asked for opens nothing', async (t) => {
  const { app, asked } = await lookUp(t)
  app.addHook('preHandler', async ({ raw }) => { await once(raw.socket, 'close') })
  const socket = await dial(t, await listen(app))
  socket.end('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  socket.destroySoon()
  await until('the topics are asked for', () => asked.length > 0)
  asked[0]?.resolve(['a'])
  await app.close()
  t.strictSame([hubOf(app).streams.size, hubOf(app).topics.size], [0, 0])
})

test('no rejection is left unhandled', (t) => {
  t.strictSame(unhandled, [])
  t.end()
})
