// Symptom: an interval or a timeout of a stream never fires under fake timers.
// Cause: fake timers replace setTimeout and Date, and the plugin compared with the real performance.now().
import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type { SSEPluginOptions, SSERouteOptions } from '../../lib/index.js'
import { type Client, listen, makeApp, open, until } from '../helpers/app.js'

type Apis = NonNullable<Parameters<typeof mock.timers.enable>[0]>['apis']

/** Creates an app with a route on `/` and a function that opens a stream of it. Time is faked until the test ends. */
async function createApp (t: Test, route: Partial<SSERouteOptions>, options: SSEPluginOptions = {}, apis: Apis = ['setTimeout', 'setInterval', 'Date']) {
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

/** Advances the fake time by `ms` per step, and waits after each step until the client has so many events. */
async function tick (client: Client, part: string, steps: number[], ms: number): Promise<void> {
  for (const times of steps) {
    mock.timers.tick(ms)
    await client.until(part, times)
  }
}

test('fake timers of node:test drive an interval', async (t) => {
  t.test('with fake timers, an interval ticks when its time has come and not before', async (t) => {
    let calls = 0
    const { connect } = await createApp(t, { interval: 60_000, payload: () => `call ${++calls}` })
    const client = await connect()
    await client.until('data: call 1\n')
    mock.timers.tick(59_999)
    t.equal(calls, 1)
    mock.timers.tick(1)
    t.equal(calls, 2)
    await tick(client, 'data: call', [3, 4, 5], 60_000)
    t.equal(calls, 5)
  })

  t.test('with fake timers, one long step causes all ticks within it', async (t) => {
    let calls = 0
    const { connect } = await createApp(t, { interval: 1_000, payload: () => `call ${++calls}` })
    const client = await connect()
    await client.until('data: call 1\n')
    mock.timers.tick(5_000)
    t.equal(calls, 6)
  })

  t.test('with fake timers, real time does not count for an interval', async (t) => {
    let calls = 0
    const { app, connect } = await createApp(t, { interval: 10, payload: () => `call ${++calls}` })
    const client = await connect()
    await client.until('data: call 1\n')
    for (let call = 2; call < 6; call++) {
      const end = performance.now() + 25
      while (performance.now() < end) { /* blocks for two and a half intervals of real time */ }
      mock.timers.tick(10)
      t.equal(calls, call)
    }
    t.equal(app.sse.stats().skipped, 0)
  })

  t.test('an interval is driven by fake timers also if only setTimeout is faked', async (t) => {
    let calls = 0
    const { connect } = await createApp(t, { interval: 60_000, payload: () => `call ${++calls}` }, {}, ['setTimeout'])
    const client = await connect()
    await client.until('data: call 1\n')
    await tick(client, 'data: call', [2, 3, 4], 60_000)
    t.equal(calls, 4)
  })

  t.test('with fake timers, a shared interval ticks for all its streams', async (t) => {
    let calls = 0
    const { connect } = await createApp(t, { interval: 60_000, shared: true, payload: () => `call ${++calls}` })
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

  t.test('with fake timers, heartbeats are sent after their interval', async (t) => {
    const { connect } = await createApp(t, { onConnect }, { heartbeat: 15_000 })
    const client = await connect()
    await client.until('data: hello\n')
    t.notMatch(client.text, /^:/m)
    await tick(client, '\n:', [1, 2, 3], 15_000)
  })

  t.test('with fake timers, idleTimeout closes a stream after its last event', async (t) => {
    const { app, connect } = await createApp(t, { onConnect }, { idleTimeout: 60_000 })
    const client = await connect()
    await client.until('data: hello\n')
    mock.timers.tick(50_000)
    await app.sse.broadcast('again')
    await client.until('data: again\n')
    mock.timers.tick(50_000)
    t.equal(app.sse.streams.size, 1)
    mock.timers.tick(12_000)
    t.ok(await client.finished())
    t.equal(app.sse.stats().closed.idle, 1)
  })

  t.test('with fake timers, maxLifetime closes a stream', async (t) => {
    const { app, connect } = await createApp(t, { onConnect }, { maxLifetime: 3_600_000 })
    const client = await connect()
    await client.until('data: hello\n')
    mock.timers.tick(3_200_000)
    t.equal(app.sse.streams.size, 1)
    mock.timers.tick(800_000)
    t.ok(await client.finished())
    t.equal(app.sse.stats().closed.lifetime, 1)
  })

  t.test('with fake timers, payloadTimeout ends a call', async (t) => {
    const errors: Error[] = []
    let calls = 0
    const { connect } = await createApp(t, {
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
    await until('the timeout error', () => errors.length === 1)
    t.match(errors, [{ code: 'SSE_ERR_PAYLOAD_TIMEOUT' }])
  })

  t.test('with fake timers, flushInterval delays events', async (t) => {
    const { app, connect } = await createApp(t, { onConnect }, { flushInterval: 100 })
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
  const { app } = await createApp(t, { topics: ['a'] }, { history: { maxAge: 60_000 } })
  const ids = [await app.sse.publish('a', 'first'), await app.sse.publish('a', 'second')]
  for (const [ms, text] of [[59_000, 'data: second'], [2_000, 'event: gap']] as const) {
    mock.timers.tick(ms)
    const client = await open(t, portOf(app), `/?lastEventId=${ids[0]}`)
    await client.until(text)
    client.disconnect()
  }
})

test('an open stream continues when fake timers are enabled and reset', async (t) => {
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
    await until('the real timer to fire', () => calls > before)
    for (let call = calls + 1; call < before + 4; call++) {
      mock.timers.tick(20)
      t.equal(calls, call)
    }
    mock.timers.reset()
    // one stream from before the reset, and one opened after it
    const [old, other] = [calls, await open(t, portOf(app), '/')]
    await other.until('data: call', 3)
    await until('the first stream to continue', () => calls > old + 6)
    other.disconnect()
    await until('the second stream to be closed', () => app.sse.stats().active === 1)
    // the timer that is set now is that of the first stream
    const left = calls
    await until('the first stream to tick alone', () => calls > left + 1)
  }
})

test('app.close() resolves under fake timers', async (t) => {
  const { app, connect } = await createApp(t, { source: async function * () { yield 'first'; await new Promise(() => {}) } }, {}, undefined)
  const client = await connect()
  await client.until('data: first\n')
  await app.close()
  t.ok(await client.finished())
})
