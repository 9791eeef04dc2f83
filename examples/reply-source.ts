// A handler that decides between an ordinary response and an event stream: reply.sse(source). Run beside it:
//   curl -N http://127.0.0.1:3000/reports/2
//   curl -i http://127.0.0.1:3000/reports/9
import { setTimeout } from 'node:timers/promises'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)

const reports = new Map([[1, ['Kettles', 'Teapots']], [2, ['Cups', 'Saucers', 'Spoons']]])

async function * rows (names: string[]) {
  for (const [index, name] of names.entries()) {
    await setTimeout(200)
    yield { id: String(index + 1), event: 'row', data: { name } }
  }
}

app.get('/reports/:id', { schema: { params: Type.Object({ id: Type.Integer() }) } }, async (request, reply) => {
  const names = reports.get(request.params.id)
  if (names === undefined) return reply.code(404).send({ error: 'no such report' })
  return reply.sse(rows(names), { end: { event: 'end', data: { rows: names.length } } })
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
