// A process that cluster.long.test.ts starts with the package of the client and the url of a node of a cluster. It sends its port. Then it
// publishes the events that a message asks for, sends the topic and the id of each (null if it was rejected), and publishes `end` to each topic.
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify from 'fastify'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import sse from '../../lib/index.js'
import { redisBackplane } from '../../lib/redis/index.js'
import { serveTopics } from '../helpers/subscriber.js'
import { publishAtLast } from './app.js'

const [name, url = ''] = process.argv.slice(2)
const client = name === 'ioredis' ? new Cluster([url], { lazyConnect: true }) : createCluster({ rootNodes: [{ url }] })
const app = Fastify()
await app.register(sse, { backplane: redisBackplane({ client }) })
serveTopics(app)
await app.listen({ host: '127.0.0.1', port: 0 })
process.on('disconnect', () => process.exit())

process.on('message', async ({ topics, count }: { topics: string[], count: number }) => {
  let next = 0
  const publish = async () => {
    while (next < count) {
      const i = next++
      const topic = topics[i % topics.length] ?? ''
      const id = await app.sse.publish(topic, String(i)).catch(() => null)
      process.send?.({ topic, id })
    }
  }
  await Promise.all(Array.from({ length: 8 }, publish))
  // the end of the log may be lost, which is noticed within a second
  await wait(2_000)
  for (const topic of topics) await publishAtLast(app, topic, 'end')
})

process.send?.((app.server.address() as AddressInfo).port)
