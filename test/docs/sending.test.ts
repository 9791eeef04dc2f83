import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { encode } from '../../lib/event/encode.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { take } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/sending.md')

/** Runs blocks of the page in the app of the ten lines, with code before them that replaces their declarations. */
function runBlocks (t: Test, before: string, ...blocks: string[]): Promise<FastifyInstance> {
  return runApp(t, tenLines({ after: [before, ...blocks].join('\n') }))
}

test('a payload with all fields is written in the order shown', async (t) => {
  const [code] = page.codeOf('Payloads', 'ts')
  const [shown] = page.codeOf('Payloads', '')
  t.equal((await (await runBlocks(t, '', code)).inject('/all-fields')).body, `${shown}\n`)
})

test('fields of payloads follow their rules', (t) => {
  t.equal(encode({ id: '', event: '', data: 'a' }), 'id: \ndata: a\n\n')
  t.equal(encode({ id: 0, retry: 0 }), 'id: 0\nretry: 0\n\n')
  t.equal(encode({ comments: ['a\r\nb', 'c\rd'] }), ': a\n: b\n: c\n: d\n\n')
  t.equal(encode({ data: 'a\r\nb\rc\nd' }), 'data: a\ndata: b\ndata: c\ndata: d\n\n')
  t.equal(encode({ data: null }), 'data: null\n\n')
  t.equal(encode({ data: '' }), 'data: \n\n')
  t.equal(encode({ event: 'a', data: undefined }), 'event: a\n\n')
  t.equal(encode('a'), encode({ data: 'a' }))
  for (const nothing of [{}, null, undefined]) t.equal(encode(nothing), '')
  for (const payload of [1, ['a'], () => {}, { data: 'a', name: undefined }]) t.throws(() => encode(payload), { code: 'SSE_ERR_PAYLOAD' })
  t.throws(() => encode({ id: 'c-1', choices: [] }), { code: 'SSE_ERR_PAYLOAD', message: /choices/ })
  for (const payload of [{ id: true }, { id: 'a\nb' }, { id: '\u007f' }, { id: 'x'.repeat(8_001) }, { event: 'a\nb' }, { event: 'a\0' }, { retry: -1 }, { retry: 1.5 }]) t.throws(() => encode(payload), { code: 'SSE_ERR_FIELD' })
  t.equal(encode({ id: 'x'.repeat(8_000) }).length, 8_006)
  t.throws(() => encode({ data: 1n }), { code: 'SSE_ERR_SERIALIZATION' })
  class Price { event = 'price'; get text () { return this.event } change () {} }
  t.equal(encode(Object.defineProperty(new Price(), 'hidden', { value: 1, enumerable: false })), 'event: price\n\n')
  t.end()
})

test('a source continues after the last id of its client', async (t) => {
  const [code] = page.codeOf('Ids of your own', 'ts')
  const app = await runBlocks(t, '', code.replace('1_000', '5'))
  const first = await injectSSE(app, { url: '/count' })
  t.strictSame((await take(first, 2)).map(({ id }) => id), ['1', '2'])
  first.close()
  const again = await injectSSE(app, { url: '/count', headers: { 'last-event-id': '2' } })
  t.strictSame((await take(again, 2)).map(({ id }) => id), ['3', '4'])
  again.close()
})

test('an interval sends its first event when the stream opens', async (t) => {
  const [code] = page.codeOf('Send at an interval', 'ts')
  const app = await runBlocks(t, '', code.replace('1_000', '50'))
  const stream = await injectSSE(app, { url: '/clock' })
  const [first, second] = await take(stream, 2)
  t.match([first, second], [{ event: 'time' }, { event: 'time' }])
  t.ok(Date.parse(second?.data ?? '') > Date.parse(first?.data ?? ''))
  stream.close()
})

