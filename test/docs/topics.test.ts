import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { defineTopic, type TopicDefinition } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { hubOf, publishAll } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { run, runApp, toJavaScript } from './run.js'

const page = pageOf('docs/topics.md')

const [definition] = page.codeOf('Define a topic', 'ts')
const [publisher] = page.codeOf('Publish to a typed topic', 'ts')
const [routes] = page.codeOf('Routes with typed topics', 'ts')
const [client] = page.codeOf('Clients', 'ts')
const files = { 'topics.js': toJavaScript(definition) }

type Orders = TopicDefinition<'order:{id}'>

/** Runs the publisher of the page, with the routes of the page if they are wanted. */
function runPublisher (t: Test, others = ''): Promise<FastifyInstance> {
  return runApp(t, `${publisher.replace('export const app', 'const app')}\nimport { Type } from '@sinclair/typebox'\nimport { defineTopic } from 'fastify-sse-routes'\n${others.replace(/^import.*$/gm, '')}`, files)
}

test('a definition gives topics whose values cannot name another topic', async (t) => {
  const orders = await run<Orders>(t, definition.replace(/^export (const|type .*)/gm, '$1'), 'orders')
  t.equal(orders({ id: 42 }).name, 'order:42')
  t.equal(orders({ id: 'a:b' }).name, 'order:a%3Ab')
  t.equal(orders({ id: 'new' }).name, 'order:new')
  t.strictSame(orders.history, { size: 200, maxAge: 86_400_000 })
  for (const name of ['order:42', 'order:a%3Ab', 'order:new', 'order-{id}']) t.match(page.text, `\`${name}\``)
  t.throws(() => defineTopic('order-{id}'), { code: 'SSE_ERR_OPTION' })
  for (const id of ['', NaN, undefined, {}]) t.throws(() => orders({ id: id as string }), { code: 'SSE_ERR_TOPIC' })
})

test('a stream gets the events of the topic that its URL names, encoded by their schemas', async (t) => {
  const app = await runPublisher(t)
  const stream = await injectSSE(app, { url: '/orders/42' })
  const post = async (id: string, body: object) => (await app.inject({ method: 'POST', url: `/orders/${id}/parcels`, payload: body })).json().id
  await post('41', { carrier: 'UPS' })
  const id = await post('42', { carrier: 'DHL' })
  t.strictSame(await stream.next(), { id, event: 'shipped', data: '{"carrier":"DHL"}' })
  stream.close()
})

test('the log retains as many events of a typed topic as its definition says', async (t) => {
  const app = await makeApp(t, { history: { size: 3 } })
  const two = defineTopic('two', { history: { size: 2 } })
  app.sseRoute('/', { topics: [two] })
  const start = app.sse.lastEventId
  for (let i = 0; i < 5; i++) await app.sse.publish([two(), 'three'], String(i))
  const read = async (topic: string) => {
    const { lastMissedId = '' } = (await hubOf(app).read(start, { topics: new Set([topic]), clientId: 'x', from: null }, 9)).gap ?? {}
    return (await hubOf(app).read(lastMissedId, { topics: new Set([topic]), clientId: 'x', from: null }, 9)).events.length
  }
  t.equal(await read('two'), 2)
  t.equal(await read('three'), 3)
})

test('the mistakes that the page names are refused', async (t) => {
  const app = await makeApp(t)
  const orders = defineTopic('order:{id}', { events: { shipped: Type.Object({ carrier: Type.String() }), note: Type.String() } })
  const others = defineTopic('other', { events: { shipped: Type.Object({}) } })
  const publish = (topics: unknown, payload: unknown): Promise<string> => Reflect.apply(app.sse.publish, app.sse, [topics, payload])
  await t.rejects(publish(orders({ id: 1 }), { event: 'x', data: 1 }), { code: 'SSE_ERR_UNKNOWN_EVENT' })
  await t.rejects(publish([orders({ id: 1 }), others()], { event: 'shipped', data: { carrier: 'x' } }), { code: 'SSE_ERR_SERIALIZATION' })
  await t.rejects(publish([orders({ id: 1 }), others()], { event: 'note', data: 'x' }), { code: 'SSE_ERR_UNKNOWN_EVENT' })
  await t.resolves(publish('order:1', { event: 'x', data: 1 }), 'by the name nothing is checked')
  t.throws(() => app.sseRoute({ url: '/without', topics: [orders] }), { code: 'SSE_ERR_ROUTE' })
  t.throws(() => app.sseRoute({ url: '/twice/:id', topics: [orders], events: { note: Type.Number() } } as never), { code: 'SSE_ERR_ROUTE' })
})

test('data without a place in the schema is not sent', async (t) => {
  const app = await makeApp(t)
  const orders = defineTopic('orders', { events: { shipped: Type.Object({ carrier: Type.String() }) } })
  app.sseRoute({ url: '/', topics: [orders] })
  const stream = await injectSSE(app, { url: '/' })
  const parcel = { carrier: 'DHL', secret: 1 }
  await app.sse.publish(orders(), { event: 'shipped', data: parcel })
  t.match(await stream.next(), { data: '{"carrier":"DHL"}' })
  stream.close()
})

test('a route takes definitions, values from the request and names, and sends a snapshot to new clients only', async (t) => {
  const app = await runPublisher(t, routes)
  const mine = await injectSSE(app, { url: '/mine', headers: { authorization: 'Bearer 42' } })
  for (const topic of ['order:42', 'news', 'announcements', 'order:41']) await publishAll(app, topic, topic)
  for (const topic of ['order:42', 'news', 'announcements']) t.match(await mine.next(), { data: topic })
  const id = app.sse.lastEventId
  const fresh = await injectSSE(app, { url: '/orders/42/full' })
  t.match(await fresh.next(), { event: 'snapshot', data: '["order 42"]' })
  const back = await injectSSE(app, { url: '/orders/42/full', headers: { 'last-event-id': id } })
  await publishAll(app, 'order:42', 'next')
  for (const stream of [fresh, back]) t.match(await stream.next(), { data: 'next' })
  for (const stream of [mine, fresh, back]) stream.close()
})

test('the client of the page reads the events of the topic', async (t) => {
  const app = await runPublisher(t)
  const url = `http://127.0.0.1:${await listen(app)}/orders/42`
  const code = client.replace('\'/orders/42\'', JSON.stringify(url)).replace('console.log(event.data.carrier)', '{ seen = event.data.carrier; break }')
  const seen = run<string>(t, `let seen\n${code}`, 'seen')
  await until('the stream', () => app.sse.streams.size === 1)
  await app.inject({ method: 'POST', url: '/orders/42/parcels', payload: { carrier: 'DHL' } })
  t.equal(await seen, 'DHL')
})
