// Symptom: the client sends hundreds of requests per second.
// Cause: a server that sends "retry: 0" was taken literally, and Node fires a timer with a delay above 2 ** 31 - 1 ms after 1 ms.
import { test } from 'tap'
import { sse, type SSEClientOptions } from '../../lib/client/index.js'
import { dies, ends, opens, says, serve } from '../client/server.js'
import { listen, makeApp } from '../helpers/app.js'

/** Returns the reconnect delays of a client until its loop ends. */
async function delaysOf (url: string, options: SSEClientOptions = {}): Promise<number[]> {
  const delays: number[] = []
  const events = sse(url, { ...options, onRetry: ({ delay }) => { delays.push(delay) } })
  while (!(await events.next()).done);
  return delays
}

test('an inactivityTimeout of Infinity, or above the maximum of a timer, never fires', async (t) => {
  for (const inactivityTimeout of [Infinity, 2 ** 31, 1e300]) {
    const { url, requests } = await serve(t, (response, request) => {
      setTimeout(() => {
        opens()(response, request)
        setTimeout(() => { response.end('data: 1\n\n') }, 30)
      }, 30)
    }, says(204))
    t.strictSame(await delaysOf(url, { inactivityTimeout, retry: { delay: 0 } }), [0], `${inactivityTimeout}`)
    t.equal(requests.length, 2)
  }
})

test('a reconnect delay of Infinity is limited to the maximum of a timer', async (t) => {
  const { url } = await serve(t, dies)
  for (const retry of [{ delay: Infinity, maxDelay: Infinity }, { delay: 1e300, maxDelay: 2 ** 40 }]) {
    const leave = new AbortController()
    let delay = NaN
    const options: SSEClientOptions = {
      retry,
      signal: leave.signal,
      onRetry: (next) => {
        delay = next.delay
        leave.abort()
      }
    }
    await t.rejects(sse(url, options).next(), { name: 'AbortError' })
    t.ok(delay > 1_000 && delay < 2 ** 31, `${delay} ms`)
  }
})

test('the reconnect delay is still a number after thousands of failures', async (t) => {
  let calls = 0
  const fails = async (): Promise<Response> => {
    calls++
    throw new Error('away')
  }
  const delays = new Set<number>()
  await t.rejects(sse('/', { fetch: fails, retry: { delay: 0, maxRetries: 1_100 }, onRetry: ({ delay }) => { delays.add(delay) } }).next(), { code: 'SSE_ERR_CONNECTION' })
  t.strictSame([calls, [...delays]], [1_101, [0]])
})

test('a client waits at least 100 ms before it reconnects, also after retry: 0', async (t) => {
  for (const retry of [0, 1]) {
    const app = await makeApp(t, { retry })
    const times: number[] = []
    app.sseRoute('/', { onRequest: async (_request, reply) => { if (times.push(performance.now()) > 3) return reply.code(204).send() }, source: () => ['"a"'] })
    t.strictSame(await delaysOf(`http://127.0.0.1:${await listen(app)}/`), [100, 100, 100], `retry: ${retry}`)
    for (const [i, time] of times.slice(1).entries()) t.ok(time - (times[i] ?? NaN) >= 98)
  }
})

test('a client uses a retry of more than 100 ms unchanged', async (t) => {
  const { url } = await serve(t, ends('retry: 101\n\n'), says(204))
  t.strictSame(await delaysOf(url), [101])
})
