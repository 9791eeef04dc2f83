import { test } from 'tap'
import { sse, type SSEClientOptions } from '../../lib/client/index.js'
import { dies, ends, opens, says, serve } from '../client/server.js'
import { listen, makeApp } from '../helpers/app.js'

/** Delays that a client reports, up to the end of its loop. */
async function delaysOf (url: string, options: SSEClientOptions = {}): Promise<number[]> {
  const delays: number[] = []
  const events = sse(url, { ...options, onRetry: ({ delay }) => { delays.push(delay) } })
  while (!(await events.next()).done);
  return delays
}

test('an inactivityTimeout of Infinity, or of more than a timer can wait, never fires', async (t) => {
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

test('a delay of Infinity is as long as a timer can wait', async (t) => {
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

test('after thousands of failures the delay is a number still', async (t) => {
  let calls = 0
  const fails = async (): Promise<Response> => {
    calls++
    throw new Error('away')
  }
  const delays = new Set<number>()
  await t.rejects(sse('/', { fetch: fails, retry: { delay: 0, maxRetries: 1_100 }, onRetry: ({ delay }) => { delays.add(delay) } }).next(), { code: 'SSE_ERR_CONNECTION' })
  t.strictSame([calls, [...delays]], [1_101, [0]])
})

test('a server that says retry: 0 is asked again after 100 ms', async (t) => {
  for (const retry of [0, 1]) {
    const app = await makeApp(t, { retry })
    const times: number[] = []
    app.sseRoute('/', { onRequest: async (_request, reply) => { if (times.push(performance.now()) > 3) return reply.code(204).send() }, source: () => ['"a"'] })
    t.strictSame(await delaysOf(`http://127.0.0.1:${await listen(app)}/`), [100, 100, 100], `retry: ${retry}`)
    for (const [i, time] of times.slice(1).entries()) t.ok(time - (times[i] ?? NaN) >= 98)
  }
})

test('a server that asks for more time than that has it', async (t) => {
  const { url } = await serve(t, ends('retry: 101\n\n'), says(204))
  t.strictSame(await delaysOf(url), [101])
})
