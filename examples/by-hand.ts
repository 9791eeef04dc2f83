// A handler that writes to its stream itself, with reply.sse(). Run beside it:
//   curl -N 'http://127.0.0.1:3000/countdown?from=3'
import { setTimeout } from 'node:timers/promises'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)

app.get('/countdown', { schema: { querystring: Type.Object({ from: Type.Integer({ minimum: 1, maximum: 100, default: 10 }) }) } }, async (request, reply) => {
  const stream = reply.sse({ heartbeat: 5_000 })
  for (let left = request.query.from; left > 0; left--) {
    // send() waits while the client is behind, and gives false once the stream is closed
    if (!await stream.send({ event: 'left', data: left })) return reply
    await setTimeout(200)
  }
  await stream.send({ event: 'start', data: '' })
  stream.close()
  return reply
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
