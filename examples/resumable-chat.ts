// An answer that goes on when its reader disconnects. http://127.0.0.1:3000 is its page. Or run beside it, and abort the first command:
//   curl -N -X POST http://127.0.0.1:3000/chats/7
// This command gets the whole answer, from its first word. With the id of an event it gets the rest:
//   curl -N http://127.0.0.1:3000/chats/7
//   curl -N -H 'last-event-id: <id>' http://127.0.0.1:3000/chats/7
// This command stops the answer for all its readers:
//   curl -X DELETE http://127.0.0.1:3000/chats/7
import { readFile } from 'node:fs/promises'
import { setTimeout } from 'node:timers/promises'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)
const answer = 'This answer goes on without you. Reload the page, read it on a second device, or stop it for all of them.'
const schema = { params: Type.Object({ id: Type.String() }) }

app.sseRoute({
  method: 'POST',
  url: '/chats/:id',
  schema,
  resumable: { key: (request) => request.params.id },
  source: async function * (_request, { signal }) {
    for (const data of answer.split(/(?= )/)) {
      yield { event: 'token', data }
      // the signal aborts when the answer is stopped, not when a reader disconnects
      await setTimeout(200, undefined, { signal })
    }
  },
  end: { event: 'done', data: '' }
})

app.sseRoute({ url: '/chats/:id', schema, resume: (request) => request.params.id })

app.delete('/chats/:id', { schema }, async (request) => ({ stopped: await app.sse.stop(request.params.id) }))

app.get('/', async (_request, reply) => reply.type('text/html').send(await readFile(new URL('pages/resumable-chat.html', import.meta.url))))

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
