// Symptom: a large event to many HTTP/2 clients takes many times its size in memory (20 MB to 40 streams: 780 MB, against 60 MB over HTTP/1.1).
// Cause: the event was encoded into bytes once per stream.
import { connect } from 'node:http2'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import sse from '../../lib/index.js'
import { listen, until } from '../helpers/app.js'

const STREAMS = 40
const MB = 1_048_576

test('a large event is held in memory once for all HTTP/2 clients that have not read it', async (t) => {
  const app = Fastify({ http2: true })
  t.teardown(() => app.close())
  await app.register(sse, { maxBufferedBytes: 64 * MB })
  app.sseRoute('/', { topics: ['a'] })
  const port = await listen(app as unknown as FastifyInstance)
  const sessions = Array.from({ length: STREAMS }, () => connect(`http://127.0.0.1:${port}`))
  t.teardown(() => { for (const session of sessions) session.destroy() })
  // nothing is read, so that the flow control window of each session closes
  for (const session of sessions) session.request({ ':path': '/' }).on('error', () => {}).end()
  await until('all streams to be open', () => app.sse.stats().active === STREAMS)

  const before = process.memoryUsage().rss
  const event = 'x'.repeat(10 * MB)
  await app.sse.publish('a', event)
  await until('the event to be written', () => app.sse.stats().bytes > STREAMS * event.length)
  const mb = (process.memoryUsage().rss - before) / MB
  t.ok(mb < 150, `${Math.round(mb)} MB of memory for an event of 10 MB to ${STREAMS} streams`)
})
