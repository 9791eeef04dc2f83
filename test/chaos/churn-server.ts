// Started by churn.long.test.ts in a separate process, so that the measurements are those of the server alone.
import { readdirSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import Fastify, { type FastifyRequest } from 'fastify'
import sse, { type SSEStats, type SSEStream } from '../../lib/index.js'
import { hubOf } from '../helpers/subscriber.js'

/** State of the server after garbage collection. */
export interface ServerState {
  /** Bytes in use, on the heap and external. */
  heap: number
  /** Open file descriptors; null if the system does not list them. */
  files: number | null
  kept: { streams: number, topics: string[], clients: number, timerLists: number }
  /** Number of onDisconnect calls. */
  disconnectCalls: number
  stats: SSEStats
}

const app = Fastify()
await app.register(sse, { heartbeat: 50, history: { size: 100 }, maxStreams: 10_000, maxStreamsPerClient: { max: 10_000 }, clientId: ({ headers }) => headers['x-user'] ? String(headers['x-user']) : 'anybody' })
const hub = hubOf(app)
let disconnectCalls = 0
const onDisconnect = () => { disconnectCalls++ }
app.sseRoute('/witness', { topics: ['feed'], maxBufferedBytes: 1e9, clientId: () => 'witness', onDisconnect })
app.sseRoute('/interval', { interval: 10, payload: () => 'tick', onDisconnect })
app.sseRoute('/shared', { interval: 10, shared: true, payload: () => 'tick', onDisconnect })
app.sseRoute('/source', { source: async function * (_request: FastifyRequest, { signal }: SSEStream) { while (!signal.aborted) { yield 'item'; await wait(10) } }, onDisconnect })
app.sseRoute('/topics', { topics: async () => ['feed'], onDisconnect })
app.sseRoute({ method: 'POST', url: '/post', source: ({ body }) => [{ data: body }], topics: ['feed'], onDisconnect })
app.sseRoute('/first', { openOn: 'first-event', source: async function * () { await wait(2); yield 'item' }, onDisconnect })
app.get('/reply', (_request, reply) => {
  const stream = reply.sse()
  stream.subscribe('feed')
  stream.signal.addEventListener('abort', () => { if (app.sse.streams.has(stream.id)) disconnectCalls++ })
})

let published = 0
setInterval(() => { app.sse.publish('feed', String(published++)) }, 5)

function filesOpen (): number | null {
  try {
    return readdirSync('/proc/self/fd').length
  } catch {
    return null
  }
}

process.on('message', async () => {
  // one collection can release objects for the next one
  for (let i = 0; i < 4; i++) {
    globalThis.gc?.()
    await wait(10)
  }
  const { heapUsed, external } = process.memoryUsage()
  const { streams, topics, clients, timers } = hub
  const state: ServerState = {
    heap: heapUsed + external,
    files: filesOpen(),
    kept: { streams: streams.size, topics: [...topics.keys()], clients: clients.size, timerLists: timers.size },
    disconnectCalls,
    stats: app.sse.stats()
  }
  process.send?.(state)
})
for (const event of ['warning', 'unhandledRejection']) {
  process.on(event, (what: unknown) => {
    console.error(event, what)
    process.exit(1)
  })
}
process.on('disconnect', () => process.exit())
await app.listen({ host: '127.0.0.1', port: 0, backlog: 4_096 })
process.send?.((app.server.address() as AddressInfo).port)
