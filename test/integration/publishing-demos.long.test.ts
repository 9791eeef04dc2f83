import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { type InjectedEvent, injectSSE, type InjectedStream } from '../../lib/testing.js'
import { listen, open } from '../helpers/app.js'
import { publishingDemos, take } from './publishing-demos.js'

async function say (app: FastifyInstance, text: string, room = 'lobby'): Promise<string> {
  const response = await app.inject({ method: 'POST', url: `/rooms/${room}/messages`, payload: { name: 'Ada', text } })
  return response.json().id
}

const place = async (app: FastifyInstance) => (await app.inject({ method: 'POST', url: '/orders', payload: { item: 'a kettle' } })).json()

const text = ({ data }: InjectedEvent): string => JSON.parse(data).text
const state = ({ data }: InjectedEvent): string => JSON.parse(data).state

test('a message reaches all clients of its room and none of another', async (t) => {
  const app = await publishingDemos(t)
  const port = await listen(app)
  const [one, two, elsewhere] = await Promise.all([open(t, port, '/rooms/lobby'), open(t, port, '/rooms/lobby'), open(t, port, '/rooms/garden')])
  const response = await fetch(`http://127.0.0.1:${port}/rooms/lobby/messages`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ name: 'Ada', text: 'two\nlines <b>' })
  })
  t.equal(response.status, 201)
  const { id } = Object(await response.json())
  await say(app, 'over here', 'garden')
  await elsewhere.until('over here')
  for (const client of [one, two]) {
    await client.until(`id: ${id}\ndata: `)
    t.match(JSON.parse(/^data: (.*)$/m.exec(client.text)?.[1] ?? ''), { name: 'Ada', text: 'two\nlines <b>', time: Number })
    t.notMatch(client.text, 'over here')
  }
  t.notMatch(elsewhere.text, 'lines')
})

test('a client that reconnects to a room gets each missed message once', async (t) => {
  const app = await publishingDemos(t)
  const stream = await injectSSE(app, { url: '/rooms/lobby' })
  await say(app, 'first')
  const [seen] = await take(stream, 1)
  const missed = [await say(app, 'second'), await say(app, 'third')]
  await say(app, 'elsewhere', 'garden')

  const back = await Promise.all([
    injectSSE(app, { url: '/rooms/lobby?lastEventId=0-0', headers: { 'last-event-id': seen?.id } }),
    injectSSE(app, { url: `/rooms/lobby?lastEventId=${seen?.id}` })
  ])
  const live = await say(app, 'live')
  for (const stream of back) {
    const events = await take(stream, 3)
    t.strictSame(events.map(({ id }) => id), [...missed, live])
    t.strictSame(events.map(text), ['second', 'third', 'live'])
  }
})

test('a message is not sent to the client that said it, also after a reconnect', async (t) => {
  const app = await publishingDemos(t)
  const [ada, bob] = [randomUUID(), randomUUID()]
  const streams = await Promise.all([ada, bob].map((client) => injectSSE(app, `/rooms/lobby?client=${client}`)))
  const say = (client: string, text: string) => app.inject({ method: 'POST', url: '/rooms/lobby/messages', payload: { name: 'Somebody', client, text } })
  for (const [client, text] of [[ada, 'from Ada'], [bob, 'from Bob'], [ada, 'again'], [bob, 'and again']] as const) t.equal((await say(client, text)).statusCode, 201)
  const own = async (stream: InjectedStream | undefined) => stream && (await take(stream, 2)).map(text)
  t.strictSame(await own(streams[0]), ['from Bob', 'and again'])
  t.strictSame(await own(streams[1]), ['from Ada', 'again'])
  const [, ...messages] = await take(await injectSSE(app, `/rooms/lobby?lastEventId=0-0&client=${ada}`), 3)
  t.strictSame(messages.map(text), ['from Bob', 'and again'])
  t.equal((await say('ada', 'an id that can be guessed')).statusCode, 400)
})

test('a client with Last-Event-ID 0-0 gets all messages that the history retains', async (t) => {
  const app = await publishingDemos(t)
  for (const text of ['first', 'second']) await say(app, text)
  const [gap, ...messages] = await take(await injectSSE(app, { url: '/rooms/lobby?lastEventId=0-0' }), 3)
  t.match(gap, { event: 'gap', data: /"lastEventId":"0-0"/ })
  t.strictSame(messages.map(text), ['first', 'second'])
})

