// A job that needs no reader, with its progress as events: app.sse.start. Run beside it:
//   curl -X POST http://127.0.0.1:3000/imports/books
//   curl http://127.0.0.1:3000/imports/books
//   curl -N http://127.0.0.1:3000/imports/books/events
import { setTimeout } from 'node:timers/promises'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)

const schema = { params: Type.Object({ file: Type.String() }) }

async function * importRows (signal: AbortSignal) {
  for (let rows = 100; rows <= 500; rows += 100) {
    await setTimeout(200, undefined, { signal })
    yield { event: 'progress', data: { rows } }
  }
}

// a second request while the job is going on gets the job, and starts no other one
app.post('/imports/:file', { schema }, async (request, reply) => {
  const job = await app.sse.start(request.params.file, ({ signal }) => importRows(signal), { end: { event: 'done', data: '' } })
  return reply.code(202).send(job)
})

app.get('/imports/:file', { schema }, async (request, reply) => await app.sse.run(request.params.file) ?? reply.code(404).send({ error: 'no such job' }))

app.sseRoute({ url: '/imports/:file/events', schema, resume: (request) => request.params.file })

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
