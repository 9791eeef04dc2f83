// Started by the tests: an app of the Redis whose url it is given. With open streams it closes; where it cannot start it says why. Either way it has to exit by itself.
import type { AddressInfo } from 'node:net'
import { get } from 'node:http'
import Fastify from 'fastify'
import sse from '../../lib/index.js'
import { redisBackplane } from '../../lib/redis/index.js'

const [url = ''] = process.argv.slice(2)
const app = Fastify()
try {
  await app.register(sse, { backplane: redisBackplane({ url, timeout: 1_000 }) })
  app.sseRoute('/', { topics: ['news'] })
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo
  await Promise.all(Array.from({ length: 5 }, () => new Promise((resolve) => {
    get({ host: '127.0.0.1', port, agent: false }, (response) => { response.once('data', resolve).on('error', () => {}) })
  })))
  await app.sse.publish('news', 'x')
  const streams = app.sse.streams.size
  await app.close()
  console.log(`${streams} streams were open`)
} catch (error) {
  const { message, cause } = error as Error
  console.log(message, cause)
}
