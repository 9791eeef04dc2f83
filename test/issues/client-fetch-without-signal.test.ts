// Symptom: the connection of the client stays open after its loop was left.
// Cause: the client relied on the signal that it passes to `fetch`, and some replacements of `fetch` ignore it.
import { test } from 'tap'
import { sse } from '../../lib/client/index.js'
import { opens, says, serve } from '../client/server.js'
import { until } from '../helpers/until.js'

/** A fetch of the application that does not pass the signal on. */
const fetchWithoutSignal = (url: string | URL, { method, headers }: RequestInit) => fetch(url, { method, headers })

test('the client closes its connection when the loop is left, even if `fetch` ignores the signal', async (t) => {
  const { url, requests } = await serve(t, opens('data: 1\n\n'))
  for await (const { data } of sse(url, { fetch: fetchWithoutSignal })) if (data === 1) break
  await until('the connection to be closed', () => requests[0]?.socket.destroyed)
  const events = sse(url, { fetch: fetchWithoutSignal })
  await events.next()
  const next = events.next()
  await events.return?.()
  t.strictSame(await next, { done: true, value: undefined })
  await until('the connection to be closed', () => requests[1]?.socket.destroyed)
})

test('a connection that sends no byte is closed after inactivityTimeout, even if `fetch` ignores the signal', async (t) => {
  const { url, requests } = await serve(t, opens(), says(204))
  const codes: unknown[] = []
  t.strictSame(await sse(url, { fetch: fetchWithoutSignal, inactivityTimeout: 30, retry: { delay: 1 }, onRetry: ({ error }) => { codes.push(error?.code) } }).next(), { done: true, value: undefined })
  t.strictSame(codes, ['SSE_ERR_INACTIVITY_TIMEOUT'])
  await until('the connection to be closed', () => requests[0]?.socket.destroyed)
})

test('a response that arrives after the loop was left is not read', async (t) => {
  let answer = () => {}
  const { url, requests } = await serve(t, (response, request) => { answer = () => { opens('data: 1\n\n')(response, request) } })
  const events = sse(url, { fetch: fetchWithoutSignal, onOpen: () => { t.fail('onOpen was called after the loop was left') } })
  const next = events.next()
  await until('the request', () => requests.length === 1)
  const left = events.return?.()
  answer()
  t.match([await next, await left], [{ done: true }, { done: true }])
  await until('the connection to be closed', () => requests[0]?.socket.destroyed)
})
