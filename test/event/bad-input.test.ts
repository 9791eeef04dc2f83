import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type { SSEStream } from '../../lib/index.js'
import { type InjectedStream, injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'
import { follow, hubOf, privatePartsOf, serveTopics, takeData } from '../helpers/subscriber.js'

/** Values that cannot name a topic or client, by their description. */
const noNames: Record<string, unknown> = { '\'\'': '', 1: 1, 0: 0, undefined, null: null, true: true, array: [['a']], object: {}, symbol: Symbol('a'), String: Object('a') }

const circular: Record<string, unknown> = {}
circular.itself = circular

/** Payloads that cannot be published, with the error code. */
const noPayloads: [what: string, payload: unknown, code: string][] = [
  ['id', { id: '1', data: 'x' }, 'SSE_ERR_CUSTOM_ID'],
  ['id alone', { id: 1 }, 'SSE_ERR_CUSTOM_ID'],
  ['id 0', { id: 0, data: 'x' }, 'SSE_ERR_CUSTOM_ID'],
  ['id \'\'', { id: '', data: 'x' }, 'SSE_ERR_CUSTOM_ID'],
  ['id of the log', { id: '1-1', data: 'x' }, 'SSE_ERR_CUSTOM_ID'],
  ['id without a text', { id: Object.create(null), data: 'x' }, 'SSE_ERR_CUSTOM_ID'],
  ['{}', {}, 'SSE_ERR_PAYLOAD'],
  ['null', null, 'SSE_ERR_PAYLOAD'],
  ['undefined', undefined, 'SSE_ERR_PAYLOAD'],
  ['no data', { data: undefined, comments: [], event: '' }, 'SSE_ERR_PAYLOAD'],
  ['number', 1, 'SSE_ERR_PAYLOAD'],
  ['array', ['x'], 'SSE_ERR_PAYLOAD'],
  ['function', () => 'x', 'SSE_ERR_PAYLOAD'],
  ['promise', Promise.resolve('x'), 'SSE_ERR_PAYLOAD'],
  ['misspelt', { dta: 'x' }, 'SSE_ERR_PAYLOAD'],
  ['event', { event: 'a\nb', data: 'x' }, 'SSE_ERR_FIELD'],
  ['retry', { retry: -1 }, 'SSE_ERR_FIELD'],
  ['circular', { data: circular }, 'SSE_ERR_SERIALIZATION'],
  ['BigInt', { data: 1n }, 'SSE_ERR_SERIALIZATION'],
  ['function as data', { data: () => {} }, 'SSE_ERR_SERIALIZATION'],
  ['toJSON that throws', { data: { toJSON () { throw new Error('no') } } }, 'SSE_ERR_SERIALIZATION']
]

/** Opens a stream of each kind that can receive. Returns a function that asserts that they and the log got nothing. */
async function watch (app: FastifyInstance): Promise<(t: Test) => Promise<void>> {
  serveTopics(app)
  app.sseRoute('/ann', { clientId: () => 'ann', onConnect: () => {} })
  const streams = [await follow(app, 'a'), await follow(app, '/ann')]
  const { newest } = hubOf(app)
  return async (t) => {
    t.strictSame([hubOf(app).newest, hubOf(app).oldestId], [newest, null], 'nothing is in the log')
    const id = await app.sse.broadcast('after')
    for (const stream of streams) t.strictSame(await stream.next(), { id, event: 'message', data: 'after' })
    t.match(app.sse.stats(), { active: 2, sent: 2, gaps: 0, closed: { error: 0 } })
  }
}

test('payloads that cannot be published', async (t) => {
  for (const [what, payload, code] of noPayloads) {
    t.test(`publishing rejects with ${code} and sends nothing: ${what}`, async (t) => {
      const app = await makeApp(t)
      const untouched = await watch(app)
      const { hub } = privatePartsOf(app.sse)
      for (const refused of [hub.publish('a', payload), hub.broadcast(payload), hub.sendTo('ann', payload)]) await t.rejects(refused, { code })
      await untouched(t)
    })
  }

  t.test('publishing rejects for data that the serializer fails for', async (t) => {
    const cause = new Error('no')
    const app = await makeApp(t, { serializer: (data) => { if (data === 1) throw cause; return data === 2 ? Object(2) : 'fine' } })
    const untouched = await watch(app)
    await t.rejects(app.sse.publish('a', { event: 'e', data: 1 }), { code: 'SSE_ERR_SERIALIZATION', message: 'The data of event "e" cannot be serialized: the serializer threw an object (Error)', cause })
    await t.rejects(app.sse.publish('a', { data: 2 }), { code: 'SSE_ERR_SERIALIZATION' })
    await untouched(t)
  })
})

test('values that cannot name a topic or a client', async (t) => {
  for (const [what, name] of Object.entries(noNames)) {
    t.test(`publish, sendTo and subscribe refuse a name: ${what}`, async (t) => {
      const app = await makeApp(t)
      const untouched = await watch(app)
      await t.rejects(app.sse.publish(name as string, 'x'), { code: 'SSE_ERR_TOPIC' })
      await t.rejects(app.sse.sendTo(name as string, 'x'), { code: 'SSE_ERR_CLIENT_ID' })
      for (const stream of app.sse.streams.values()) {
        t.throws(() => stream.subscribe('b', name as string), { code: 'SSE_ERR_TOPIC' })
        t.doesNotThrow(() => stream.unsubscribe(name as string))
      }
      t.strictSame([...hubOf(app).topics.keys()], ['a'], 'all or none')
      await untouched(t)
    })
  }

  t.test('an invalid topic of a route is refused when the route is registered', async (t) => {
    const app = await makeApp(t)
    const refused = [...Object.values(noNames).map((name) => ['a', name]), ...Object.values(noNames).filter((value) => !Array.isArray(value))]
    for (const topics of [...refused, Array(1)]) {
      if (topics === undefined) continue
      t.throws(() => app.sseRoute('/', { topics: topics as string[], onConnect: () => {} }), { code: 'SSE_ERR_OPTION', message: 'The option "topics" takes an array of topics, strings that are not empty or results of defineTopic, or a function' })
    }
    t.equal((await app.inject('/')).statusCode, 404)
  })

  t.test('an invalid topic from the function `topics` is a 500, from a promise too', async (t) => {
    const app = await makeApp(t)
    const results = [...Object.values(noNames).map((name) => ['a', name]), ...Object.values(noNames).filter((value) => !Array.isArray(value)), new Set(['a'])]
    let result: unknown
    app.sseRoute('/now', { topics: () => result as string[] })
    app.sseRoute('/later', { topics: async () => result as string[] })
    const untouched = await watch(app)
    for (result of results) {
      for (const url of ['/now', '/later']) {
        const response = await app.inject(url)
        t.equal(response.statusCode, 500)
        t.match(response.headers['content-type'], 'application/json')
        t.match(response.json(), { code: 'SSE_ERR_TOPIC' })
      }
    }
    await untouched(t)
  })

  t.test('an invalid client id from the function `clientId` is a 500', async (t) => {
    let result: unknown
    const app = await makeApp(t, { clientId: () => result as string, maxStreams: 3 })
    app.sseRoute('/route', { topics: ['b'], onConnect: () => {} })
    app.sseRoute('/own', { clientId: () => result as string, onConnect: () => {} })
    app.get('/hand', (_request, reply) => { reply.sse() })
    app.get('/given', (_request, reply) => reply.sse(['x']))
    for (result of [...Object.values(noNames), Promise.resolve('ann')]) {
      for (const url of ['/route', '/own', '/hand', '/given']) {
        const response = await app.inject(url)
        t.equal(response.statusCode, 500)
        t.match(response.json(), { code: 'SSE_ERR_CLIENT_ID' })
      }
    }
    t.strictSame([app.sse.stats().opened, hubOf(app).topics.size], [0, 0])
    result = 'ann'
    for (const url of ['/route', '/own', '/hand']) t.equal((await injectSSE(app, { url })).statusCode, 200, 'all places are free')
  })
})

test('custom ids on a stream with topics', async (t) => {
  const own = [{ id: '1', data: 'x' }, { id: 0 }, { id: '', data: 'x' }]

  /** Asserts that the log and its subscribers continue. */
  async function goesOn (app: FastifyInstance, stream: InjectedStream): Promise<string[]> {
    await app.sse.publish('a', 'published')
    return takeData(stream, 1)
  }

  t.test('stream.send refuses a custom id on a stream with topics, and the stream continues', async (t) => {
    const app = await makeApp(t)
    let route: SSEStream | undefined
    app.sseRoute('/route', { topics: ['a'], onConnect: (_request, stream) => { route = stream } })
    let hand: SSEStream | undefined
    app.get('/hand', (_request, reply) => { hand = reply.sse(); hand.subscribe('a') })
    const streams = [await follow(app, '/route'), await follow(app, '/hand')]
    for (const payload of own) {
      await t.rejects(Promise.resolve(route?.send(payload)), { code: 'SSE_ERR_CUSTOM_ID' })
      await t.rejects(Promise.resolve(hand?.send(payload)), { code: 'SSE_ERR_CUSTOM_ID' })
    }
    for (const stream of streams) t.strictSame(await goesOn(app, stream), ['published'])
    hand?.unsubscribe('a')
    await t.rejects(Promise.resolve(hand?.send({ id: 1 })), { code: 'SSE_ERR_CUSTOM_ID' }, 'its client still holds an id of the log')
  })

  t.test('a custom id from `payload` on a stream with topics fails one tick, and the next tick is sent', async (t) => {
    const app = await makeApp(t)
    const errors: Error[] = []
    const onError = (error: Error) => { errors.push(error) }
    const payloadOf = (queue: unknown[]) => () => queue.shift() as string
    app.sseRoute('/own', { topics: ['a'], interval: 1, payload: payloadOf([...own, 'without']), onError })
    app.sseRoute('/shared', { topics: ['a'], interval: 1, shared: true, payload: payloadOf([...own, 'without']), onError })
    for (const url of ['/own', '/shared']) {
      const stream = await follow(app, url)
      t.match(await stream.next(), { id: undefined, data: 'without' })
      t.match(errors.splice(0), own.map(() => ({ code: 'SSE_ERR_CUSTOM_ID' })))
      t.strictSame(await goesOn(app, stream), ['published'])
    }
  })

  t.test('a custom id from a source aborts a stream with topics, or is a 500 before the stream is open', async (t) => {
    const app = await makeApp(t)
    const errors: Error[] = []
    const onError = (error: Error) => { errors.push(error) }
    app.sseRoute('/', { topics: ['a'], source: () => [{ data: 'first' }, { id: 1, data: 'x' }], onError })
    app.sseRoute('/first', { topics: ['a'], openOn: 'first-event', source: () => [{ id: 1, data: 'x' }], onError })
    const stream = await follow(app, '/')
    t.match(await stream.next(), { data: 'first' })
    await t.rejects(stream.next())
    t.match(errors, [{ code: 'SSE_ERR_CUSTOM_ID' }])
    t.equal(app.sse.stats().closed.error, 1)
    t.match((await app.inject('/first')).json(), { statusCode: 500, code: 'SSE_ERR_CUSTOM_ID' })
    await until('nothing is left', () => hubOf(app).topics.size === 0)
  })
})
