import cors from '@fastify/cors'
import type { AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import sse from '../../lib/index.js'
import { redisBackplane } from '../../lib/redis/index.js'
import { RedisServer } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'
import type { Client, Received } from './clients.js'

/** Asserts that clients of a topic read each event once, while the server closes and breaks streams and restarts. */
export async function missNothing (t: Test, clients: Client[]): Promise<void> {
  const { url } = await RedisServer.start(t)
  const start = async (port = 0): Promise<FastifyInstance> => {
    const app = Fastify({ forceCloseConnections: true })
    t.teardown(() => app.close())
    await app.register(cors, { origin: '*' })
    await app.register(sse, { retry: 1, drain: { spread: 50 }, backplane: redisBackplane({ url }) })
    app.sseRoute('/news', { topics: ['news'] })
    await app.listen({ host: '127.0.0.1', port })
    return app
  }
  const [publisher, app] = await Promise.all([start(), start()])
  const { port } = app.server.address() as AddressInfo
  const followed = await Promise.all(clients.map((client) => client.follow(`http://127.0.0.1:${port}/news`)))
  const published: Received[] = []
  const publish = async (...texts: string[]) => {
    for (const data of texts) published.push({ event: 'message', data, lastEventId: await publisher.sse.publish('news', { data }) })
  }
  const arrived = async (when: string) => {
    for (const [i, { name }] of clients.entries()) {
      await until(`${name}: the last event ${when}`, async () => (await followed[i]!.seen()).events.at(-1)?.data === published.at(-1)?.data)
      t.strictSame((await followed[i]!.seen()).events, published, `${name}: ${when}`)
    }
  }

  for (const one of followed) await until('all to be open', async () => (await one.seen()).opened === 1)
  await publish('first')
  await arrived('at first')

  for (const stream of app.sse.streams.values()) stream.close()
  await publish('1', '2')
  await arrived('after a clean end')

  for (const { request } of app.sse.streams.values()) request.raw.destroy()
  await publish('3', '4')
  await arrived('after a break')

  await app.close()
  await publish('5', '6')
  await start(port)
  await publish('7')
  await arrived('from the next server at this address')
  await Promise.all(followed.map((one) => one.close()))
}
