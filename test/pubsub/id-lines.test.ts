import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import type { CloseReason } from '../../lib/index.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { hubOf, idsOf, publishAll, serveTopics } from '../helpers/subscriber.js'

/** Declares routes without topics and returns their paths. */
function declareRoutesWithoutTopics (app: FastifyInstance): string[] {
  app.sseRoute('/interval', { interval: 60_000, immediate: false, payload: () => 'x' })
  app.sseRoute('/on-connect', { onConnect: () => {} })
  app.get('/reply', (_request, reply) => { reply.sse() })
  return ['/interval', '/on-connect', '/reply']
}

/** Returns the part of a text that follows `text`. */
const textAfter = (text: string, all: string): string => all.slice(all.indexOf(text) + text.length)

test('a stream with topics', async (t) => {
  t.test('a stream with topics opens with the newest id of the log, of any topic', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    serveTopics(app)
    app.get('/reply', (_request, reply) => { reply.sse().subscribe('a') })
    const port = await listen(app)
    for (let round = 0; round < 2; round++) {
      for (const path of ['/on/a', '/reply']) {
        const client = await open(t, port, path)
        await client.until('\n\n')
        t.equal(client.text, `id: ${hubOf(app).newest}\n\n`, path)
        t.match(hubOf(app).newest, /^\d{13}-\d+$/)
      }
      await app.sse.publish('something else', 'x')
    }
  })

  t.test('a stream with topics opens with retry and the id in one block', async (t) => {
    const app = await makeApp(t, { heartbeat: false, retry: 1_000 })
    serveTopics(app)
    const client = await open(t, await listen(app), '/on/a')
    await client.until('\n\n')
    t.equal(client.text, `retry: 1000\nid: ${hubOf(app).newest}\n\n`)
  })

  t.test('a reconnected stream opens with the id of its client, and with the newest id after its replay', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    serveTopics(app)
    const [first = '', , third = ''] = [...await publishAll(app, 'a', '1', '2'), await app.sse.publish('b', '3')]
    const client = await open(t, await listen(app), '/on/a', { headers: { 'last-event-id': first } })
    await client.until('data: 2')
    await client.until(`id: ${third}\n\n`)
    t.match(client.text, new RegExp(`^id: ${first}\n\nid: [^\n]*\ndata: 2\n\nid: ${third}\n\n$`))
  })

  t.test('the heartbeat of a stream with topics carries the newest id of the log', async (t) => {
    const app = await makeApp(t, { heartbeat: 30 })
    serveTopics(app)
    const client = await open(t, await listen(app), '/on/quiet')
    for (let round = 0; round < 3; round++) {
      const id = await app.sse.publish('busy', 'x')
      await client.until(`id: ${id}\n\n`)
    }
    const id = await app.sse.publish('quiet', 'x')
    await client.until(`id: ${id}\ndata: x\n\n:\n:\n`)
    t.same([...new Set(idsOf(client.text))], idsOf(client.text), 'each id is sent once')
  })

  t.test('heartbeats are sent to a stream with topics that sends only events without ids', async (t) => {
    const app = await makeApp(t, { heartbeat: 50 })
    app.sseRoute('/', { topics: ['quiet'], interval: 5, payload: () => 'tick' })
    const client = await open(t, await listen(app), '/')
    await client.until('data: tick', 2)
    const id = await app.sse.publish('busy', 'x')
    await client.until(`\n\nid: ${id}\n\n`)
    await client.until('data: tick', 100)
    const beats = client.text.match(/^:$/gm)?.length ?? 0
    t.ok(beats >= 5, `${beats} heartbeats between 100 ticks`)
  })

  t.test('heartbeats are not sent to a stream that gets published events', async (t) => {
    const app = await makeApp(t, { heartbeat: 400 })
    serveTopics(app)
    const { newest } = hubOf(app)
    const client = await open(t, await listen(app), '/on/a')
    const ids = [newest]
    for (const end = Date.now() + 1_000; Date.now() < end;) {
      ids.push(await app.sse.publish('a', 'x'))
      await wait(10)
    }
    await client.until(`id: ${ids.at(-1)}
data: x

`)
    t.strictSame(idsOf(client.text), ids, 'the id of the opening line and the ids of events')
  })

  t.test('id lines do not restart idleTimeout', async (t) => {
    const app = await makeApp(t, { heartbeat: 20, idleTimeout: 150 })
    const reasons: (CloseReason | null)[] = []
    app.sseRoute('/', { topics: ['quiet'], onDisconnect: (_request, { closeReason }) => { reasons.push(closeReason) } })
    const client = await open(t, await listen(app), '/')
    const ids = new Set<string>()
    while (!client.ended && ids.size < 100) {
      ids.add(await app.sse.publish('busy', 'x'))
      await wait(10)
    }
    t.ok(await client.finished())
    t.strictSame(reasons, ['idle'])
    t.ok(idsOf(client.text).length >= 3, `${idsOf(client.text).length} id lines were sent meanwhile`)
  })

  t.test('published events restart idleTimeout', async (t) => {
    const app = await makeApp(t, { idleTimeout: 500 })
    serveTopics(app)
    const client = await open(t, await listen(app), '/on/a')
    for (const end = Date.now() + 1_200; Date.now() < end;) {
      await app.sse.publish('a', 'x')
      await wait(10)
    }
    t.notOk(client.ended)
    t.ok(await client.finished(), 'the stream closes after the last event')
    t.equal(app.sse.stats().closed.idle, 1)
  })
})

