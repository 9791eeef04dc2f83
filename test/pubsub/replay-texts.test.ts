import { test } from 'tap'
import type { Page, SSEStream } from '../../lib/index.js'
import { publishedEvent } from '../../lib/pubsub/history.js'
import { joinTexts, type ReplayText, textsOf } from '../../lib/pubsub/replay-texts.js'
import { connectSocket, listen, makeApp, until } from '../helpers/app.js'
import { follow, publishAll, serveTopics, takeData } from '../helpers/subscriber.js'

const numbers = (count: number): string[] => Array.from({ length: count }, (_, index) => String(index))

/** A page with an event of each of these sizes, characters, and the client id that does not get it. */
function pageOf (...events: Array<[size: number, except?: string]>): Page {
  const published = events.map(([size, except = null], i) => publishedEvent(`5-${i}`, { to: 'topic', names: ['news'], except, limits: null, frame: `data: ${'ü'.repeat(size)}\n\n` }))
  return { gap: null, events: published, position: '5-99' }
}

function textsOfShared (page: Page): readonly ReplayText[] {
  joinTexts(page)
  return textsOf(page) ?? []
}

test('the events of a page are joined to texts', async (t) => {
  t.test('each event is in one text, and texts end at about 15 KiB', async (t) => {
    const page = pageOf(...numbers(20).map((): [number] => [1_000]))
    const texts = textsOfShared(page)
    t.strictSame(texts.map(({ count, lastId }) => [count, lastId]), [[16, '5-15'], [4, '5-19']])
    t.equal(texts.map(({ batch }) => batch.text).join(''), page.events.map(({ text }) => text).join(''))
    for (const { batch } of texts) t.equal(batch.bytes, Buffer.byteLength(batch.text))
  })

  t.test('an event that excludes a client is in a separate text', async (t) => {
    const texts = textsOfShared(pageOf([1], [1], [1, 'ann'], [1, 'bob'], [1], [1]))
    t.strictSame(texts.map(({ count, except }) => [count, except]), [[2, null], [1, 'ann'], [1, 'bob'], [2, null]])
  })

  t.test('a page of large events is not joined', async (t) => {
    t.not(textsOfShared(pageOf([130_000], [130_000])).length, 0)
    t.strictSame(textsOfShared(pageOf([130_000], [140_000])), [])
  })

  t.test('a page is joined once, not before it is shared, and a page without events has no text', async (t) => {
    const page = pageOf([1], [1])
    t.equal(textsOf(page), undefined)
    t.equal(textsOfShared(page), textsOfShared(page))
    t.strictSame(textsOfShared(pageOf()), [])
  })
})

test('streams that replay the same page', async (t) => {
  t.test('streams that replay the same page get each event once, and no event that excludes their client id', async (t) => {
    const app = await makeApp(t, { idleTimeout: 60_000 })
    app.sseRoute<{ Params: { name: string } }>('/:name', { topics: ['a'], clientId: ({ params }) => params.name })
    const seen = await app.sse.publish('a', 'seen')
    for (const name of numbers(300)) await app.sse.publish('a', name, name === '7' ? { except: 'ann' } : {})
    const all = numbers(300)
    for (const client of ['bob', 'ann', 'eve']) {
      const expected = client === 'ann' ? all.filter((name) => name !== '7') : all
      const stream = await follow(app, `/${client}`, seen)
      t.strictSame(await takeData(stream, expected.length), expected)
    }
    t.match(app.sse.stats(), { sent: 899, replayed: 899, gaps: 0 })
  })

  t.test('clients that cannot take a shared page at once continue with the next text when they have caught up', async (t) => {
    const app = await makeApp(t, { heartbeat: false })
    serveTopics(app)
    const port = await listen(app)
    const big = numbers(12).map((name) => name.padEnd(20_000, '.'))
    const [seen] = await publishAll(app, 'a', 'seen', ...big)
    const sockets = await Promise.all([1, 2, 3].map(() => connectSocket(t, port)))
    // in one tick, so that all read the first page before one of them reads the next
    for (const socket of sockets) socket.write(`GET /on/a?lastEventId=${seen} HTTP/1.1\r\nhost: localhost\r\n\r\n`)
    for (const socket of sockets) {
      await until('the events', () => socket.text.includes(big[11] ?? ''))
      t.strictSame(Array.from(socket.text.matchAll(/^data: (.*)$/gm), ([, data]) => data), big)
    }
    t.match(app.sse.stats(), { replayed: 36, gaps: 0 })
  })

  t.test('a stream whose application sets an id while it replays gets the rest without ids of the log', async (t) => {
    const app = await makeApp(t, { clientId: () => 'ann' })
    let stream: SSEStream | undefined
    app.get('/', (_request, reply) => { stream = reply.sse() })
    const seen = await app.sse.broadcast('seen')
    for (const name of numbers(200)) await app.sse.broadcast(name)
    const client = await follow(app, '/', seen)
    await until('a page', () => app.sse.stats().replayed >= 128)
    await stream?.send({ id: 'mine', data: 'x' })
    const data = await takeData(client, 201)
    t.strictSame(data.filter((name) => name !== 'x'), numbers(200))
  })

  t.test('a page that was read does not hide a later event or another topic', async (t) => {
    const app = await makeApp(t)
    serveTopics(app)
    const [first] = await publishAll(app, 'a', '0', '1')
    t.strictSame(await takeData(await follow(app, 'a', first), 1), ['1'])
    await publishAll(app, 'a', '2')
    t.strictSame(await takeData(await follow(app, 'a', first), 2), ['1', '2'])
    await publishAll(app, 'b', '3')
    t.strictSame(await takeData(await follow(app, 'b', first), 1), ['3'])
  })
})
