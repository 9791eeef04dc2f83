// A client that reads more slowly than events are published: events are dropped, and a gap event tells it. Run beside it:
//   curl -N --limit-rate 500k http://127.0.0.1:3000/frames | grep -A 2 'event: gap'
//   curl http://127.0.0.1:3000/stats
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify()
await app.register(sse, { history: { size: 10 } })

app.sseRoute({
  url: '/frames',
  topics: ['frames'],
  // without 'drop', a client that has more than this waiting is disconnected, and reconnects when it likes
  overflow: 'drop',
  maxBufferedBytes: 256 * 1_024
})

app.get('/stats', async () => app.sse.stats())

const frame = '▒'.repeat(30_000)
const timer = setInterval(() => {
  app.sse.publish('frames', { event: 'frame', data: frame }).catch((error) => app.log.error(error))
}, 10)
app.addHook('onClose', async () => clearInterval(timer))

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
