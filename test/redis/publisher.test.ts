import { Type } from '@sinclair/typebox'
import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { test } from 'tap'
import { defineTopic } from '../../lib/index.js'
import { redisPublisher } from '../../lib/redis/index.js'
import { follow, startApp, until } from './app.js'
import { injectSSE } from '../../lib/testing.js'
import { take } from '../helpers/subscriber.js'
import { testRedis } from '../helpers/redis-server.js'

testRedis('a publisher without Fastify publishes to topics, client ids and all streams, and closes and unsubscribes streams', async (t, server) => {
  const clients = { 'a url': { url: server.url }, 'a client of node-redis': { client: createClient({ url: server.url }) }, 'a client of ioredis': { client: new Redis(server.url, { lazyConnect: true }) } }
  for (const [what, target] of Object.entries(clients)) {
    const key = `by ${what}`
    const { app } = await startApp(t, { url: server.url, key }, { history: { size: 5, maxAge: 60_000 }, clientId: ({ query }) => (query as { user?: string }).user ?? 'nobody' })
    const publisher = redisPublisher({ ...target, key, serializer: (data) => JSON.stringify({ data }) })
    const [ann, bob] = await Promise.all(['ann', 'bob'].map((user) => injectSSE(app, { url: `/on/a,b?user=${user}` })))
    if (ann === undefined || bob === undefined) throw new Error('no streams')
    const ids = [
      await publisher.publish('a', { event: 'x', data: { n: 1 } }),
      await publisher.publish(['b', 'a', 'c'], 'text', { except: 'bob' }),
      await publisher.broadcast({ data: 3 }),
      await publisher.sendTo('bob', 'for bob'),
      await publisher.sendTo('ann', 'for ann')
    ]
    const events = [{ id: ids[0], event: 'x', data: '{"data":{"n":1}}' }, { id: ids[1], event: 'message', data: 'text' }, { id: ids[2], event: 'message', data: '{"data":3}' }]
    t.strictSame(await take(ann, 4), [...events, { id: ids[4], event: 'message', data: 'for ann' }], what)
    t.strictSame(await take(bob, 3), [events[0], events[2], { id: ids[3], event: 'message', data: 'for bob' }])
    await publisher.unsubscribe('ann', 'a')
    const after = [await publisher.publish('a', 'only bob'), await publisher.publish('b', 'both')]
    t.strictSame((await take(ann, 1)).map(({ id }) => id), [after[1]])
    t.strictSame((await take(bob, 2)).map(({ id }) => id), after)
    await publisher.close('bob')
    t.equal(await bob.next(), undefined, 'the stream has ended')
    await until('the other to stay', () => app.sse.streams.size === 1)
    t.strictSame(await take(await follow(app, 'a,b', ids[0]), 4), [events[1], events[2], { id: after[0], event: 'message', data: 'only bob' }, { id: after[1], event: 'message', data: 'both' }], 'replayed')
    for (let i = 0; i < 8; i++) await publisher.publish('many', String(i))
    t.equal(await server.call('XLEN', `{${key}}:topic:many`), 5, 'with the limits of the processes')
    t.ok(Number(await server.call('PTTL', `{${key}}:topic:many`)) <= 60_000)

    await publisher.end()
    await publisher.end()
    await t.rejects(publisher.publish('a', 'x'), { code: 'SSE_ERR_CLOSING' })
    await t.rejects(publisher.close('ann'), { code: 'SSE_ERR_CLOSING' })
    await app.close()
  }
})

testRedis('a publisher checks the event names of typed topics and keeps their limits', async (t, server) => {
  const orders = defineTopic('order:{id}', { events: { shipped: Type.Object({ carrier: Type.String() }) }, history: { size: 2 } })
  const notes = defineTopic('notes', { history: { maxAge: 5_000 } })
  const plain = defineTopic('plain')
  const { app } = await startApp(t, { url: server.url })
  const publisher = redisPublisher({ url: server.url })
  t.teardown(() => publisher.end())
  const stream = await follow(app, 'order:1,notes')
  const ids: string[] = []
  for (let i = 0; i < 4; i++) ids.push(await publisher.publish(orders({ id: 1 }), { event: 'shipped', data: { carrier: `DHL ${i}` } }))
  ids.push(await publisher.publish([notes(), plain(), 'name'], 'text'))
  t.strictSame((await take(stream, 5)).map(({ id }) => id), ids)
  t.equal(await server.call('XLEN', '{sse}:topic:order:1'), 2)
  t.ok(Number(await server.call('PTTL', '{sse}:topic:notes')) <= 5_000)
  t.ok(Number(await server.call('PTTL', '{sse}:topic:plain')) > 5_000)
  // the types refuse both
  const sent = { event: 'sent', data: {} } as unknown as { event: 'shipped', data: { carrier: string } }
  await t.rejects(publisher.publish([orders({ id: 1 }), 'other'], sent), { code: 'SSE_ERR_UNKNOWN_EVENT', message: /"sent".*order:\{id\}.*shipped/ })
})

testRedis('a publisher rejects with the errors of app.sse, and if Redis fails', async (t, server) => {
  const publisher = redisPublisher({ url: server.url, timeout: 1_500 })
  t.teardown(() => publisher.end())
  const unsafe = publisher as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>
  for (const [method, args, code] of [
    ['publish', ['', 'x'], 'SSE_ERR_TOPIC'], ['publish', [[], 'x'], 'SSE_ERR_TOPIC'], ['publish', ['a', 'x', { but: 'ann' }], 'SSE_ERR_OPTION'], ['publish', ['a', {}], 'SSE_ERR_PAYLOAD'],
    ['broadcast', [{ id: '1', data: 'x' }], 'SSE_ERR_CUSTOM_ID'], ['sendTo', ['', 'x'], 'SSE_ERR_CLIENT_ID'], ['close', [], 'SSE_ERR_CLIENT_ID'], ['unsubscribe', ['ann', ''], 'SSE_ERR_TOPIC']
  ] as const) await t.rejects(async () => unsafe[method]?.(...args), { code }, method)
  await server.call('SET', '{sse}:log', 'text')
  await t.rejects(publisher.publish('a', 'x'), { code: 'SSE_ERR_BACKPLANE', cause: { message: /WRONGTYPE/ } })
  server.pause()
  const waiting = publisher.broadcast('x')
  await t.rejects(waiting, { code: 'SSE_ERR_BACKPLANE', message: /no answer within 1500 ms/ })
  const pending = publisher.broadcast('x')
  await publisher.end()
  await t.rejects(pending, { code: 'SSE_ERR_CLOSING' })
  server.resume()
})

test('a publisher that was never used ends, and invalid options are refused', async (t) => {
  const url = 'redis://127.0.0.1:1'
  await redisPublisher({ url }).end()
  const cases: Array<[options: unknown, message: string | RegExp]> = [
    [undefined, 'The option "redisPublisher" takes { url } or { client }, got undefined'], [{}, 'The option "redisPublisher" takes either a url or a client, got neither'],
    [{ url, serializer: 1 }, 'The option "serializer" takes a function, got 1'], [{ url, key: '' }, /"key"/], [{ url, timeout: 0 }, /"timeout"/]
  ]
  for (const [options, message] of cases) t.throws(() => redisPublisher(options as { url: string }), { code: 'SSE_ERR_OPTION', message })
  t.throws(() => redisPublisher({ url, maxLength: 5 } as { url: string }), { code: 'SSE_ERR_UNKNOWN_OPTION', message: 'redisPublisher takes no option "maxLength": it takes url, client, key, serializer, timeout' })
})