test('a payload that is too slow is aborted, and the ticks go on', async (t) => {
  const [code] = page.codeOf('Give up a slow payload', 'ts')
  const other = await makeApp(t, {}, { forceCloseConnections: true })
  let requests = 0
  let aborted = 0
  other.get('/', async (request, reply) => {
    if (++requests > 1) return { degrees: 7 }
    reply.raw.on('close', () => { aborted++ })
    await wait(2_000, undefined, { ref: false })
  })
  const port = await listen(other)
  const fast = code.replace('60_000', '50').replace('10_000', '100')
  const app = await runBlocks(t, `const errors = []\nconst weather = { url: 'http://127.0.0.1:${port}/' }`, fast.replace('payloadTimeout', 'onError: ({ code }) => { errors.push(code) },\n  payloadTimeout'), 'app.get(\'/errors\', () => errors)')
  const stream = await injectSSE(app, { url: '/weather' })
  t.match(await stream.next(), { event: 'weather', data: '{"degrees":7}' })
  stream.close()
  // a busy machine may also exceed the shortened payloadTimeout in a later call
  t.strictSame([...new Set((await app.inject('/errors')).json())], ['SSE_ERR_PAYLOAD_TIMEOUT'])
  await until('the request to be aborted', () => aborted === 1)
})

test('one call of payload serves all streams of a key', async (t) => {
  const [code] = page.codeOf('One computation for many clients', 'ts')
  const app = await runBlocks(t, 'const calls = []\nconst countOrders = async (country) => calls.push(country)', code, 'app.get(\'/calls\', () => calls)')
  const streams = [await injectSSE(app, { url: '/orders/de/count' })]
  t.match(await streams[0]?.next(), { data: '1' })
  streams.push(await injectSSE(app, { url: '/orders/de/count' }))
  t.match(await streams[1]?.next(), { data: '1' }, 'the latest payload')
  streams.push(await injectSSE(app, { url: '/orders/fr/count' }))
  t.match(await streams[2]?.next(), { data: '2' })
  t.strictSame((await app.inject('/calls')).json(), ['de', 'fr'])
  for (const stream of streams) stream.close()
})

test('a source is streamed to its end, and then its end event is sent', async (t) => {
  const [code] = page.codeOf('Stream a source', 'ts')
  const app = await runBlocks(t, 'const model = async function * (prompt) { yield * prompt.split(\' \') }', code)
  t.equal((await app.inject({ method: 'POST', url: '/chat', payload: { prompt: 'a b' } })).body, 'event: token\ndata: a\n\nevent: token\ndata: b\n\nevent: done\ndata: \n\n')
  t.match(app.sse.stats(), { closed: { server: 1 } })
})

test('a model stops when its client disconnects', async (t) => {
  const [code] = page.codeOf('Stream a source', 'ts')
  const model = 'let stopped = false\nconst model = async function * (prompt, signal) { yield prompt; await new Promise((resolve) => { signal.addEventListener(\'abort\', resolve) }); stopped = true }'
  const app = await runBlocks(t, model, code, 'app.get(\'/stopped\', () => ({ stopped }))')
  const stream = await injectSSE(app, { method: 'POST', url: '/chat', payload: { prompt: 'a' } })
  t.match(await stream.next(), { data: 'a' })
  stream.close()
  await until('the model to stop', async () => (await app.inject('/stopped')).json().stopped)
})

test('items of a source can be the data of events', async (t) => {
  const [code] = page.codeOf('Send items as data', 'ts')
  const app = await runBlocks(t, 'const rows = async function * () { yield { id: 1 }; yield { id: 2 } }', code)
  t.equal((await app.inject('/export')).body, 'data: {"id":1}\n\ndata: {"id":2}\n\ndata: [DONE]\n\n')
})

test('a failure before the first event is an HTTP error', async (t) => {
  const [code] = page.codeOf('Turn a failure before the first event into an HTTP error', 'ts')
  const findReport = 'const findReport = async (id) => { if (id === \'7\') throw Object.assign(new Error(\'no such report\'), { statusCode: 404 }); return [id] }'
  const app = await runBlocks(t, findReport, code)
  t.equal((await app.inject('/reports/1')).body, 'data: 1\n\n')
  t.match((await app.inject('/reports/7')).json(), { statusCode: 404, message: 'no such report' })
})

