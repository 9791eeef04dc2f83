import type { Test } from 'tap'
import { type Heard, Listener, post } from './listener.js'

/** Visits a program of docs/migration.md as its clients do, and returns all events that they get. */
type Scenario = (t: Test, url: string) => Promise<Heard[]>

/** Returns the events of clients of the programs in "From @fastify/sse": live news, and after a reconnect the missed news. */
export const fastifySSE: Scenario = async (t, url) => {
  const first = new Listener(t, `${url}/news`, ['welcome', 'news'])
  await first.first(1)
  for (const title of ['a', 'b']) await post(`${url}/news`, { title })
  const live = await first.first(3)
  first.close()
  await post(`${url}/news`, { title: 'c' })
  const again = new Listener(t, `${url}/news`, ['welcome', 'news'], { 'last-event-id': first.lastEventId })
  await again.first(2)
  await post(`${url}/news`, { title: 'd' })
  return [...live, ...await again.first(3), ...await new Listener(t, `${url}/words`, ['word']).first(3)]
}

export const fastifySSEv2: Scenario = async (t, url) => {
  const counted = await new Listener(t, `${url}/count`, ['count']).first(3)
  const orders = new Listener(t, `${url}/orders`, ['hello', 'created'])
  await orders.first(1)
  for (const id of [1, 2]) await post(`${url}/orders`, { id })
  return [...counted, ...await orders.first(3)]
}

export const betterSSE: Scenario = async (t, url) => {
  const viewers = [new Listener(t, `${url}/ticker`, ['hello', 'price']), new Listener(t, `${url}/ticker`, ['hello', 'price'])]
  for (const viewer of viewers) await viewer.first(1)
  const counts: Heard[] = []
  for (const price of [1, 2]) counts.push({ event: 'answer', data: await (await post(`${url}/ticker`, { price })).text() })
  const prices: Heard[] = []
  for (const viewer of viewers) prices.push(...await viewer.first(3))
  return [...counts, ...prices, ...await new Listener(t, `${url}/numbers`, ['number']).first(3)]
}

export const replyRaw: Scenario = async (t, url) => {
  const ticks = new Listener(t, `${url}/ticks`, ['tick'])
  const ticked = await ticks.first(2)
  ticks.close()
  const alerts = await new Listener(t, `${url}/alerts`, ['alert']).opened()
  for (const level of ['low', 'high']) await post(`${url}/alerts`, { level })
  return [...ticked, ...await alerts.first(2)]
}

export const express: Scenario = async (t, url) => {
  const open = (room: string) => new Listener(t, `${url}/rooms/${room}`, ['joined', 'said'])
  const [red, blue] = [open('red'), open('blue')]
  for (const room of [red, blue]) await room.first(1)
  for (const [room, text] of [['red', 'hello'], ['blue', 'hi'], ['green', 'nobody'], ['red', 'bye']]) {
    const { status } = await post(`${url}/rooms/${room}`, { text })
    t.equal(status, 204)
  }
  return [...await red.first(3), ...await blue.first(2)]
}
