// An event per second from a function. Run beside it:
//   curl -N http://127.0.0.1:3000/time
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify()
await app.register(sse)

app.sseRoute({
  url: '/time',
  interval: 1_000,
  payload: () => new Date().toISOString()
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