test('a generator that waits for events is stopped when its client disconnects', async (t) => {
  const [code] = page.codeOf('Stop work when the client leaves', 'ts')
  const app = await runBlocks(t, '', code, 'app.get(\'/listeners\', () => orders.listenerCount(\'created\'))', 'app.post(\'/new-orders\', () => { orders.emit(\'created\', { id: 7 }); return {} })')
  const listeners = async () => Number((await app.inject('/listeners')).body)
  const stream = await injectSSE(app, { url: '/new-orders' })
  await until('it listens', async () => await listeners() === 1)
  await app.inject({ method: 'POST', url: '/new-orders' })
  t.strictSame(await stream.next(), { id: undefined, event: 'created', data: '{"id":7}' })
  stream.close()
  await until('it listens no more', async () => await listeners() === 0)
})

test('a wrapped object is not closed when a stream closes', async (t) => {
  const [code] = page.codeOf('Keep an object that several streams read', 'ts')
  const feed = 'const calls = []\nconst feed = { close () { calls.push(\'close\') }, async * [Symbol.asyncIterator] () { yield \'a\'; yield \'b\' } }'
  const app = await runBlocks(t, feed, code, 'app.sseRoute(\'/bare\', { source: () => feed })', 'app.get(\'/calls\', () => calls)')
  t.equal((await app.inject('/feed')).body, 'data: a\n\ndata: b\n\n')
  t.strictSame((await app.inject('/calls')).json(), [])
  await app.inject('/bare')
  t.strictSame((await app.inject('/calls')).json(), ['close'])
})

test('a gateway passes on the events of another server', async (t) => {
  const other = await makeApp(t, {}, { forceCloseConnections: true })
  other.sseRoute<{ Body: { prompt: string } }>({
    method: 'POST',
    url: '/',
    items: 'data',
    end: '[DONE]',
    onRequest: async ({ headers }) => { if (headers.authorization !== 'Bearer secret') throw Object.assign(new Error('no key'), { statusCode: 401 }) },
    source: ({ body }) => body.prompt.split(' ').map((word) => ({ choices: [{ delta: { content: word } }] }))
  })
  const url = `http://127.0.0.1:${await listen(other)}/`
  const [code] = page.codeOf('Pass on the events of another server', 'ts')
  const gateway = (key: string) => runBlocks(t, `const upstream = ${JSON.stringify({ url, key })}`, code)
  const request = { method: 'POST', url: '/v1/chat/completions', payload: { prompt: 'a b' } } as const
  t.equal((await (await gateway('secret')).inject(request)).body, 'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"delta":{"content":"b"}}]}\n\ndata: [DONE]\n\n')
  t.match((await (await gateway('wrong')).inject(request)).json(), { statusCode: 401, code: 'SSE_ERR_UPSTREAM' })
})

test('a handler writes to its stream', async (t) => {
  const [code] = page.codeOf('Write to a stream in a handler', 'ts')
  t.match((await (await runBlocks(t, '', code)).inject('/progress')).body, /^(data: \{"done":\d+\}\n\n){11}$/)
})

test('one route answers with a stream or with JSON', async (t) => {
  const [code] = page.codeOf('Answer with a stream or with JSON', 'ts')
  const app = await runBlocks(t, '', code)
  t.strictSame((await app.inject({ method: 'POST', url: '/v1/words', payload: { stream: false } })).json(), { words: ['one', 'two', 'three'] })
  t.equal((await app.inject({ method: 'POST', url: '/v1/words', payload: { stream: true } })).body, 'event: word\ndata: one\n\nevent: word\ndata: two\n\nevent: word\ndata: three\n\n')
})
