import Fastify from 'fastify'
import { afterEach, expect, test, vi } from 'vitest'
import sse, { type SSEPluginOptions, type SSERouteOptions } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'

afterEach(() => { vi.useRealTimers() })

/** An app with one route, and a stream of it; vitest's timers are fake from before the stream opens. */
async function setUp (route: Partial<SSERouteOptions>, options: SSEPluginOptions = {}, fakes?: Parameters<typeof vi.useFakeTimers>[0]) {
  const app = Fastify()
  await app.register(sse, options)
  app.sseRoute('/', route)
  await app.ready()
  vi.useFakeTimers(fakes)
  const stream = await injectSSE(app, { url: '/' })
  return { app, stream, close: () => app.close() }
}

for (const [name, fakes] of [['the default list of vitest', undefined], ['a fake setTimeout and Date', { toFake: ['setTimeout', 'clearTimeout', 'Date'] }]] as const) {
  test(`${name} drives an interval`, async () => {
    let calls = 0
    const { stream, close } = await setUp({ interval: 60_000, payload: () => String(++calls) }, {}, fakes && { toFake: [...fakes.toFake] })
    expect(await stream.next()).toMatchObject({ data: '1' })
    vi.advanceTimersByTime(59_999)
    expect(calls).toBe(1)
    vi.advanceTimersByTime(1)
    expect(await stream.next()).toMatchObject({ data: '2' })
    vi.advanceTimersByTime(180_000)
    expect(calls).toBe(5)
    vi.setSystemTime(new Date(2001, 1, 1))
    vi.advanceTimersByTime(60_000)
    expect(calls).toBe(6)
    await close()
  })
}

test('the default list of vitest drives a shared interval, payloadTimeout and deadlines', async () => {
  const errors: Error[] = []
  let calls = 0
  const { app, stream, close } = await setUp({
    interval: 60_000,
    shared: true,
    payload: () => ++calls === 2 ? new Promise<never>(() => {}) : String(calls),
    onError: (error) => { errors.push(error) }
  }, { maxLifetime: 3_600_000, idleTimeout: 600_000 })
  expect(await stream.next()).toMatchObject({ data: '1' })
  await vi.advanceTimersByTimeAsync(89_000)
  expect(errors).toHaveLength(0)
  await vi.advanceTimersByTimeAsync(1_000)
  expect(errors).toMatchObject([{ code: 'SSE_ERR_PAYLOAD_TIMEOUT' }])
  await vi.advanceTimersByTimeAsync(30_000)
  expect(await stream.next()).toMatchObject({ data: '3' })
  await vi.advanceTimersByTimeAsync(4_000_000)
  expect(app.sse.stats().closed.lifetime).toBe(1)
  await close()
})

test('the default list of vitest drives heartbeats', async () => {
  const { app, close } = await setUp({ topics: ['quiet'] }, { heartbeat: 15_000 })
  const before = app.sse.stats().bytes
  await vi.advanceTimersByTimeAsync(15_000)
  const after = app.sse.stats().bytes
  expect(after).toBeGreaterThan(before)
  await vi.advanceTimersByTimeAsync(30_000)
  expect(app.sse.stats().bytes - after).toBe(2 * (after - before))
  await close()
})

test('a source that never waits, and app.close(), go on under the default list of vitest', async () => {
  let items = 0
  const { stream, close } = await setUp({ source: function * () { for (;;) yield String(++items) } })
  for (let i = 1; i < 5_000; i++) await stream.next()
  stream.close()
  await close()
})
