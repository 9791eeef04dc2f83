import { mkdtemp, rm } from 'node:fs/promises'
import { once } from 'node:events'
import { get, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyServerOptions } from 'fastify'
import { type Test, test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { makeApp } from '../helpers/app.js'

/** The answers of an app that listens on a unix socket to one request after the other. */
async function statuses (t: Test, maxStreamsPerClient: SSEPluginOptions['maxStreamsPerClient'], server: FastifyServerOptions, headers: readonly OutgoingHttpHeaders[]): Promise<unknown[]> {
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
  t.test('are refused by a limit without a key, and not counted as one', async (t) => {
    t.same(await statuses(t, { max: 1 }, {}, [ann, bob]), ['SSE_ERR_OPTION', 'SSE_ERR_OPTION'])
  })
  t.test('are told apart by a key', async (t) => {
    const key = ({ headers }: { headers: NodeJS.Dict<string | string[]> }) => String(headers['x-user'])
    t.same(await statuses(t, { max: 1, key }, {}, [ann, bob, ann]), [200, 200, 'SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT'])
  })
  t.test('are told apart by X-Forwarded-For where the proxy is trusted', async (t) => {
    t.same(await statuses(t, { max: 1 }, { trustProxy: true }, [ann, bob, ann]), [200, 200, 'SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT'])
  })
})
