// Symptom: the second user behind a proxy gets 429.
// Cause: a connection over a unix socket has no remote address, so that all clients had the same key of maxStreamsPerClient.
import { mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { get, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyServerOptions } from 'fastify'
import { type Test, test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { makeApp } from '../helpers/app.js'

/** Sends one request after the other to an app on a unix socket, and returns the status or error code of each response. */
async function statusesOf (t: Test, maxStreamsPerClient: SSEPluginOptions['maxStreamsPerClient'], server: FastifyServerOptions, headers: readonly OutgoingHttpHeaders[]): Promise<unknown[]> {
  const app = await makeApp(t, { maxStreamsPerClient }, server)
  app.sseRoute('/', { topics: ['a'] })
  const folder = await mkdtemp(join(tmpdir(), 'sse-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const socketPath = join(folder, 'socket')
  await app.listen({ path: socketPath })
  const answers: unknown[] = []
  for (const own of headers) {
    const request = get({ socketPath, path: '/', agent: false, headers: own })
    t.teardown(() => request.destroy())
    const [response] = await once(request, 'response') as [IncomingMessage]
    if (response.statusCode !== 200) {
      response.setEncoding('utf8')
      const [body] = await once(response, 'data')
      answers.push(JSON.parse(body).code)
    } else answers.push(200)
    request.on('error', () => {})
  }
  return answers
}

test('clients over a unix socket, which have no address', async (t) => {
  const [ann, bob] = [{ 'x-forwarded-for': '192.0.2.1', 'x-user': 'ann' }, { 'x-forwarded-for': '192.0.2.2', 'x-user': 'bob' }]
  t.test('a limit without a key refuses clients over a unix socket instead of counting them as one', async (t) => {
    t.same(await statusesOf(t, { max: 1 }, {}, [ann, bob]), ['SSE_ERR_OPTION', 'SSE_ERR_OPTION'])
  })
  t.test('a key distinguishes clients over a unix socket', async (t) => {
    const key = ({ headers }: { headers: NodeJS.Dict<string | string[]> }) => String(headers['x-user'])
    t.same(await statusesOf(t, { max: 1, key }, {}, [ann, bob, ann]), [200, 200, 'SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT'])
  })
  t.test('X-Forwarded-For distinguishes clients over a unix socket when the proxy is trusted', async (t) => {
    t.same(await statusesOf(t, { max: 1 }, { trustProxy: true }, [ann, bob, ann]), [200, 200, 'SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT'])
  })
})
