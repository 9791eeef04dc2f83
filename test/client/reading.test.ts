import { test } from 'tap'
import { sse, type SSEClientOptionsFor, SSEError, type SSEGap } from '../../lib/client/index.js'
import { until } from '../helpers/until.js'
import { ends, opens, says, serve } from './server.js'

type Options = SSEClientOptionsFor<Record<string, unknown>>

const once = { reconnect: false } as const

/** All events of a stream that ends, without reconnects. */
async function all (url: string, options: Options = {}): Promise<unknown[]> {
  const events: unknown[] = []
  for await (const event of sse(url, { ...once, ...options })) events.push(event)
  return events
}

test('an event has its id, its name and its data, parsed as JSON', async (t) => {
  const { url } = await serve(t, ends('id: 1\nevent: price\ndata: {"price":1}\n\ndata: null\n\nid: 2\ndata: "a"\n\n: a comment\n\n'))
  t.strictSame(await all(url), [
    { id: '1', event: 'price', data: { price: 1 } },
    { id: undefined, event: 'message', data: null },
    { id: '2', event: 'message', data: 'a' }
  ])
})

test('the data of events in `text` stays text, even if it is JSON', async (t) => {
  const { url } = await serve(t, ends('event: token\ndata: 42\n\nevent: token\ndata:  a\ndata: b\n\ndata: 42\n\n'))
  t.strictSame(await all(url, { text: ['token'] }), [
    { id: undefined, event: 'token', data: '42' },
    { id: undefined, event: 'token', data: ' a\nb' },
    { id: undefined, event: 'message', data: 42 }
  ])
  t.strictSame((await all(url, { text: true })).map((event) => Object(event).data), ['42', ' a\nb', '42'])
})

test('data that is not JSON is an error that names the options for text', async (t) => {
  const { url } = await serve(t, opens('data: 1\n\nevent: token\ndata: a\n\n'))
  const events = sse(url)
  t.match(await events.next(), { value: { data: 1 } })
  const error: SSEError = await events.next().then(() => t.fail('not rejected'), (error) => error)
  t.ok(error instanceof SSEError)
  t.match(error, { code: 'SSE_ERR_DATA', message: /"token" is not JSON.*"text"/, cause: SyntaxError })
  t.match(await events.next(), { done: true })
})

test('a client closes the connection after an error for data that is not JSON', async (t) => {
  const { url, requests } = await serve(t, opens('data: a\n\n'))
  await t.rejects(sse(url).next(), { code: 'SSE_ERR_DATA' })
  await until('the connection is gone', () => requests[0]?.socket.destroyed)
})

test('chunks may end anywhere, also within a character and a line break', async (t) => {
  const text = '\uFEFFid: é\r\nevent: a€\rdata: "𝄞…\u2028"\n\ndata: 2\r\n\r\ndata: 3\r\rdata: 4\n\n'
  const bytes = Buffer.from(text)
  const expected = [{ id: 'é', event: 'a€', data: '𝄞…\u2028' }, ...[2, 3, 4].map((data) => ({ id: undefined, event: 'message', data }))]
  for (let size = 1; size <= 5; size++) {
    const parts = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
    const { url } = await serve(t, async (response) => {
      response.socket?.setNoDelay(true)
      response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
      for (const part of parts) await new Promise((resolve) => { response.write(part, () => setImmediate(resolve)) })
      response.end()
    })
    t.strictSame(await all(url), expected, `${size} at a time`)
  }
})

/** The last event id with which a client reconnects after a text. */
async function cameBackWith (t: Parameters<typeof serve>[0], text: string, options: Options = {}): Promise<string | undefined> {
  const { url, requests } = await serve(t, ends(text), says(204))
  await all(url, { reconnect: true, retry: { delay: 0 }, ...options })
  const value = requests[1]?.headers['last-event-id']
  return value === undefined ? undefined : Buffer.from(String(value), 'latin1').toString()
}

