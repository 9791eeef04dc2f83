import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type { SSEPluginOptions, SSERouteOptions } from '../../lib/index.js'
import { type Client, listen, makeApp, open, until } from '../helpers/app.js'

type Apis = NonNullable<Parameters<typeof mock.timers.enable>[0]>['apis']

/** An app with a route on `/`, and a function that opens a stream of it; time is faked until the test ends. */
async function setUp (t: Test, route: Partial<SSERouteOptions>, options: SSEPluginOptions = {}, apis: Apis = ['setTimeout', 'setInterval', 'Date']) {
  const app = await makeApp(t, options)
  app.sseRoute('/', route)
  const port = await listen(app)
  mock.timers.enable({ apis })
  t.teardown(() => mock.timers.reset())
  return { app, connect: () => open(t, port, '/') }
}

function portOf (app: FastifyInstance): number {
  return (app.server.address() as AddressInfo).port
}

/** Fakes `ms` in steps, and waits after each until the client has so many events. */
async function tick (client: Client, part: string, steps: number[], ms: number): Promise<void> {
  for (const times of steps) {
    mock.timers.tick(ms)
    await client.until(part, times)
  }
}

test('fake timers of node:test drive an interval', async (t) => {
  t.test('each tick comes with its time, and none sooner', async (t) => {
    let calls = 0
    const { connect } = await setUp(t, { interval: 60_000, payload: () => `call ${++calls}` })
    const client = await connect()
    await client.until('data: call 1\n')
    mock.timers.tick(59_999)
    t.equal(calls, 1)
    mock.timers.tick(1)
    t.equal(calls, 2)
    await tick(client, 'data: call', [3, 4, 5], 60_000)
    t.equal(calls, 5)
  })

  t.test('several ticks come with one long step', async (t) => {
    let calls = 0
    const { connect } = await setUp(t, { interval: 1_000, payload: () => `call ${++calls}` })
    const client = await connect()
    await client.until('data: call 1\n')
    mock.timers.tick(5_000)
    t.equal(calls, 6)
  })

  t.test('real time that passes between does not count', async (t) => {
    let calls = 0
    const { app, connect } = await setUp(t, { interval: 10, payload: () => `call ${++calls}` })
    const client = await connect()
    await client.until('data: call 1\n')
    for (let call = 2; call < 6; call++) {
      const end = performance.now() + 25
      while (performance.now() < end) { /* two intervals and a half of real time */ }
      mock.timers.tick(10)
      t.equal(calls, call)
    }
    t.equal(app.sse.stats().skipped, 0)
  })

  t.test('also where only setTimeout is faked', async (t) => {
    let calls = 0
    const { connect } = await setUp(t, { interval: 60_000, payload: () => `call ${++calls}` }, {}, ['setTimeout'])
    const client = await connect()
    await client.until('data: call 1\n')
    await tick(client, 'data: call', [2, 3, 4], 60_000)
    t.equal(calls, 4)
  })

  t.test('also a shared one', async (t) => {
    let calls = 0
    const { connect } = await setUp(t, { interval: 60_000, shared: true, payload: () => `call ${++calls}` })
    const clients = [await connect(), await connect()]
    for (const client of clients) await client.until('data: call 1\n')
    for (let call = 2; call < 5; call++) {
      mock.timers.tick(60_000)
      for (const client of clients) await client.until(`data: call ${call}\n`)
    }
    t.equal(calls, 4)
  })
})

