import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { get } from 'node:https'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { type Test, test } from 'tap'
import sse from '../../lib/index.js'
import { cert, key } from '../helpers/certificate.js'
import { Client } from '../helpers/app.js'

const EVENTS = 20_000

/** Opens a stream of an HTTPS app. */
async function openSecurely (t: Test, port: number, path: string): Promise<Client> {
  const request = get({ host: '127.0.0.1', port, path, ca: cert, servername: 'localhost', agent: false })
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response') as [IncomingMessage]
  request.on('error', () => {})
  return new Client(request, response)
}

test('over TLS', async (t) => {
  const app = Fastify({ https: { key, cert } })
  t.teardown(() => app.close())
  await app.register(sse)
  app.sseRoute('/topic', { topics: ['a'] })
  app.sseRoute('/short', { source: () => ['a', 'b'] })
  app.sseRoute('/long', { source: function * () { for (let n = 1; n <= EVENTS; n++) yield `event ${n} ${'x'.repeat(200)}` } })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo

  t.test('headers, events and the end arrive over TLS', async (t) => {
    const client = await openSecurely(t, port, '/short')
    t.match(client.response.headers, { 'content-type': 'text/event-stream' })
    t.ok(await client.finished())
    t.equal(client.text, 'data: a\n\ndata: b\n\n')
  })

  t.test('events published in one tick arrive at all clients over TLS, in order', async (t) => {
    const clients = [await openSecurely(t, port, '/topic'), await openSecurely(t, port, '/topic')]
    for (const data of ['a', 'b', 'c']) app.sse.publish('a', data).catch(t.error)
    for (const client of clients) {
      await client.until('data: c')
      t.match(client.text, /data: a\n\nid: .*\ndata: b\n\nid: .*\ndata: c\n\n$/)
    }
  })

  t.test('a source over TLS waits while its client does not read', async (t) => {
    const client = await openSecurely(t, port, '/long')
    await client.until('event 100 ')
    client.pause()
    setTimeout(() => client.resume(), 50)
    t.ok(await client.finished())
    const numbers = Array.from(client.text.matchAll(/^data: event (\d+) x{200}$/gm), ([, n]) => Number(n))
    t.strictSame(numbers, Array.from({ length: EVENTS }, (_, n) => n + 1))
  })
})
