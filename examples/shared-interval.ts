// One computation per tick for all clients of a city, however many they are. Run two of these beside it, and compare "call":
//   curl -N http://127.0.0.1:3000/weather/oslo
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)

let calls = 0

app.sseRoute({
  url: '/weather/:city',
  schema: { params: Type.Object({ city: Type.String() }) },
  interval: 1_000,
  // clients of the same key share each payload
  shared: (request) => request.params.city,
  payload: async (request) => ({ data: { city: request.params.city, celsius: Math.round(Math.random() * 30), call: ++calls } })
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
