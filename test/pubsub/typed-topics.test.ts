import { fileURLToPath } from 'node:url'
import { runInNewContext } from 'node:vm'
import { Type } from '@sinclair/typebox'
import { build } from 'esbuild'
import Fastify, { type FastifyInstance } from 'fastify'
import { serializerCompiler } from 'fastify-type-provider-zod'
import { type Test, test } from 'tap'
import { Type as Type1 } from 'typebox'
import { z } from 'zod'
import type { Publication } from '../../lib/backplane.js'
import sse, { defineTopic, type SSEPluginOptions } from '../../lib/index.js'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { injectSSE, type InjectedStream } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'
import { take, takeData } from '../helpers/subscriber.js'

const orders = defineTopic('order:{id}', { events: { shipped: Type.Object({ carrier: Type.String() }), note: Type.String() } })
const rooms = defineTopic('{tenant}/room/{room}')
const news = defineTopic('news', { events: { headline: { type: 'string' } } })

/** Calls a function with an argument that its types forbid. */
function withWrong (call: unknown, ...args: unknown[]): unknown {
  return Reflect.apply(call as () => unknown, undefined, args)
}

/** Opens a stream that is closed at the end of the test. */
async function follow (t: Test, app: FastifyInstance, url: string, headers: Record<string, string> = {}): Promise<InjectedStream> {
  const stream = await injectSSE(app, { url, headers })
  t.teardown(() => stream.close())
  return stream
}

/** Creates an app that records what it appends to the log. */
async function makeRecordingApp (t: Test, options: SSEPluginOptions = {}): Promise<{ app: FastifyInstance, published: Publication[] }> {
  const published: Publication[] = []
  const app = await makeApp(t, {
    ...options,
    backplane: (history) => {
      const backplane = new MemoryBackplane(history)
      const { publish } = backplane
      backplane.publish = (publication) => {
        published.push(publication)
        return publish.call(backplane, publication)
      }
      return backplane
    }
  })
  return { app, published }
}

