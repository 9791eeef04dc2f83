// A ticket for EventSource, which cannot send a token in a header. It opens one stream, within ten seconds. Run beside it:
//   curl -X POST -H 'authorization: Bearer ann-token' http://127.0.0.1:3000/tickets
//   curl -N 'http://127.0.0.1:3000/inbox?ticket=<ticket>'
// The page on http://127.0.0.1:3000 gets a new ticket for each stream. Send a notice: curl -X POST http://127.0.0.1:3000/users/ann
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import Fastify, { type FastifyRequest } from 'fastify'
import sse from 'fastify-sse-routes'

const users = new Map([['Bearer ann-token', 'ann'], ['Bearer bob-token', 'bob']])
const tickets = new Map<string, string>()

// the log has the paths without their queries
const req = ({ method, url }: FastifyRequest) => ({ method, url: url.split('?')[0] })
const app = Fastify({ logger: { serializers: { req } } })
await app.register(sse)

app.post('/tickets', async (request, reply) => {
  const user = users.get(request.headers.authorization ?? '')
  if (user === undefined) return reply.code(401).send({ error: 'Sign in first' })
  const ticket = randomBytes(24).toString('base64url')
  tickets.set(ticket, user)
  setTimeout(() => tickets.delete(ticket), 10_000).unref()
  return { ticket }
})

app.sseRoute<{ Querystring: { ticket?: string } }>({
  url: '/inbox',
  topics: [],
  clientId ({ query: { ticket = '' } }) {
    const user = tickets.get(ticket)
    tickets.delete(ticket)
    if (user === undefined) throw Object.assign(new Error('The ticket is not valid'), { statusCode: 401 })
    return user
  }
})
app.post<{ Params: { user: string } }>('/users/:user', async ({ params: { user } }) => ({ id: await app.sse.sendTo(user, { event: 'notice', data: 'Tea is ready' }) }))
app.get('/', async (_request, reply) => reply.type('text/html').send(await readFile(new URL('pages/tickets.html', import.meta.url))))

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