test('a message needs a name and a text of limited length, and a room a valid name', async (t) => {
  const app = await publishingDemos(t)
  const url = '/rooms/lobby/messages'
  for (const [at, payload] of [
    [url, { text: 'Hello' }],
    [url, { name: ' ', text: 'Hello' }],
    [url, { name: 'a'.repeat(41), text: 'Hello' }],
    [url, { name: 'Ada', text: ' \n' }],
    [url, { name: 'Ada', text: 'a'.repeat(1_001) }],
    ['/rooms/No%20room/messages', { name: 'Ada', text: 'Hello' }]
  ] as const) {
    const response = await app.inject({ method: 'POST', url: at, payload })
    t.match(response.json(), { statusCode: 400, code: 'FST_ERR_VALIDATION' }, JSON.stringify(payload).slice(0, 60))
  }
  await t.rejects(injectSSE(app, { url: '/rooms/No%20room' }), { code: 'SSE_ERR_NO_STREAM', statusCode: 400 })
})

test('the steps of an order, from placed to delivered, reach its own stream only', async (t) => {
  const app = await publishingDemos(t)
  const [order, other] = [await place(app), await place(app)]
  t.match(order, { id: /^[0-9a-f]{8}-[0-9a-f]{4}-4/, item: 'a kettle', state: 'placed', time: Number })
  const states = await take(await injectSSE(app, { url: `/orders/${order.id}` }), 4)
  t.strictSame(states.map(state), ['placed', 'packed', 'shipped', 'delivered'])
  for (const { event, data } of states) t.match({ event, data: JSON.parse(data) }, { event: 'state', data: { id: order.id, item: 'a kettle', time: Number } })

  const late = await take(await injectSSE(app, { url: `/orders/${order.id}` }), 1)
  t.strictSame(late.map(state), ['delivered'], 'who comes late is told the present state')
  const back = await take(await injectSSE(app, { url: `/orders/${order.id}`, headers: { 'last-event-id': states[1]?.id } }), 2)
  t.strictSame(back.map(state), ['shipped', 'delivered'], 'who comes back, the states they missed')
  t.not(other.id, order.id)
})

test('a stream of an unknown order is answered 404', async (t) => {
  const app = await publishingDemos(t)
  const id = '2f1e4c8a-0c1b-4d7e-9a55-0d6c3b1f9e77'
  await t.rejects(injectSSE(app, { url: `/orders/${id}` }), {
    code: 'SSE_ERR_NO_STREAM',
    statusCode: 404,
    body: JSON.stringify({ statusCode: 404, code: 'UNKNOWN_ORDER', error: 'Not Found', message: `There is no order ${id}` })
  })
  await t.rejects(injectSSE(app, { url: '/orders/17' }), { code: 'SSE_ERR_NO_STREAM', statusCode: 400 })
})

test('app.close() ends the work on orders', async (t) => {
  const logged: string[] = []
  const app = await publishingDemos(t, undefined, { logger: { level: 'error', stream: { write: (line: string) => { logged.push(line) } } } })
  const port = await listen(app)
  const { id } = await place(app)
  const client = await open(t, port, `/orders/${id}`)
  await client.until('placed')
  await app.close()
  t.ok(await client.finished())
  // longer than one step takes
  await wait(1_300)
  t.strictSame(logged, [], 'nothing is published afterwards')
})

test('a trade reaches the clients of its symbol', async (t) => {
  const app = await publishingDemos(t)
  const port = await listen(app)
  const [one, two, elsewhere] = await Promise.all([open(t, port, '/trades/BOLT'), open(t, port, '/trades/BOLT'), open(t, port, '/trades/DUNE')])
  const trade = (payload: object) => app.inject({ method: 'POST', url: '/trades', payload })
  const response = await trade({ symbol: 'BOLT', price: 231.5, quantity: 10 })
  t.equal(response.statusCode, 201)
  await trade({ symbol: 'DUNE', price: 17, quantity: 1 })
  await elsewhere.until('"DUNE"')
  for (const client of [one, two]) {
    await client.until(`id: ${response.json().id}\nevent: trade\ndata: {"symbol":"BOLT","price":231.5,"quantity":10,"time":`)
    t.notMatch(client.text, 'DUNE')
  }
  t.notMatch(elsewhere.text, 'BOLT')

  t.match((await trade({ symbol: 'NOPE', price: 1, quantity: 1 })).json(), { statusCode: 404, code: 'UNKNOWN_SYMBOL' })
  await t.rejects(injectSSE(app, { url: '/trades/NOPE' }), { code: 'SSE_ERR_NO_STREAM', statusCode: 404 })
  for (const wrong of [{ price: 0 }, { price: -1 }, { quantity: 0 }, { quantity: 1.5 }, { symbol: undefined }]) {
    const { statusCode } = await trade({ symbol: 'BOLT', price: 1, quantity: 1, ...wrong })
    t.equal(statusCode, 400, JSON.stringify(wrong))
  }
})