test('the client reconnects with the id of the last event', async (t) => {
  const cases: Array<[text: string, id: string | undefined]> = [
    ['data: 1\n\n', undefined],
    ['id: 1\ndata: 1\n\ndata: 2\n\n', '1'],
    ['id: 1\ndata: 1\n\nid: 2\n\n', '2'],
    ['id: 1\ndata: 1\n\n:\nid: 2\n\n:\n\n', '2'],
    ['id: 1\r\rid:2\r\n\r\n:', '2'],
    ['id: 1\ndata: 1\n\nid: 2\ndata: 2\n', '1'],
    ['id: 1\ndata: 1\n\nid: 2\n', '1'],
    ['id: 1\n\nid: 2\0\n\n', '1'],
    ['id: 1\n\nid\n\n', undefined],
    ['id: 1\n\nid:\n\n', undefined],
    ['id: 1\n\nidea: 2\n\nId: 3\n\n id: 4\n\n', '1'],
    ['id: 1\n\ndata: "id: 2"\n\n', '1'],
    ['id: 1\n\nid: …€𝄞 1\n\n', '…€𝄞 1'],
    [`id: 1\n\ndata: "${'x'.repeat(200_000)}"\nid: 2\n\n`, '2']
  ]
  for (const [text, id] of cases) t.equal(await cameBackWith(t, text), id, JSON.stringify(text.slice(0, 60)))
  t.equal(await cameBackWith(t, 'data: 1\n\n', { lastEventId: '7' }), '7', 'or the one it began with')
  t.equal(await cameBackWith(t, 'id: 8\n\n', { lastEventId: '7' }), '8')
})

test('the request has the method, headers, body and last event id of the options', async (t) => {
  const { url, requests } = await serve(t, says(204))
  await all(url, { lastEventId: '…', headers: { authorization: 'Bearer a', accept: 'text/html' } })
  await all(url, { method: 'POST', body: '{}', headers: [['content-type', 'application/json']] })
  t.match(requests[0], { method: 'GET', headers: { accept: 'text/event-stream', 'last-event-id': Buffer.from('…').toString('latin1'), authorization: 'Bearer a' } })
  t.match(requests[1], { method: 'POST', headers: { 'content-type': 'application/json', 'content-length': '2' } })
  t.notOk(requests[1]?.headers['last-event-id'])
})

test('a gap is yielded as an event, or passed to onGap instead', async (t) => {
  const text = 'data: 1\n\nid: 5\nevent: gap\ndata: {"lastEventId":"1","oldestId":null}\n\ndata: 2\n\n'
  const { url } = await serve(t, ends(text))
  const gap: SSEGap = { lastEventId: '1', oldestId: null }
  t.match(await all(url), [{ data: 1 }, { id: '5', event: 'gap', data: gap }, { data: 2 }])
  for (const text of [[], true] as const) {
    const order: unknown[] = []
    const onGap = async (gap: SSEGap) => {
      await new Promise(setImmediate)
      order.push(gap)
    }
    for await (const { data } of sse(url, { ...once, text, onGap })) order.push(Number(data))
    t.strictSame(order, [1, gap, 2], 'awaited')
  }
})

test('the client reads no more than the loop takes', async (t) => {
  const event = `data: "${'x'.repeat(100_000)}"\n\n`
  let written = 0
  const { url } = await serve(t, (response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    const write = () => {
      while (written++ < 500 && response.write(event));
    }
    response.on('drain', write)
    write()
  })
  const events = sse(url)
  await events.next()
  let last = -1
  await until('the server to wait', async () => {
    const before = last
    last = written
    await new Promise((resolve) => { setTimeout(resolve, 50) })
    return before === written
  })
  t.ok(written < 300, `${written} events were sent`)
  for (let i = 0; i < 300; i++) await events.next()
  await until('the server to go on', () => written > 300)
  await events.return?.()
})

test('options that are out of range are refused at once', (t) => {
  for (const options of [{ inactivityTimeout: -1 }, { inactivityTimeout: NaN }, { retry: { delay: -1 } }, { retry: { maxDelay: NaN } }, { retry: { maxRetries: -1 } }]) {
    t.throws(() => sse('http://127.0.0.1:1/', options), { code: 'SSE_ERR_OPTION', message: /^The option "(retry\.)?(delay|maxDelay|maxRetries|inactivityTimeout)" takes a number from 0 on, got / })
  }
  t.end()
})

test('the client reads at most 1 MiB of a refusal, also if its body does not end', async (t) => {
  const { url } = await serve(t, (response) => { response.writeHead(404).write('x'.repeat(1_500_000)) })
  const error = await sse(url, { ...once, inactivityTimeout: 0 }).next().catch((error: SSEError) => error)
  t.match(error, { code: 'SSE_ERR_NO_STREAM', status: 404 })
  t.equal(error instanceof SSEError && error.body?.length, 1_048_576)
})
