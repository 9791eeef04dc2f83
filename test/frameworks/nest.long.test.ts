import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import { type Client, open, until } from '../helpers/app.js'
import { answerOf } from '../plugins/orders.js'
import { makeNestApp, seen } from './nest-app.js'

/** A Nest app that listens, and the Fastify instance in it. */
async function start (t: Test): Promise<{ app: FastifyInstance, port: number, close: () => Promise<void> }> {
  const nest = await makeNestApp()
  t.teardown(() => nest.close())
  await nest.listen(0, '127.0.0.1')
  seen.length = 0
  const { port } = nest.getHttpServer().address() as AddressInfo
  return { app: nest.getHttpAdapter().getInstance(), port, close: () => nest.close() }
}

/** All that a client was sent, and whether it ended. */
async function fateOf (client: Client): Promise<{ ended: boolean, text: string }> {
  return { ended: await client.finished(), text: client.text }
}

test('@nestjs/platform-fastify', async (t) => {
  await t.test('streams of controllers and of sseRoute get what is published, and app.close() ends them', async (t) => {
    const { app, port, close } = await start(t)
    const clients = await Promise.all(['/hand', '/guarded', '/passed', '/route'].map((path) => open(t, port, path, { headers: { authorization: 'x' } })))
    for (const { response } of clients) t.match(response, { statusCode: 200, headers: { 'content-type': 'text/event-stream' } })
    await app.sse.publish('a', 'hello')
    for (const client of clients) await client.until('data: hello')
    await close()
    for (const client of clients) t.match(await fateOf(client), { ended: true, text: /retry: \d+\n$/ })
  })

  await t.test('a guard that refuses and an exception before the stream are JSON errors', async (t) => {
    const { port } = await start(t)
    t.match(await answerOf(await open(t, port, '/guarded')), { status: 403, body: { message: 'Forbidden resource' } })
    t.match(await answerOf(await open(t, port, '/before?status=418')), { status: 418, body: { message: 'no stream' } })
  })

  await t.test('an exception after reply.sse() ends the stream after all that was sent, and nothing follows', async (t) => {
    const { port } = await start(t)
    for (const path of ['/after', '/after?status=409']) {
      const client = await open(t, port, path)
      const events = [...Array(100).keys(), 'last'].map((data) => `data: ${data}\n\n`).join('')
      t.strictSame(await fateOf(client), { ended: true, text: events }, path)
      await until('the late event', () => seen.includes('late false'))
      t.strictSame(seen.splice(0), ['closed server', 'late false'])
    }
  })

  await t.test('reply.sse(source) resolves when the client has left; a failure of it breaks the stream off', async (t) => {
    const { port } = await start(t)
    const client = await open(t, port, '/source')
    await client.until('data: two')
    t.strictSame(seen, [])
    client.disconnect()
    await until('the interceptor', () => seen.length === 3)
    t.strictSame(seen.splice(0), ['stopped client', 'finally', 'handled /source'])
    t.strictSame(await fateOf(await open(t, port, '/failing')), { ended: false, text: 'data: one\n\n' })
    t.equal(seen[0], 'onError source')
  })

  await t.test('a POST is read by Nest, and Nest\'s @Sse() works beside', async (t) => {
    const { port } = await start(t)
    const posted = await fetch(`http://127.0.0.1:${port}/posted`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"n":1}' })
    t.equal(await posted.text(), 'event: echo\ndata: {"n":1}\n\n')
    await (await open(t, port, '/nest')).until('data: nest')
  })
})
