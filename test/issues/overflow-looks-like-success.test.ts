// Symptom: a client misses the last events, although its response ended without an error.
// Cause: a stream that was closed because of maxBufferedBytes ended its response as if it were complete.
import { once } from 'node:events'
import { connect } from 'node:http2'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import sse, { type SSEStream } from '../../lib/index.js'
import { listen, makeApp, open, until } from '../helpers/app.js'

const BIG = 'x'.repeat(10_000)

test('a client that is disconnected because of maxBufferedBytes sees an error', async (t) => {
  for (const [name, close] of [['without close()', 'none'], ['with close() in the same tick', 'stream'], ['with reply.raw.end() in the same tick', 'raw']] as const) {
    t.test(`a client whose events exceed maxBufferedBytes sees its response aborted: POST, ${name}`, async (t) => {
      const lines: string[] = []
      const app = await makeApp(t, { maxBufferedBytes: 100_000 }, { logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
      let stream: SSEStream | undefined
      app.post('/', async (_request, reply) => {
        const own = stream = reply.sse()
        for (let i = 0; i < 2_000; i++) own.send(`${i} ${BIG}`).catch(t.error)
        if (close === 'stream') own.close()
        if (close === 'raw') reply.raw.end()
      })
      const client = await open(t, await listen(app), '/', { method: 'POST' })
      t.notOk(await client.finished(), 'the response is aborted')
      t.equal(stream?.closeReason, 'overflow')
      t.match(app.sse.stats().closed, { overflow: 1, server: 0 })
      t.equal(lines.filter((line) => line.includes('maxBufferedBytes (100000)')).length, 1, lines.join(''))
    })
  }

  t.test('a client whose events exceed maxBufferedBytes sees its HTTP/2 stream reset', async (t) => {
    const app = Fastify({ http2: true })
    t.teardown(() => app.close())
    await app.register(sse, { maxBufferedBytes: 100_000 })
    app.get('/', (_request, reply) => {
      const stream = reply.sse()
      for (let i = 0; i < 2_000; i++) stream.send(BIG).catch(t.error)
      stream.close()
    })
    const session = connect(`http://127.0.0.1:${await listen(app as unknown as FastifyInstance)}`)
    t.teardown(() => session.destroy())
    const request = session.request({ ':path': '/' })
    request.on('data', () => {})
    const [error] = await once(request, 'error')
    t.match(error, { code: 'ERR_HTTP2_STREAM_ERROR' })
    await until('the stream to be closed', () => app.sse.stats().closed.overflow === 1)
  })

  t.test('a source whose stream exceeded maxBufferedBytes by other events is stopped, and the response aborted', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 100_000 })
    let stopped = false
    app.sseRoute('/', {
      source: async function * (_request, stream) {
        try {
          for (let i = 0; i < 2_000; i++) stream.send(BIG).catch(t.error)
          yield 'x'
        } finally { stopped = true }
      }
    })
    const client = await open(t, await listen(app), '/')
    t.notOk(await client.finished())
    await until('the source to be stopped', () => stopped)
    t.match(app.sse.stats().closed, { overflow: 1, server: 0, error: 0 })
  })
})