test('fake timers of node:test drive the times of a stream', async (t) => {
  const onConnect: SSERouteOptions['onConnect'] = (_request, stream) => stream.send('hello')

  t.test('heartbeats', async (t) => {
    const { connect } = await setUp(t, { onConnect }, { heartbeat: 15_000 })
    const client = await connect()
    await client.until('data: hello\n')
    t.notMatch(client.text, /^:/m)
    await tick(client, '\n:', [1, 2, 3], 15_000)
  })

  t.test('idleTimeout, after the last event', async (t) => {
    const { app, connect } = await setUp(t, { onConnect }, { idleTimeout: 60_000 })
    const client = await connect()
    await client.until('data: hello\n')
    mock.timers.tick(50_000)
    await app.sse.broadcast('again')
    await client.until('data: again\n')
    mock.timers.tick(50_000)
    t.equal(app.sse.streams.size, 1)
    mock.timers.tick(12_000)
    t.ok(await client.over())
    t.equal(app.sse.stats().closed.idle, 1)
  })

  t.test('maxLifetime', async (t) => {
    const { app, connect } = await setUp(t, { onConnect }, { maxLifetime: 3_600_000 })
    const client = await connect()
    await client.until('data: hello\n')
    mock.timers.tick(3_200_000)
    t.equal(app.sse.streams.size, 1)
    mock.timers.tick(800_000)
    t.ok(await client.over())
    t.equal(app.sse.stats().closed.lifetime, 1)
  })

  t.test('payloadTimeout', async (t) => {
    const errors: Error[] = []
    let calls = 0
    const { connect } = await setUp(t, {
      interval: 60_000,
      payload: () => ++calls > 1 ? new Promise<never>(() => {}) : 'first',
      onError: (error) => { errors.push(error) }
    })
    const client = await connect()
    await client.until('data: first\n')
    mock.timers.tick(60_000)
    mock.timers.tick(29_999)
    t.equal(errors.length, 0)
    mock.timers.tick(1)
    await until('it is given up', () => errors.length === 1)
    t.match(errors, [{ code: 'SSE_ERR_PAYLOAD_TIMEOUT' }])
  })

  t.test('flushInterval', async (t) => {
    const { app, connect } = await setUp(t, { onConnect }, { flushInterval: 100 })
    const client = await connect()
    mock.timers.tick(100)
    await client.until('data: hello\n')
    await app.sse.broadcast('later')
    mock.timers.tick(99)
    t.notMatch(client.text, /later/)
    mock.timers.tick(1)
    await client.until('data: later\n')
  })
})

test('fake timers of node:test drive history.maxAge', async (t) => {
  const { app } = await setUp(t, { topics: ['a'] }, { history: { maxAge: 60_000 } })
  const ids = [await app.sse.publish('a', 'first'), await app.sse.publish('a', 'second')]
  for (const [ms, text] of [[59_000, 'data: second'], [2_000, 'event: gap']] as const) {
    mock.timers.tick(ms)
    const client = await open(t, portOf(app), `/?lastEventId=${ids[0]}`)
    await client.until(text)
    client.leave()
  }
})

test('a stream goes on through the beginning and the end of fake timers', async (t) => {
  let calls = 0
  const app = await makeApp(t)
  app.sseRoute('/', { interval: 20, payload: () => `call ${++calls}` })
  const client = await open(t, await listen(app), '/')
  t.teardown(() => mock.timers.reset())
  await client.until('data: call', 3)
  for (const now of [0, Date.now(), 0]) {
    mock.timers.enable({ apis: ['setTimeout', 'Date'], now })
    // the real timer that was set before fires once more
    const before = calls
    await until('it has fired', () => calls > before)
    for (let call = calls + 1; call < before + 4; call++) {
      mock.timers.tick(20)
      t.equal(calls, call)
    }
    mock.timers.reset()
    // a stream of before, and one that begins now
    const [old, other] = [calls, await open(t, portOf(app), '/')]
    await other.until('data: call', 3)
    await until('the old one goes on', () => calls > old + 6)
    other.leave()
    await until('it has left', () => app.sse.stats().active === 1)
    // the timer that is set is the old one's again
    const left = calls
    await until('the old one ticks alone', () => calls > left + 1)
  }
})

test('app.close() ends under fake timers', async (t) => {
  const { app, connect } = await setUp(t, { source: async function * () { yield 'first'; await new Promise(() => {}) } }, {}, undefined)
  const client = await connect()
  await client.until('data: first\n')
  await app.close()
  t.ok(await client.over())
})
