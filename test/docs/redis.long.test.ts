import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { testRedis, type RedisServer } from '../helpers/redis-server.js'
import { pageOf } from './document.js'
import { runApp } from './run.js'

const page = pageOf('docs/redis.md')
const ADDRESS = 'redis://127.0.0.1:6379'

/** Runs a block of the page twice, as two processes do. */
async function startTwo (t: Test, code: string, server: RedisServer): Promise<[FastifyInstance, FastifyInstance]> {
  const apps: FastifyInstance[] = []
  for (let i = 0; i < 2; i++) {
    const app = await runApp(t, code.replace(ADDRESS, server.url))
    app.sseRoute('/', { topics: ['a'] })
    apps.push(app)
  }
  return apps as [FastifyInstance, FastifyInstance]
}

testRedis('an event of one process is sent by another, also to a client that reconnects', async (t, server) => {
  const [code] = page.codeOf('Share one log', 'ts')
  const [one, other] = await startTwo(t, code, server)
  const stream = await injectSSE(one, { url: '/' })
  const first = await other.sse.publish('a', 'first')
  t.strictSame(await stream.next(), { id: first, event: 'message', data: 'first' })
  stream.close()
  const second = await one.sse.publish('a', 'second')
  const back = await injectSSE(other, { url: '/', headers: { 'last-event-id': first } })
  t.strictSame(await back.next(), { id: second, event: 'message', data: 'second' })
  back.close()
})

testRedis('a client of ioredis is duplicated, and is not used itself', async (t, server) => {
  const [code] = page.codeOf('`client`', 'ts')
  const [one, other] = await startTwo(t, `${code}\napp.decorate('given', client)`, server)
  const stream = await injectSSE(one, { url: '/' })
  const id = await other.sse.publish('a', 'x')
  t.strictSame(await stream.next(), { id, event: 'message', data: 'x' })
  stream.close()
  t.match(one, { given: { status: 'wait' } }, 'it has not connected')
})
