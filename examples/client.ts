// The client in Node: typed events, and a reconnect with the id of the last one. Runs alone: it serves what it reads.
import { setTimeout } from 'node:timers/promises'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'
import { sse as connect } from 'fastify-sse-routes/client'

const app = Fastify()
await app.register(sse)
app.sseRoute({ url: '/ticks', topics: ['ticks'] })
const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(url)

async function publish () {
  for (let tick = 1; ; tick++) {
    await app.sse.publish('ticks', { event: 'tick', data: { tick } })
    // cut all connections once: the client reconnects and misses nothing
    if (tick === 3) for (const stream of app.sse.streams.values()) stream.close()
    await setTimeout(100)
  }
}
const events = connect<{ tick: { tick: number } }>(`${url}/ticks`, {
  retry: { delay: 200 },
  onOpen: ({ attempt, lastEventId }) => {
    console.log(`attempt ${attempt}, after ${lastEventId === null ? 'nothing' : 'an event'}`)
    if (attempt === 1) publish().catch(() => {})
  },
  onRetry: ({ delay }) => console.log(`reconnects in ${Math.round(delay)} ms`)
})

for await (const { event, data } of events) {
  if (event === 'tick') console.log(`tick ${data.tick}`)
  if (event === 'tick' && data.tick >= 6) break
}
await app.close()
