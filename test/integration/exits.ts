// Started by shutdown.test.ts: opens streams and closes the app. The process then has to exit without process.exit().
import { get } from 'node:http'
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import sse from '../../lib/index.js'

const app = Fastify()
await app.register(sse, { heartbeat: 60_000, idleTimeout: 60_000, maxLifetime: 60_000 })
app.sseRoute('/', { interval: 60_000, payload: () => 'x' })
app.sseRoute('/shared', { interval: 60_000, shared: true, payload: () => 'x' })
await app.listen({ host: '127.0.0.1', port: 0 })
const { port } = app.server.address() as AddressInfo
await Promise.all(Array.from({ length: 20 }, (_, i) => new Promise((resolve) => {
  get({ host: '127.0.0.1', port, path: i % 2 ? '/' : '/shared', agent: false }, (response) => { response.once('data', resolve).on('error', () => {}) })
})))
const streams = app.sse.streams.size
await app.close()
console.log(JSON.stringify({ streams, after: app.sse.streams.size }))
