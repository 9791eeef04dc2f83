import type { Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import { type Client, listen, makeApp, open } from '../helpers/app.js'

const STREAMS = 20

/** Counts the calls that hand bytes to the kernel, on all connections of an app. */
function countWrites (app: FastifyInstance): { writes: number } {
  const count = { writes: 0 }
  app.server.on('connection', (socket: Socket) => {
    const handle: Record<string, unknown> = Reflect.get(socket, '_handle')
    for (const name of ['writev', 'writeBuffer', 'writeUtf8String', 'writeAsciiString', 'writeLatin1String', 'writeUcs2String']) {
      const write = handle[name] as (...args: unknown[]) => unknown
      handle[name] = function (...args: unknown[]) {
        count.writes++
        return write.apply(this, args)
      }
    }
  })
  return count
}

/** An app whose serializer counts its calls, and clients of one of its routes. */
async function setUp (t: Test, path: string) {
  const calls = { payload: 0, serializer: 0 }
  const app = await makeApp(t, {
    serializer (data) {
      calls.serializer++
      return JSON.stringify(data)
    }
  })
  app.sseRoute('/topic', { topics: ['a'] })
  let all = false
  app.sseRoute('/shared', {
    interval: 30,
    immediate: false,
    shared: true,
    payload: () => all ? { data: { call: ++calls.payload } } : undefined
  })
  const count = countWrites(app)
  const port = await listen(app)
  const clients = await Promise.all(Array.from({ length: STREAMS }, () => open(t, port, path)))
  count.writes = 0
  all = true
  return { app, calls, clients, count }
}

function all (clients: Client[], text: string): Promise<unknown> {
  return Promise.all(clients.map((client) => client.until(text)))
}

test('a published event is encoded once, and written once per stream', async (t) => {
  const { app, calls, clients, count } = await setUp(t, '/topic')
  await app.sse.publish('a', { data: { n: 1 } })
  await all(clients, '{"n":1}')
  t.equal(calls.serializer, 1)
  t.equal(count.writes, STREAMS)
})

test('events published in one tick leave in one write per stream, in order', async (t) => {
  const { app, clients, count } = await setUp(t, '/topic')
  const ids = await Promise.all(Array.from({ length: 10 }, (_, n) => app.sse.publish('a', { data: { n } })))
  await all(clients, '{"n":9}')
  t.equal(count.writes, STREAMS)
  const expected = ids.map((id, n) => `id: ${id}\ndata: {"n":${n}}\n\n`).join('')
  for (const client of clients) t.ok(client.text.endsWith(expected))
})

test('streams that also get different events receive each their own, in order', async (t) => {
  const { app, clients, count } = await setUp(t, '/topic')
  for (const stream of app.sse.streams.values()) stream.send({ comments: `before ${stream.id}` }).catch(t.error)
  app.sse.publish('a', 'published').catch(t.error)
  for (const stream of app.sse.streams.values()) stream.send({ comments: `after ${stream.id}` }).catch(t.error)
  await all(clients, ': after')
  t.equal(count.writes, STREAMS)
  const seen = clients.map(({ text }) => /: before (.*)\n\nid: .*\ndata: published\n\n: after (.*)\n\n$/.exec(text)?.slice(1))
  t.strictSame(new Set(seen.flat()), new Set(app.sse.streams.keys()))
  for (const [before, after] of seen as string[][]) t.equal(before, after)
})

test('a shared payload is one call and one encoding, and written once per stream', async (t) => {
  const { app, calls, clients, count } = await setUp(t, '/shared')
  await all(clients, '{"call":1}')
  t.equal(calls.payload, calls.serializer)
  t.equal(count.writes, STREAMS * calls.serializer)
  t.equal(app.sse.stats().sent, count.writes)
})

test('headers, first events and an immediate end are one write', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/source', { source: async function * () { yield * ['a', 'b', 'c'] } })
  app.get('/hand', (_request, reply) => {
    const stream = reply.sse()
    for (const data of ['a', 'b', 'c']) stream.send(data).catch(t.error)
    stream.close()
  })
  const count = countWrites(app)
  const port = await listen(app)
  for (const [visits, path] of ['/source', '/hand'].entries()) {
    const client = await open(t, port, path)
    t.ok(await client.finished())
    t.equal(client.text, 'data: a\n\ndata: b\n\ndata: c\n\n')
    t.equal(count.writes, visits + 1)
  }
})
