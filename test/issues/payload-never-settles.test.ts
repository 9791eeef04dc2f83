// Symptom: an interval stops without an error, for all clients if it is shared.
// Cause: a payload whose promise never settles blocked the following ticks, because calls never overlap.
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import type { SSERouteOptions } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

const never = () => new Promise<never>(() => {})

test('a payload that never settles ends after payloadTimeout', async (t) => {
  t.test('a payload that exceeds payloadTimeout calls onError, and the following ticks run', async (t) => {
    const app = await makeApp(t)
    const errors: Error[] = []
    const reasons: unknown[] = []
    let calls = 0
    app.sseRoute('/', {
      interval: 10,
      payloadTimeout: 30,
      payload: (_request, _stream, { signal }) => {
        if (++calls !== 2) return String(calls)
        signal.addEventListener('abort', () => { reasons.push((signal.reason as { code: string }).code) })
        return never()
      },
      onError: (error) => { errors.push(error) }
    })
    const stream = await injectSSE(app, { url: '/' })
    for (const data of ['1', '3', '4']) t.match(await stream.next(), { data })
    t.match(errors, [{ code: 'SSE_ERR_PAYLOAD_TIMEOUT', message: /30 ms/ }])
    t.strictSame(reasons, ['SSE_ERR_PAYLOAD_TIMEOUT'])
    stream.close()
  })

  t.test('a shared payload that exceeds payloadTimeout does not block its streams', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, {}, { logger: { level: 'error', stream: { write: (line: string) => { lines.push(line) } } } })
    let calls = 0
    app.sseRoute('/', { interval: 10, shared: true, payloadTimeout: 30, payload: async () => ++calls === 2 ? await never() : String(calls) })
    const streams = [await injectSSE(app, { url: '/' }), await injectSSE(app, { url: '/' })]
    for (const stream of streams) for (const data of ['1', '3', '4']) t.match(await stream.next(), { data })
    t.equal(lines.length, 1)
    t.match(lines[0], /SSE_ERR_PAYLOAD_TIMEOUT/)
    for (const stream of streams) stream.close()
  })

  t.test('a late result after payloadTimeout is ignored, and a late rejection is logged at level debug', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, {}, { logger: { level: 'debug', stream: { write: (line: string) => { lines.push(line) } } } })
    let calls = 0
    app.sseRoute('/', {
      interval: 10,
      payloadTimeout: 20,
      payload: async () => {
        const call = ++calls
        if (call > 2) return `good ${call}`
        await wait(50)
        if (call === 2) throw new Error('late failure')
        return `late ${call}`
      },
      onError: () => {}
    })
    const stream = await injectSSE(app, { url: '/' })
    for (let i = 0; i < 8; i++) t.match((await stream.next())?.data, /^good/)
    await until('the log line', () => lines.some((line) => line.includes('late failure')))
    t.match(lines.find((line) => line.includes('late failure')), /"level":20/)
    stream.close()
  })

  t.test('the signal of a payload is aborted when its stream closes; of a shared payload when the last stream closes', async (t) => {
    const app = await makeApp(t)
    const aborted: string[] = []
    const payload = (name: string): SSERouteOptions['payload'] => (_request, _stream, { signal }) => {
      signal.addEventListener('abort', () => { aborted.push(name) })
      return never()
    }
    app.sseRoute('/own', { interval: 1_000, payload: payload('own') })
    app.sseRoute('/shared', { interval: 1_000, shared: true, payload: payload('shared') })
    const own = await injectSSE(app, { url: '/own' })
    const [first, last] = [await injectSSE(app, { url: '/shared' }), await injectSSE(app, { url: '/shared' })]
    own.close()
    first.close()
    await until('one signal to be aborted', () => aborted.length > 0)
    await until('one stream to remain', () => app.sse.streams.size === 1)
    t.strictSame(aborted, ['own'])
    last.close()
    await until('both signals to be aborted', () => aborted.length > 1)
    t.strictSame(aborted, ['own', 'shared'])
  })

  t.test('payloadTimeout: 0 sets no time limit, and a payload within its time limit is sent', async (t) => {
    const app = await makeApp(t)
    const errors: unknown[] = []
    const onError = (error: Error) => { errors.push(error) }
    app.sseRoute('/off', { interval: 10, payloadTimeout: 0, payload: async () => { await wait(60); return 'x' }, onError })
    app.sseRoute('/prompt', { interval: 10, payloadTimeout: 100, payload: async () => { await wait(5); return 'x' }, onError })
    const [off, prompt] = [await injectSSE(app, { url: '/off' }), await injectSSE(app, { url: '/prompt' })]
    t.match(await off.next(), { data: 'x' })
    for (let i = 0; i < 15; i++) t.match(await prompt.next(), { data: 'x' })
    t.strictSame(errors, [])
    off.close()
    prompt.close()
  })
})
