// A stream with an end: an async generator, read at the client's pace. Run beside it:
//   curl -N -X POST http://127.0.0.1:3000/chat
// Abort curl to see that the generator stops too.
import { setTimeout } from 'node:timers/promises'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify()
await app.register(sse)

app.sseRoute({
  method: 'POST',
  url: '/chat',
  source: async function * (_request, { signal }) {
    let sent = 0
    try {
      for (const data of ['Events', ' leave', ' one', ' by', ' one.']) {
        // the signal aborts the wait when the client disconnects
        await setTimeout(300, undefined, { signal })
        yield { event: 'token', data }
        sent++
      }
    } finally {
      console.log(`${sent} tokens sent`)
    }
  },
  end: { event: 'done', data: '' }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
