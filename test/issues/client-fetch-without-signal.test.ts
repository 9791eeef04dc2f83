import { test } from 'tap'
import { sse } from '../../lib/client/index.js'
import { opens, says, serve } from '../client/server.js'
import { until } from '../helpers/until.js'

/** A fetch of the application's that passes the signal on to nothing. */
const deaf = (url: string | URL, { method, headers }: RequestInit) => fetch(url, { method, headers })

test('the client closes its connection when the loop is left, though `fetch` ignores the signal', async (t) => {
  const { url, requests } = await serve(t, opens('data: 1\n\n'))
  for await (const { data } of sse(url, { fetch: deaf })) if (data === 1) break
  await until('the connection is gone', () => requests[0]?.socket.destroyed)
  const events = sse(url, { fetch: deaf })
  await events.next()
  const next = events.next()
  await events.return?.()
  t.strictSame(await next, { done: true, value: undefined })
  await until('the connection is gone', () => requests[1]?.socket.destroyed)
})

test('a connection without a byte counts as dead, though `fetch` ignores the signal', async (t) => {
  const { url, requests } = await serve(t, opens(), says(204))
  const codes: unknown[] = []
  t.strictSame(await sse(url, { fetch: deaf, inactivityTimeout: 30, retry: { delay: 1 }, onRetry: ({ error }) => { codes.push(error?.code) } }).next(), { done: true, value: undefined })
  t.strictSame(codes, ['SSE_ERR_INACTIVITY_TIMEOUT'])
  await until('the connection is gone', () => requests[0]?.socket.destroyed)
})

test('a response that comes after the loop was left is not read', async (t) => {
  let answer = () => {}
  const { url, requests } = await serve(t, (response, request) => { answer = () => { opens('data: 1\n\n')(response, request) } })
  const events = sse(url, { fetch: deaf, onOpen: () => { t.fail('it was left') } })
  const next = events.next()
  await until('it is asked', () => requests.length === 1)
  const left = events.return?.()
  answer()
  t.match([await next, await left], [{ done: true }, { done: true }])
  await until('the connection is gone', () => requests[0]?.socket.destroyed)
})
