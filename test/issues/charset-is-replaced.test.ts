// Symptom: python-requests, among others, shows "ü" as "Ã¼", although the app sets a charset.
// Cause: it reads text without a charset as Latin-1, and the plugin replaced a content-type with a charset by one without.
import type { FastifyReply } from 'fastify'
import { test } from 'tap'
import { listen, makeApp, open } from '../helpers/app.js'

const TYPE = 'text/event-stream; charset=utf-8'

test('content-type', async (t) => {
  t.test('the content-type keeps a charset that was set by options, handlers and hooks', async (t) => {
    const app = await makeApp(t)
    const source = () => ['ü']
    app.sseRoute('/options', { source, headers: { 'Content-Type': TYPE } })
    app.sseRoute('/hook', { source, onRequest: async (_request, reply) => { reply.type(TYPE) } })
    app.sseRoute('/on-send', { source, onSend: async (_request, reply) => { reply.type(TYPE) } })
    app.get('/reply', (_request, reply) => reply.type('text/event-stream;charset="UTF-8"').sse(['ü']))
    app.get('/reply-options', (_request, reply) => reply.sse(['ü'], { headers: { 'content-type': TYPE } }))
    const port = await listen(app)
    for (const path of ['/options', '/hook', '/on-send', '/reply', '/reply-options']) {
      const client = await open(t, port, path)
      t.ok(await client.finished())
      t.equal(client.response.headers['content-type'], path === '/reply' ? 'text/event-stream;charset="UTF-8"' : TYPE, path)
      t.equal(client.text, 'data: ü\n\n')
      t.equal((await app.inject(path)).headers['content-type'], client.response.headers['content-type'], `inject ${path}`)
    }
  })

  t.test('a content-type other than text/event-stream is replaced, also if an onSend hook sets it', async (t) => {
    const app = await makeApp(t)
    const other = async (_request: unknown, reply: FastifyReply) => { reply.type('text/plain; charset=utf-8') }
    app.sseRoute('/options', { source: () => ['x'], headers: { 'content-type': 'text/event-stream; charset=latin1' } })
    app.sseRoute('/hook', { source: () => ['x'], onRequest: other })
    app.sseRoute('/on-send', { source: () => ['x'], onSend: other })
    app.get('/reply', { onSend: other }, (_request, reply) => reply.sse(['x']))
    app.get('/trailers', { onSend: other }, (_request, reply) => reply.trailer('x-end', async () => 'yes').sse(['x']))
    const port = await listen(app)
    for (const path of ['/options', '/hook', '/on-send', '/reply', '/trailers']) {
      const client = await open(t, port, path)
      t.ok(await client.finished())
      t.equal(client.response.headers['content-type'], 'text/event-stream', path)
    }
  })
})
