import { Stream, Transform } from 'node:stream'
import { test } from 'tap'
import { listen, makeApp, open } from '../helpers/app.js'

// Hooks such as those of @fastify/throttle ask `instanceof Stream` before they pipe a payload.

test('an onSend hook finds a stream, which it may pipe', async (t) => {
  const app = await makeApp(t)
  app.addHook('onSend', async (_request, _reply, payload) => {
    if (!(payload instanceof Stream)) return JSON.stringify(payload)
    return payload.pipe(new Transform({ transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()) }))
  })
  app.sseRoute('/', { source: () => ['a', 'b'] })
  app.get('/hand', (_request, reply) => reply.sse(['a', 'b']))
  const port = await listen(app)
  for (const path of ['/', '/hand']) {
    const client = await open(t, port, path)
    t.ok(await client.over())
    t.match(client.text, /DATA: A\n\nDATA: B\n\n$/)
  }
})
