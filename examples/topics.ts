// Publish to a topic, and replay for clients that reconnect. Run beside it:
//   curl -N http://127.0.0.1:3000/rooms/lobby
//   curl -X POST -H 'content-type: application/json' -d '{"text":"Hello"}' http://127.0.0.1:3000/rooms/lobby
// Stop the first curl, post again, and reconnect with the last id that it printed, as an EventSource does:
//   curl -N -H 'last-event-id: <id>' http://127.0.0.1:3000/rooms/lobby
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse, { history: { size: 100 } })

const params = Type.Object({ room: Type.String() })

app.sseRoute({
  url: '/rooms/:room',
  schema: { params },
  topics: (request) => [`room:${request.params.room}`]
})

app.post('/rooms/:room', { schema: { params, body: Type.Object({ text: Type.String() }) } }, async ({ params, body }) => {
  const id = await app.sse.publish(`room:${params.room}`, { event: 'message', data: body })
  return { id }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