test('a stream without topics', async (t) => {
  t.test('a stream without topics opens without an id, and its heartbeats have none', async (t) => {
    const app = await makeApp(t, { heartbeat: 30, retry: 500 })
    const paths = declareRoutesWithoutTopics(app)
    await app.sse.broadcast('before')
    const port = await listen(app)
    for (const path of paths) {
      const client = await open(t, port, path)
      await client.until('\n:\n:\n')
      t.match(client.text, /^retry: 500\n(:\n)+$/)
    }
  })

  t.test('a stream without topics whose client has a custom id sends heartbeats without an id', async (t) => {
    const app = await makeApp(t, { heartbeat: 30 })
    const paths = declareRoutesWithoutTopics(app)
    await app.sse.broadcast('before')
    const port = await listen(app)
    for (const path of paths) {
      const client = await open(t, port, path, { headers: { 'last-event-id': 'own 1' } })
      await client.until(':\n', 2)
      await app.sse.broadcast('all')
      await client.until('data: all\n\n')
      await until('a heartbeat', () => textAfter('data: all\n\n', client.text).length >= 4)
      t.match(client.text, /^(:\n)+data: all\n\n(:\n)+$/)
    }
  })

  t.test('the heartbeat of a stream without topics carries the id of the log after a broadcast or a sendTo', async (t) => {
    const app = await makeApp(t, { heartbeat: 30, clientId: () => 'ann' })
    const paths = declareRoutesWithoutTopics(app)
    const port = await listen(app)
    for (const path of paths) {
      for (const send of [() => app.sse.broadcast('x'), () => app.sse.sendTo('ann', 'x')]) {
        const client = await open(t, port, path)
        await client.until(':\n')
        const id = await send()
        await client.until(`id: ${id}\ndata: x\n\n`)
        const later = await app.sse.publish('busy', 'y')
        await client.until(`\nid: ${later}\n\n:\n`)
        client.disconnect()
      }
    }
  })

  t.test('the heartbeat of a stream without topics carries the id of the log if its client came with an id of the log', async (t) => {
    const app = await makeApp(t, { heartbeat: 30 })
    const paths = declareRoutesWithoutTopics(app)
    const port = await listen(app)
    const [older, newest] = await publishAll(app, 'busy', '1', '2')
    for (const path of paths) {
      for (const id of [older, newest]) {
        const client = await open(t, port, path, { headers: { 'last-event-id': id } })
        await client.until(':\n:\n')
        t.match(client.text, id === newest ? /^(:\n)+$/ : new RegExp(`^id: ${newest}\n\n(:\n)+$`))
      }
    }
  })

  t.test('the heartbeat of a stream without topics carries no id after an event with a custom id', async (t) => {
    const app = await makeApp(t, { heartbeat: 30 })
    declareRoutesWithoutTopics(app)
    const client = await open(t, await listen(app), '/reply')
    const [stream] = app.sse.streams.values()
    await app.sse.broadcast('first')
    await client.until('data: first')
    await stream?.send({ id: 'own', data: 'x' })
    await app.sse.broadcast('second')
    await client.until('data: second\n\n')
    await until('a heartbeat', () => textAfter('data: second\n\n', client.text).length >= 4)
    t.match(textAfter('id: own\n', client.text), /^data: x\n\ndata: second\n\n(:\n)+$/)
  })
})
