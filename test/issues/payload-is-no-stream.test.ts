// Symptom: an onSend hook that pipes payloads, such as that of @fastify/throttle, has no effect on a stream or answers "{}".
// Cause: it checks `instanceof Stream`, and the payload of an event stream was no instance.
import { Stream, Transform } from 'node:stream'
import { test } from 'tap'
import { listen, makeApp, open } from '../helpers/app.js'

test('an onSend hook gets an instance of Stream as payload and can pipe it', async (t) => {
  const app = await makeApp(t)
  app.addHook('onSend', async (_request, _reply, payload) => {
    if (!(payload instanceof Stream)) return JSON.stringify(payload)
    return payload.pipe(new Transform({ transform: (chunk, _encoding, done) => done(null, String(chunk).toUpperCase()) }))
  })
  app.sseRoute('/', { source: () => ['a', 'b'] })
  app.get('/reply', (_request, reply) => reply.sse(['a', 'b']))
  const port = await listen(app)
  for (const path of ['/', '/reply']) {
    const client = await open(t, port, path)
    t.ok(await client.finished())
    t.match(client.text, /DATA: A\n\nDATA: B\n\n$/)
  }
})
