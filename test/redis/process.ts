// A process that the tests start with the url of a Redis. It opens streams and closes the app, or prints why it cannot start. In both cases it has to exit without process.exit().
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
  await app.sse.start('run', ['x'])
  const streams = app.sse.streams.size
  await app.close()
  console.log(`${streams} streams were open`)
} catch (error) {
  const { message, cause } = error as Error
  console.log(message, cause)
}