test('the definition of a topic', (t) => {
  t.test('a definition is called with values for its placeholders and returns a topic', (t) => {
    t.equal(orders({ id: 42 }).name, 'order:42')
    t.equal(orders({ id: '42' }).name, 'order:42')
    t.equal(String(orders({ id: -1.5 })), 'order:-1%2E5')
    t.equal(rooms({ tenant: 'acme', room: 7 }).name, 'acme/room/7')
    t.equal(news().name, 'news')
    t.equal(defineTopic('{a}:{b}:{a}')({ a: 1, b: 2 }).name, '1:2:1')
    t.equal(orders({ id: 42 }).definition, orders)
    t.ok(Object.isFrozen(orders) && Object.isFrozen(orders({ id: 1 })))
    t.strictSame([rooms.pattern, rooms.placeholders, rooms.events, rooms.history], ['{tenant}/room/{room}', ['tenant', 'room'], undefined, {}])
    t.strictSame(defineTopic('a', { history: { size: 1 } }).history, { size: 1 })
    t.end()
  })

  t.test('values of placeholders are encoded, so that a value cannot name another topic', (t) => {
    t.equal(orders({ id: 'a:b' }).name, 'order:a%3Ab')
    t.equal(orders({ id: 'a%3Ab' }).name, 'order:a%253Ab')
    t.equal(rooms({ tenant: 'a/room', room: 'b' }).name, 'a%2Froom/room/b')
    t.equal(orders({ id: '../{id} é\n' }).name, 'order:%2E%2E%2F%7Bid%7D%20%C3%A9%0A')
    t.equal(orders({ id: '9b2e2c1a-7d1f-4f6e_A' }).name, 'order:9b2e2c1a-7d1f-4f6e_A')
    const texts = ['a', 'b', ':', '/', '.', '%', '-', '!', '~', '*', '\'', '(', ')', 'a:b', 'a/room/b', '%2F', '{id}', 'é', '\u{1F600}']
    const [names, pairs] = [new Set<string>(), texts.flatMap((tenant) => texts.map((room) => ({ tenant, room })))]
    for (const pair of pairs) names.add(rooms(pair).name)
    t.equal(names.size, pairs.length)
    for (const name of names) t.match(name, /^[\w%-]+\/room\/[\w%-]+$/)
    t.end()
  })

  t.test('a missing, empty or wrong value of a placeholder is SSE_ERR_TOPIC', (t) => {
    for (const [values, got] of [[undefined, 'undefined'], [null, 'undefined'], ['42', 'undefined'], [{}, 'undefined'], [{ ID: 1 }, 'undefined'], [Object.create({ id: 1 }), 'undefined'],
      [{ id: '' }, '""'], [{ id: NaN }, 'NaN'], [{ id: Infinity }, 'Infinity'], [{ id: null }, 'null'], [{ id: true }, 'boolean'], [{ id: [1] }, 'an array'], [{ id: {} }, 'object'], [{ id: '\ud800' }, '"\\ud800"']]) {
      t.throws(() => withWrong(orders, values), { code: 'SSE_ERR_TOPIC', statusCode: 500, message: `The placeholder "id" of the topic "order:{id}" takes a finite number or a string that is not empty, got ${got}` })
    }
    t.throws(() => withWrong(rooms, { tenant: 'a' }), { code: 'SSE_ERR_TOPIC', message: /^The placeholder "room" of the topic "\{tenant\}\/room\/\{room\}" takes/ })
    t.end()
  })

  t.test('a pattern needs a separator between a placeholder and other text', (t) => {
    for (const pattern of ['news', 'a-b_c%', '{id}', 'a/{b}/{c}', 'a.{b}.c', '{a}:{b}', 'a:{b-c}', 'é{a}']) t.doesNotThrow(() => defineTopic(pattern), pattern)
    for (const pattern of ['', 'order{id}', 'order-{id}', '{id}s', '{a}{b}', '{a}_{b}', 'a%{b}', '{a}%:{b}', 'a:{b', 'a:b}', 'a:{}', 'a:{b:c}', '{{a}}', 7, undefined, null, ['a']]) {
      t.throws(() => withWrong(defineTopic, pattern), { code: 'SSE_ERR_OPTION', message: /^The option "pattern" of defineTopic takes text such as "order:\{id\}", with a character such as : \/ or \. between a placeholder and other text, got / }, String(pattern))
    }
    t.throws(() => defineTopic('a'.repeat(50) + '{b}'), { message: `got "${'a'.repeat(40)}…"` })
    t.end()
  })

  t.test('wrong options of a definition are SSE_ERR_OPTION', (t) => {
    for (const [options, message] of [
      [null, 'The option "options" of defineTopic takes an object { events?, history? }, got null'],
      [[], 'The option "options" of defineTopic takes an object { events?, history? }, got an array'],
      [{ event: {} }, 'The option "options" of defineTopic takes an object { events?, history? }, got one with "event"'],
      [{ events: [] }, 'The option "events" of defineTopic takes an object of event names and their schemas, at least one, got an array'],
      [{ events: {} }, 'The option "events" of defineTopic takes an object of event names and their schemas, at least one, got one without events, or with a value that is no schema'],
      [{ events: { a: 'string' } }, 'The option "events" of defineTopic takes an object of event names and their schemas, at least one, got one without events, or with a value that is no schema'],
      [{ events: { gap: {} } }, 'The option "events" of defineTopic takes no event "gap", which is the plugin\'s own, got one'],
      [{ history: false }, 'The option "history" of defineTopic takes { size?: whole events, 0 or more, maxAge?: ms, 0 or more }, got boolean']
    ] as const) t.throws(() => withWrong(defineTopic, 'a', options), { code: 'SSE_ERR_OPTION', statusCode: 500, message })
    for (const history of [{ size: -1 }, { size: 1.5 }, { maxAge: -1 }, { maxAge: '1' }, { maxBytes: 1 }]) t.throws(() => withWrong(defineTopic, 'a', { history }), { code: 'SSE_ERR_OPTION' })
    t.doesNotThrow(() => defineTopic('a', { history: { size: 0, maxAge: 0.5 }, events: { a: () => {}, b: {} } }))
    t.throws(() => withWrong(orders.from, { id: 1 }), { code: 'SSE_ERR_OPTION', message: 'The option "from" of the topic "order:{id}" takes a function, got object' })
    t.end()
  })

  t.test('the file of defineTopic can be bundled for a page, because it imports nothing that needs Node', async (t) => {
    const entry = fileURLToPath(new URL('../../lib/topics/define.ts', import.meta.url))
    const { outputFiles } = await build({ entryPoints: [entry], bundle: true, write: false, platform: 'browser', format: 'iife', globalName: 'topics' })
    t.equal(runInNewContext(`${outputFiles[0]?.text}; topics.defineTopic('order:{id}')({ id: 'a:b' }).name`), 'order:a%3Ab')
  })
  t.end()
})

