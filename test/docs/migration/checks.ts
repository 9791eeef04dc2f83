import type { Test } from 'tap'
import { until } from '../../helpers/until.js'
import { eventsOf } from '../../helpers/subscriber.js'
import { type Heard, Listener, post } from './listener.js'

const TOKEN = { authorization: 'Bearer secret' }

const parsed = (events: Heard[]) => events.map(({ event, data }) => [event, JSON.parse(data)])

/** Reads a response to its end, and returns its status and its events. Rejects if the connection breaks off. */
async function whole (url: string, init: RequestInit = {}) {
  const response = await fetch(url, { ...init, headers: { accept: 'text/event-stream', ...init.headers } })
  return { status: response.status, type: response.headers.get('content-type'), events: eventsOf(await response.text()).map(({ event, data }) => ({ event, data })) }
}

/** Checks the application of before.ts and after.ts by HTTP alone. */
export async function check (t: Test, url: string): Promise<void> {
  const status = async (): Promise<{ connections: number, disconnects: number }> => JSON.parse(await (await fetch(`${url}/status`)).text())

  await t.test('a room needs a token, and a client that accepts event streams', async (t) => {
    const refused = await fetch(`${url}/rooms/red`, { headers: { accept: 'text/event-stream' } })
    t.strictSame([refused.status, await refused.json()], [401, { error: 'sign in' }])
    const other = await fetch(`${url}/rooms/red`, { headers: { ...TOKEN, accept: 'application/json' } })
    t.equal(other.status, 406)
    t.match(other.headers.get('content-type'), 'application/json')
  })

  await t.test('a member of a room gets its messages, and after a reconnect the missed messages', async (t) => {
    const names = ['joined', 'said', 'announced', 'gap']
    const { disconnects } = await status()
    const ann = new Listener(t, `${url}/rooms/red`, names, TOKEN)
    const other = new Listener(t, `${url}/rooms/blue`, names, TOKEN)
    await Promise.all([ann.first(1), other.first(1)])
    await until('both connections', async () => (await status()).connections === 2)
    for (const text of ['a', 'b']) {
      const sent = await post(`${url}/rooms/red`, { text }, TOKEN)
      t.strictSame([sent.status, await sent.json()], [201, { members: 1 }])
    }
    t.strictSame(parsed(await ann.first(3)), [['joined', { room: 'red' }], ['said', { text: 'a' }], ['said', { text: 'b' }]])
    ann.close()
    await until('the disconnect', async () => (await status()).disconnects === disconnects + 1)
    t.equal((await status()).connections, 1)

    await post(`${url}/rooms/red`, { text: 'missed' }, TOKEN)
    const again = new Listener(t, `${url}/rooms/red`, names, { ...TOKEN, 'last-event-id': ann.lastEventId })
    await again.first(2)
    await until('both connections', async () => (await status()).connections === 2)
    await post(`${url}/rooms/red`, { text: 'live' }, TOKEN)
    t.strictSame(parsed(await again.first(3)), [['joined', { room: 'red' }], ['said', { text: 'missed' }], ['said', { text: 'live' }]])
    t.equal(again.heard.length, 3)
    t.strictSame(parsed(other.heard), [['joined', { room: 'blue' }]])
    again.close()
    other.close()
    await until('the disconnects', async () => (await status()).connections === 0)
  })

  await t.test('a stream of a room has its headers, and a heartbeat when nobody speaks', async (t) => {
    const stop = new AbortController()
    const response = await fetch(`${url}/rooms/quiet`, { headers: TOKEN, signal: stop.signal })
    t.equal(response.status, 200)
    t.match(response.headers.get('content-type'), 'text/event-stream')
    t.match([response.headers.get('x-room'), response.headers.get('cache-control'), response.headers.get('x-accel-buffering')], ['quiet', 'no-cache', 'no'])
    let text = ''
    for await (const chunk of response.body ?? []) {
      text += Buffer.from(chunk).toString()
      if (/^:/m.test(text)) break
    }
    t.match(text, 'event: joined\n')
    stop.abort()
    await until('the disconnect', async () => (await status()).connections === 0)
  })

  await t.test('an announcement reaches the streams of all routes', async (t) => {
    const member = new Listener(t, `${url}/rooms/red`, ['joined', 'announced'], TOKEN)
    const viewer = new Listener(t, `${url}/load`, ['announced'])
    await member.first(1)
    await until('both connections', async () => (await status()).connections === 2)
    await post(`${url}/announcements`, { text: 'closing soon' })
    t.strictSame(parsed(await member.first(2)).slice(1), [['announced', 'closing soon']])
    t.strictSame(parsed(await viewer.first(1)), [['announced', 'closing soon']])
    member.close()
    viewer.close()
  })

  await t.test('the load is sent again and again, and stops with its client', async (t) => {
    await until('no connections', async () => (await status()).connections === 0)
    const viewer = new Listener(t, `${url}/load`, ['load'])
    t.strictSame(parsed(await viewer.first(3)), Array(3).fill(['load', { connections: 1 }]))
    viewer.close()
    await until('the disconnect', async () => (await status()).connections === 0)
  })

  await t.test('orders are JSON or a stream, by the Accept header', async (t) => {
    const orders: object[] = JSON.parse(await (await fetch(`${url}/orders`)).text())
    t.equal(orders.length, 3)
    const streamed = await whole(`${url}/orders`)
    t.equal(streamed.status, 200)
    t.strictSame(parsed(streamed.events), [...orders.map((order) => ['order', order]), ['done', null]])
  })

  await t.test('an answer is JSON or a stream, by the body', async (t) => {
    t.strictSame(await (await post(`${url}/answers`, { question: 'why?', stream: false })).json(), { answer: 'You asked: why?' })
    const init = { method: 'POST', headers: { accept: 'application/json', 'content-type': 'application/json' }, body: '{"question":"why?","stream":true}' }
    t.strictSame(parsed((await whole(`${url}/answers`, init)).events), [['word', 'You'], ['word', 'asked:'], ['word', 'why?']])
  })

  await t.test('a failure within a stream is an event', async (t) => {
    const { events } = await whole(`${url}/import`, { method: 'POST' })
    t.strictSame(parsed(events), [['step', { step: 'read' }], ['step', { step: 'checked' }], ['failed', { message: 'Error: order 2 is not valid' }]])
  })

  await t.test('a failure before the stream is an HTTP error', async (t) => {
    t.strictSame(parsed((await whole(`${url}/archive/2026`)).events), [['order', { id: 1, item: 'tea' }]])
    const missing = await fetch(`${url}/archive/1999`)
    t.match([missing.status, await missing.json()], [404, { message: 'no archive of 1999' }])
  })

  await t.test('lines of a file pass through a transform and a serializer', async (t) => {
    t.strictSame((await whole(`${url}/log`)).events, [1, 2, 3].map((line) => ({ event: 'line', data: `line ${line}` })))
  })

  await t.test('a stream can have another status, and text without a name', async (t) => {
    t.match(await whole(`${url}/created`), { status: 201, type: /^text\/event-stream/, events: [{ event: 'message', data: 'created' }] })
  })
}
