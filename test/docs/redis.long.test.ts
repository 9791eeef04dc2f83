import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { listen, open, until } from '../helpers/app.js'
import { RedisServer, SERVERS, testRedis } from '../helpers/redis-server.js'
import { idsOf } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { startNginx, testNginx } from './nginx.js'
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

// testRedis skips the test if there is no Redis
const testBoth = SERVERS.length > 0 ? testNginx : testRedis

testBoth('with the upstream of the page nginx spreads streams over two processes, and a client that reconnects to any of them gets what it missed', async (t) => {
  const [code] = page.codeOf('Share one log', 'ts')
  const [upstream] = page.codeOf('Put the processes behind a load balancer', 'nginx')
  const [server] = pageOf('docs/proxies.md').codeOf('nginx', 'nginx')
  const [one, other] = await startTwo(t, code, await RedisServer.start(t))
  const ports = [await listen(one), await listen(other)] as const
  const configuration = server.replace(/^upstream [^}]*\}\n/, () => upstream.replace('127.0.0.1:3001', `127.0.0.1:${ports[1]}`))
  t.match(configuration, `127.0.0.1:${ports[1]}`)
  const port = await startNginx(t, ports[0], configuration)
  const clients = [await open(t, port, '/'), await open(t, port, '/')]
  await until('a stream in each process', () => one.sse.streams.size === 1 && other.sse.streams.size === 1)
  await one.sse.publish('a', 'first')
  for (const client of clients) {
    await client.until('data: first\n\n')
    client.disconnect()
  }
  await other.sse.publish('a', 'missed')
  const headers = { 'last-event-id': idsOf(clients[0]?.text ?? '').at(-1) }
  for (const client of [await open(t, port, '/', { headers }), await open(t, port, '/', { headers })]) {
    await client.until('data: missed\n\n')
    t.notMatch(client.text, 'event: gap')
  }
})