test('publishing to typed topics', async (t) => {
  t.test('publish() takes a topic, and a list of topics and strings', async (t) => {
    const app = await makeApp(t)
    app.sseRoute<{ Params: { '*': string } }>('/on/*', { topics: ({ params }) => [params['*']] })
    const [order, other, text] = [await follow(t, app, '/on/order:1'), await follow(t, app, '/on/order:2'), await follow(t, app, '/on/text')]
    await app.sse.publish(orders({ id: 1 }), { event: 'shipped', data: { carrier: 'DHL' } })
    await app.sse.publish([orders({ id: 1 }), 'text', orders({ id: 2 }), 'order:2'], { event: 'note', data: 'both' })
    t.match(await take(order, 2), [{ event: 'shipped', data: '{"carrier":"DHL"}' }, { event: 'note', data: 'both' }])
    t.match(await take(other, 1), [{ event: 'note', data: 'both' }])
    t.match(await take(text, 1), [{ event: 'note', data: 'both' }])
  })

  t.test('the schema of the event serializes the data, whatever libraries and compilers the app uses', async (t) => {
    const secret = JSON.parse('{ "carrier": "DHL", "secret": 1 }')
    const json = defineTopic('json', { events: { shipped: { type: 'object', properties: { carrier: { type: 'string' } } }, gone: { type: 'null' } } })
    const box1 = defineTopic('box1', { events: { shipped: Type1.Object({ carrier: Type1.String() }) } })
    const zod = defineTopic('zod', { events: { shipped: z.object({ carrier: z.string() }) } })
    const { app, published } = await makeRecordingApp(t)
    const { app: zodApp, published: zodPublished } = await makeRecordingApp(t)
    zodApp.setSerializerCompiler(serializerCompiler)
    await app.sse.publish(orders({ id: 1 }), { event: 'shipped', data: secret })
    await app.sse.publish(json(), { event: 'shipped', data: secret, retry: 5 })
    await app.sse.publish(box1(), { event: 'shipped', data: secret })
    await zodApp.sse.publish(zod(), { event: 'shipped', data: secret })
    const frame = 'event: shipped\ndata: {"carrier":"DHL"}\n\n'
    t.strictSame(published.map(({ frame }) => frame), [frame, frame.replace('\n\n', '\nretry: 5\n\n'), frame])
    t.strictSame(zodPublished.map(({ frame }) => frame), [frame])
  })

  t.test('schemas are compiled once for each app and definition, with the schemas of addSchema', async (t) => {
    const parcels = defineTopic('parcel:{id}', { events: { shipped: { $ref: 'parcel#' } } })
    const { app, published } = await makeRecordingApp(t)
    app.addSchema({ $id: 'parcel', type: 'object', properties: { carrier: { type: 'string' } } })
    for (const id of [1, 2]) await app.sse.publish(parcels({ id }), { event: 'shipped', data: { carrier: 'DHL', secret: 1 } })
    t.strictSame(published.map(({ frame }) => frame), Array(2).fill('event: shipped\ndata: {"carrier":"DHL"}\n\n'))
    const root = Fastify()
    t.teardown(() => root.close())
    root.addSchema({ $id: 'parcel', type: 'object', properties: { carrier: { type: 'string' } } })
    await root.register(async (child) => {
      await child.register(sse)
      child.sseRoute('/:id', { topics: [parcels], rewind: 1 })
      await child.sse.publish(parcels({ id: 1 }), { event: 'shipped', data: { carrier: 'DHL', secret: 1 } })
    })
    t.strictSame(await takeData(await follow(t, root, '/1'), 1), ['{"carrier":"DHL"}'], 'also if the plugin is registered in a child')
    const other = await makeApp(t)
    const compiled: string[] = []
    other.setSerializerCompiler(({ method, url }) => {
      compiled.push(`${method} ${url}`)
      return JSON.stringify
    })
    for (const id of [1, 2, 3]) await other.sse.publish([parcels({ id }), parcels({ id: 9 })], { event: 'shipped', data: {} })
    t.strictSame(compiled, ['topic parcel:{id}'])
  })

  t.test('a topic without declared events takes any event, with the serializer of the plugin', async (t) => {
    const { app, published } = await makeRecordingApp(t, { serializer: () => '"own"' })
    await app.sse.publish(rooms({ tenant: 'a', room: 1 }), { event: 'any', data: {} })
    await app.sse.publish([rooms({ tenant: 'a', room: 1 }), news()], { event: 'headline', data: 'text' })
    t.match(published, [{ names: ['a/room/1'], frame: 'event: any\ndata: "own"\n\n' }, { names: ['a/room/1', 'news'], frame: 'event: headline\ndata: text\n\n' }])
  })

  t.test('an event that the definition does not declare is SSE_ERR_UNKNOWN_EVENT, and is not published', async (t) => {
    const { app, published } = await makeRecordingApp(t)
    const publish = (topics: unknown, payload: unknown) => withWrong(app.sse.publish.bind(app.sse), topics, payload)
    const message = (name: string) => `The event "${name}" is not declared in the events of the topic "order:{id}", which holds shipped, note`
    await t.rejects(async () => publish(orders({ id: 1 }), { event: 'shippd', data: {} }), { code: 'SSE_ERR_UNKNOWN_EVENT', message: message('shippd') })
    await t.rejects(async () => publish(orders({ id: 1 }), 'text'), { code: 'SSE_ERR_UNKNOWN_EVENT', message: message('message') })
    await t.rejects(async () => publish(['a', news(), orders({ id: 1 })], { event: 'headline', data: 'x' }), { code: 'SSE_ERR_UNKNOWN_EVENT', message: message('headline') })
    await t.rejects(async () => publish(orders({ id: 1 }), { event: 'note', data: 7 }), { code: 'SSE_ERR_SERIALIZATION' })
    await t.rejects(async () => publish(orders, { event: 'note', data: 'x' }), { code: 'SSE_ERR_TOPIC', message: /got a function$/ })
    await t.rejects(async () => publish([orders], { event: 'note', data: 'x' }), { code: 'SSE_ERR_TOPIC' })
    t.strictSame(published, [])
  })

  t.test('an event for topics whose schemas give different texts is SSE_ERR_SERIALIZATION', async (t) => {
    const { app, published } = await makeRecordingApp(t)
    const parcels = defineTopic('parcels', { events: { shipped: Type.Object({ carrier: Type.String(), at: Type.Number() }), note: Type.String() } })
    await t.rejects(app.sse.publish([orders({ id: 1 }), parcels()], { event: 'shipped', data: { carrier: 'DHL', at: 1 } }),
      { code: 'SSE_ERR_SERIALIZATION', message: /event "shipped" cannot be serialized: the schemas of its topics give different texts, so that it has to be published to each of them$/ })
    await app.sse.publish([orders({ id: 1 }), parcels()], { event: 'note', data: 'same' })
    t.match(published, [{ names: ['order:1', 'parcels'], frame: 'event: note\ndata: same\n\n' }])
  })

  t.test('a schema that does not compile is SSE_ERR_SCHEMA with the pattern of the topic', async (t) => {
    const app = await makeApp(t)
    const broken = defineTopic('broken:{id}', { events: { a: { type: 'nope' } } })
    await t.rejects(app.sse.publish(broken({ id: 1 }), { event: 'a', data: 1 }), { code: 'SSE_ERR_SCHEMA', message: /^The schema of event "a" of topic broken:\{id\} cannot be compiled/ })
  })

  t.test('the limits of a definition apply to its topics, and the plugin has the other values', async (t) => {
    const { app, published } = await makeRecordingApp(t, { history: { size: 5, maxAge: 70 } })
    const [size, age, both] = [defineTopic('size', { history: { size: 1 } }), defineTopic('age', { history: { maxAge: 0 } }), defineTopic('both', { history: { size: 0, maxAge: 9 } })]
    await app.sse.publish(size(), 'a')
    await app.sse.publish([age(), 'text', both(), rooms({ tenant: 'a', room: 1 })], 'a')
    await app.sse.publish(rooms({ tenant: 'a', room: 1 }), 'a')
    await app.sse.publish('text', 'a')
    t.strictSame(published.map(({ limits }) => limits), [[{ size: 1, maxAge: 70 }], [{ size: 5, maxAge: 0 }, null, { size: 0, maxAge: 9 }, null], null, null])
  })

  t.test('a topic keeps as many events as its definition says', async (t) => {
    const app = await makeApp(t)
    const last = defineTopic('last:{id}', { history: { size: 1 } })
    app.sseRoute({ url: '/:id', topics: [last, 'all'], rewind: 'all' })
    for (const data of ['1', '2', '3']) await app.sse.publish([last({ id: 'a' })], data)
    for (const data of ['4', '5']) await app.sse.publish('all', data)
    t.strictSame(await takeData(await follow(t, app, '/a'), 3), ['3', '4', '5'])
  })

  t.test('streams and app.sse.unsubscribe take typed topics', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', {
      clientId: () => 'ann',
      topics: [],
      onConnect: (_request, stream) => {
        stream.subscribe(orders({ id: 1 }), orders({ id: 2 }), 'text')
        stream.unsubscribe(orders({ id: 1 }))
      }
    })
    await follow(t, app, '/')
    const [stream] = app.sse.streams.values()
    t.strictSame([...stream?.topics ?? []], ['order:2', 'text'])
    await app.sse.unsubscribe('ann', orders({ id: 2 }))
    await until('the topic to be removed', () => stream?.topics.size === 1)
    t.strictSame([...stream?.topics ?? []], ['text'])
  })
})

