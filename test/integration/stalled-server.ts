// Started by stalled-clients.long.test.ts in its own process, so that only the memory of the server is measured.
import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import Fastify from 'fastify'
import sse, { type SSEPluginOptions, type SSEStats, type SSEStream } from '../../lib/index.js'

/** Messages of the server: its port; the path of a stream that it closed; that all events are published. */
export type Report = { port: number } | { closed: string } | Measured

/** Memory since the first measurement, bytes. */
export interface Measured {
  /** Maximum increase of the resident set. */
  rss: number
  /** Maximum increase of the V8 heap and of buffers outside of it. */
  heap: number
  /** Increase of the same after the last event, without garbage. */
  kept: number
  stats: SSEStats
}

/** Message to the server: publish a number of events of a number of bytes. */
export interface Order {
  events: number
  bytes: number
}

const app = Fastify()
await app.register(sse, JSON.parse(process.argv[2] ?? '{}') as SSEPluginOptions)
let healthy: SSEStream | undefined
app.sseRoute('/healthy', { topics: ['feed'], onConnect: (_request, stream) => { healthy = stream } })
app.sseRoute('/stalled/:n', {
  topics: ['feed'],
  onDisconnect: ({ url }, { closeReason }) => { if (closeReason === 'overflow') tell({ closed: url }) }
})

const start = { rss: 0, heap: 0 }
const peak = { rss: 0, heap: 0 }
let published = 0

function tell (report: Report): void {
  process.send?.(report)
}

function memory (): { rss: number, heap: number } {
  const { rss, heapUsed, external } = process.memoryUsage()
  return { rss, heap: heapUsed + external }
}

function measure (): void {
  const { rss, heap } = memory()
  peak.rss = Math.max(peak.rss, rss - start.rss)
  peak.heap = Math.max(peak.heap, heap - start.heap)
}

/** Publishes as fast as the healthy client reads, so that the slow clients do not matter. No two events share memory. */
async function publish ({ events, bytes }: Order): Promise<void> {
  for (const end = published + events; published < end; published++) {
    await app.sse.publish('feed', { data: String(published), comments: randomBytes(bytes / 2).toString('hex') })
    if (published % 10 !== 9) continue
    await healthy?.send({})
    await turn()
    if (published % 100 === 99) measure()
  }
}

process.on('message', async (order: Order) => {
  if (start.rss === 0) {
    globalThis.gc?.()
    Object.assign(start, memory())
    setInterval(measure, 50).unref()
  }
  await publish(order)
  measure()
  globalThis.gc?.()
  tell({ ...peak, kept: memory().heap - start.heap, stats: app.sse.stats() })
})
process.on('disconnect', () => process.exit())

await app.listen({ host: '127.0.0.1', port: 0 })
tell({ port: (app.server.address() as AddressInfo).port })
