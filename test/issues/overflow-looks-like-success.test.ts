import { once } from 'node:events'
import { connect } from 'node:http2'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import sse, { type SSEStream } from '../../lib/index.js'
import { listen, makeApp, open, until } from '../helpers/app.js'

const BIG = 'x'.repeat(10_000)

test('a client that falls too far behind sees a failure', async (t) => {
  for (const [name, close] of [['as it is', 'none'], ['with close() in the same tick', 'stream'], ['with reply.raw.end() in the same tick', 'raw']] as const) {
    t.test(`of a POST whose events are sent without await, ${name}`, async (t) => {
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
      t.notOk(await client.over(), 'broken off')
      t.equal(stream?.closeReason, 'overflow')
      t.match(app.sse.stats().closed, { overflow: 1, server: 0 })
      t.equal(lines.filter((line) => line.includes('maxBufferedBytes (100000)')).length, 1, lines.join(''))
    })
  }

  t.test('over HTTP/2', async (t) => {
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
    await until('it is closed', () => app.sse.stats().closed.overflow === 1)
  })

  t.test('of a source on a stream that somebody else overflowed, which is stopped', async (t) => {
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
    t.notOk(await client.over())
    await until('it is stopped', () => stopped)
    t.match(app.sse.stats().closed, { overflow: 1, server: 0, error: 0 })
  })
})