test('typed topics of a route', async (t) => {
  t.test('a definition takes its placeholders from the parameters of the URL', async (t) => {
    const app = await makeApp(t)
    await app.register(async (child) => {
      child.sseRoute({ url: '/room/:room', topics: [rooms] })
    }, { prefix: '/:tenant' })
    app.sseRoute({ url: '/orders/:id', schema: { params: Type.Object({ id: Type.Integer() }) }, topics: [orders, news] })
    app.sseRoute('/files/:id.json', { topics: [orders] })
    const order = await follow(t, app, '/orders/42')
    const room = await follow(t, app, '/acme/room/a%2Fb%3Ac')
    const file = await follow(t, app, '/files/42.json')
    await app.sse.publish(orders({ id: 42 }), { event: 'note', data: 'order' })
    await app.sse.publish(news(), { event: 'headline', data: 'news' })
    await app.sse.publish(rooms({ tenant: 'acme', room: 'a/b:c' }), 'room')
    t.strictSame(await takeData(order, 2), ['order', 'news'])
    t.strictSame(await takeData(file, 1), ['order'])
    t.strictSame(await takeData(room, 1), ['room'])
    for (const url of ['/orders/:id', '/orders/:id']) t.equal((await app.inject(url.replace(':id', 'x'))).statusCode, 400)
  })

  t.test('`from` takes the values from the request, at once or by a promise', async (t) => {
    const app = await makeApp(t)
    const idIn = (name: string) => ({ headers }: { headers: Record<string, unknown> }) => ({ id: String(headers[name]) })
    app.sseRoute({ url: '/', topics: [orders.from(idIn('a')), orders.from(async (request) => idIn('b')(request)), 'text', orders.from(async (request) => idIn('c')(request)), orders({ id: 4 })] })
    app.sseRoute({ url: '/sync', topics: [orders.from(idIn('a')), 'text'] })
    await follow(t, app, '/', { a: '1', b: '2', c: '3' })
    const [stream] = app.sse.streams.values()
    t.strictSame([...stream?.topics ?? []], ['order:1', 'order:2', 'text', 'order:3', 'order:4'])
    await follow(t, app, '/sync', { a: 'x' })
    const [, second] = app.sse.streams.values()
    t.strictSame([...second?.topics ?? []], ['order:x', 'text'])
  })

  t.test('a function may return typed topics of all kinds, or a promise of them', async (t) => {
    const app = await makeApp(t)
    const topics = [orders, news(), orders.from(async () => ({ id: 'from' })), 'text']
    app.sseRoute('/now/:id', { topics: () => topics })
    app.sseRoute('/later/:id', { topics: async () => topics })
    for (const url of ['/now/1', '/later/1']) await follow(t, app, url)
    for (const stream of app.sse.streams.values()) t.strictSame([...stream.topics], ['order:1', 'news', 'order:from', 'text'])
    t.equal(app.sse.streams.size, 2)
  })

  t.test('a request whose value is missing, or whose `from` fails, gets an error, and no rejection is unhandled', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/empty/:id', { topics: [orders] })
    app.sseRoute('/sync', { topics: [orders.from(() => { throw new Error('sync') })] })
    app.sseRoute('/async', { topics: [orders.from(async () => { throw new Error('async') }), orders.from(() => { throw new Error('never called') })] })
    app.sseRoute('/later', { topics: [orders.from(async () => ({ id: '' }))] })
    app.sseRoute('/function', { topics: () => [orders] })
    app.sseRoute('/wrong', { topics: async () => JSON.parse('[1]') })
    t.match((await app.inject('/empty/')).json(), { statusCode: 500, code: 'SSE_ERR_TOPIC', message: /got ""$/ })
    t.match((await app.inject('/sync')).json(), { statusCode: 500, message: 'sync' })
    t.match((await app.inject('/async')).json(), { statusCode: 500, message: 'async' })
    for (const url of ['/later', '/function', '/wrong']) t.match((await app.inject(url)).json(), { statusCode: 500, code: 'SSE_ERR_TOPIC' }, url)
  })

  t.test('wrong typed topics of a route fail at sseRoute', async (t) => {
    const app = await makeApp(t)
    const route = (options: object) => () => withWrong(app.sseRoute.bind(app), { url: '/', ...options })
    const missing = { code: 'SSE_ERR_ROUTE', message: 'The SSE route GET /: its url has no parameter ":id" for the topic "order:{id}"; "from" of the topic takes a function that returns the value' }
    t.throws(route({ topics: [orders] }), missing)
    for (const url of ['/:ID', '/::id', '/id', '/:id2']) t.throws(route({ url, topics: ['a', orders] }), { code: 'SSE_ERR_ROUTE' }, url)
    for (const url of ['/:id?', '/:id(^\\d+$)', '/a-:id-:b', '/::x/:id']) t.doesNotThrow(route({ url, topics: [orders] }), url)
    for (const topics of [orders, orders({ id: 1 }), orders.from(() => ({ id: 1 })), [() => []], [{ name: 'order:42' }]]) t.throws(route({ topics }), { code: 'SSE_ERR_OPTION', message: /^The option "topics" takes/ })
    await app.register(async (child) => { t.doesNotThrow(() => child.sseRoute('/x', { topics: [orders] })) }, { prefix: '/a/:id' })
  })

  t.test('a route sends the events of its `events` and of its typed topics, and no others', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/both/:id', { topics: [orders, news()], events: { snapshot: Type.Object({ items: Type.Array(Type.String()) }) }, onConnect: sendAll })
    app.sseRoute('/topics/:id', { topics: [orders.from(() => ({ id: 1 })), news, 'text'], onConnect: sendAll })
    app.sseRoute('/any/:id', { topics: [rooms({ tenant: 'a', room: 1 }), 'text'], onConnect: sendAll })
    const odd = defineTopic('odd', { events: JSON.parse('{ "__proto__": { "type": "string" } }') })
    app.sseRoute('/odd', { topics: [odd, news], source: () => JSON.parse('[{ "event": "__proto__", "data": "x" }]') })
    app.sseRoute('/end/:id', { topics: [orders], source: () => [{ event: 'note', data: 'a' }], end: { event: 'note', data: 'over' } })
    const failed = new Map<string, string[]>()
    async function sendAll (request: { url: string }, stream: { send (payload: unknown): Promise<boolean> }) {
      const errors: string[] = []
      failed.set(request.url, errors)
      for (const [event, data] of [['snapshot', { items: ['a'] }], ['shipped', { carrier: 'DHL', secret: 1 }], ['headline', 'text'], ['nope', 1]]) {
        await stream.send({ event, data }).catch((error) => { errors.push(error.message) })
      }
    }
    const both = await follow(t, app, '/both/1')
    t.match(await take(both, 3), [{ event: 'snapshot', data: '{"items":["a"]}' }, { event: 'shipped', data: '{"carrier":"DHL"}' }, { event: 'headline', data: 'text' }])
    t.strictSame(failed.get('/both/1'), ['The event "nope" is not declared in the route\'s "events", which holds shipped, note, headline, snapshot'])
    t.match(await take(await follow(t, app, '/topics/1'), 2), [{ event: 'shipped' }, { event: 'headline' }])
    t.equal(failed.get('/topics/1')?.length, 2)
    t.strictSame(await takeData(await follow(t, app, '/any/1'), 4), ['{"items":["a"]}', '{"carrier":"DHL","secret":1}', 'text', '1'])
    t.match((await app.inject('/odd')).body, /event: __proto__\ndata: x\n\n$/)
    t.match((await app.inject('/end/1')).body, /event: note\ndata: a\n\nevent: note\ndata: over\n\n$/)
    t.throws(() => withWrong(app.sseRoute.bind(app), '/x/:id', { topics: [orders], source: () => [], end: { event: 'snapshot' } }), { code: 'SSE_ERR_ROUTE', message: /"end" is an event "snapshot"/ })
  })

  t.test('an event that a route or its topics declare with different schemas is SSE_ERR_ROUTE', async (t) => {
    const app = await makeApp(t)
    const message = /^The SSE route GET \/:id: the topic "order:\{id\}" declares the event "note" with another schema than its "events" or another topic$/
    t.throws(() => app.sseRoute('/:id', { topics: [orders], events: { note: Type.Number() } }), { code: 'SSE_ERR_ROUTE', message })
    const notes = defineTopic('notes', { events: { note: Type.Number() } })
    t.throws(() => app.sseRoute('/:id', { topics: [notes, orders.from(() => ({ id: 1 }))] }), { code: 'SSE_ERR_ROUTE', message })
    t.doesNotThrow(() => app.sseRoute('/:id', { topics: [orders, orders({ id: 1 }), defineTopic('notes', { events: { note: Type.String() } })], events: { note: Type.String() } }))
  })
})
