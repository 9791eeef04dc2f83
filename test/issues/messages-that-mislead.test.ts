// Symptom: an error message points at the wrong option or value.
// Cause: the check that failed did not know the mistake behind it, such as a source given as `payload`.
import { test } from 'tap'
import { encode } from '../../lib/event/encode.js'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

test('the error for names of types in `events` says that it takes schemas', async (t) => {
  const app = await makeApp(t)
  const takes = 'an object of event names and their schemas, at least one; a schema is an object, as { type: \'string\' }, or a function that follows Standard Schema'
  const wrong: Array<[object, string]> = [
    [{ a: 'string' }, '"string" as the schema of "a"'],
    [{ a: { type: 'string' }, b: 42 }, '42 as the schema of "b"'],
    [{ price: String }, 'a function as the schema of "price"'],
    [{ ['x'.repeat(1_000)]: null }, `null as the schema of "${'x'.repeat(40)}…"`],
    [{}, 'an object (Object)'],
    [['string'], 'an array']
  ]
  for (const [events, got] of wrong) {
    t.throws(() => app.sseRoute({ url: '/', events: events as never, source: () => [] }), { code: 'SSE_ERR_OPTION', message: `The option "events" takes ${takes}, got ${got}` })
  }
})

test('the error for a `payload` that returns a source says that it belongs in `source`', async (t) => {
  const app = await makeApp(t)
  const errors: Error[] = []
  const payloads = {
    'async-generator': async function * () { yield 'a' },
    generator: function * () { yield 'a' },
    'promised-generator': async () => (async function * () { yield 'a' })(),
    'web-stream': () => new ReadableStream(),
    response: () => new Response('')
  }
  for (const [name, payload] of Object.entries(payloads)) {
    app.sseRoute({ url: `/${name}`, interval: 1_000, payload: payload as never, onError: (error) => { errors.push(error) } })
  }
  for (const name of Object.keys(payloads)) {
    errors.length = 0
    const stream = await injectSSE(app, { url: `/${name}` })
    await until('the error', () => errors.length > 0)
    stream.close()
    t.match(errors, [{ code: 'SSE_ERR_PAYLOAD', message: /, got an object \(\w+\), which is a source: what is read to its end belongs in the option "source", or in reply\.sse\(\)$/ }], name)
  }
})

test('data that is a promise is refused, and its rejection is handled', async (t) => {
  const refused = { code: 'SSE_ERR_SERIALIZATION', message: 'The data of event "message" cannot be serialized: it is an object (Promise), which has to be awaited before' }
  t.throws(() => encode({ data: Promise.resolve(1) }), refused)
  t.throws(() => encode({ data: Promise.reject(new Error('nobody awaits this')) }), refused)
  t.throws(() => encode({ data: { then () {} } }), { code: 'SSE_ERR_SERIALIZATION', message: /it is an object \(Object\), which has to be awaited before$/ })
  t.equal(encode({ data: {} }), 'data: {}\n\n')
  t.equal(encode({ data: { then: 1 } }), 'data: {"then":1}\n\n')

  const app = await makeApp(t)
  const errors: Error[] = []
  const onError = (error: Error) => { errors.push(error) }
  const reject = async () => { throw new Error('nobody awaits this') }
  app.sseRoute({ url: '/declared', events: { message: { type: 'object', properties: {} } }, source: () => [{ data: reject() }], onError })
  app.sseRoute({ url: '/required', events: { message: { type: 'object', properties: { a: { type: 'number' } }, required: ['a'] } }, source: () => [{ data: reject() }], onError })
  await t.rejects(app.sse.publish('a', { data: Promise.resolve(1) }), refused)
  for (const url of ['/declared', '/required']) await t.rejects((await injectSSE(app, { url })).next())
  t.match(errors, [refused, refused])
})

test('data that is a source is refused', async (t) => {
  const refused = { code: 'SSE_ERR_SERIALIZATION', message: /it is an object \(\w+\), which is a source: what is read to its end belongs in the option "source"/ }
  for (const data of [(async function * () {})(), new ReadableStream(), new Response('')]) t.throws(() => encode({ data }), refused)
  for (const data of [new Map(), new Set(), Object.create(null)]) t.equal(encode({ data }), 'data: {}\n\n')
  t.throws(() => encode(new (class {})()), { code: 'SSE_ERR_PAYLOAD', message: /got an object \(no name\)$/ })
  t.throws(() => encode(new Map()), { code: 'SSE_ERR_PAYLOAD', message: /got an object \(Map\)$/ })
})
