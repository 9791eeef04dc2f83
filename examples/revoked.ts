// A permission that ends while a stream is open: a sign-out, a lost membership, a session that expires. Run beside it:
//   curl -N -H 'authorization: Bearer ann-token' http://127.0.0.1:3000/news
//   curl -X DELETE http://127.0.0.1:3000/members/ann && curl -X POST http://127.0.0.1:3000/news && curl -X DELETE http://127.0.0.1:3000/sessions/ann
import Fastify, { type FastifyRequest } from 'fastify'
import sse from 'fastify-sse-routes'

const inOneMinute = Date.now() + Number(process.env.SESSION_MS ?? 60_000)
const sessions = new Map([['Bearer ann-token', { user: 'ann', end: Infinity }], ['Bearer bob-token', { user: 'bob', end: inOneMinute }]])
const members = new Set(['ann', 'bob'])

function sessionOf ({ headers }: Pick<FastifyRequest, 'headers'>) {
  const session = sessions.get(headers.authorization ?? '')
  if (session !== undefined && session.end > Date.now()) return session
  throw Object.assign(new Error('Sign in first'), { statusCode: 401 })
}

const app = Fastify()
await app.register(sse)

app.sseRoute({
  url: '/news',
  clientId: (request) => sessionOf(request).user,
  topics: (request) => members.has(sessionOf(request).user) ? ['public', 'members'] : ['public'],
  expires: (request) => sessionOf(request).end
})
app.post('/news', async () => ({ id: await app.sse.publish('members', { event: 'news', data: 'for members' }) }))

app.delete<{ Params: { user: string } }>('/sessions/:user', async ({ params: { user } }) => {
  // first the sessions, because the clients reconnect
  for (const [token, session] of sessions) if (session.user === user) sessions.delete(token)
  await app.sse.close(user)
})

app.delete<{ Params: { user: string } }>('/members/:user', async ({ params: { user } }) => {
  members.delete(user)
  await app.sse.unsubscribe(user, 'members')
  await app.sse.sendTo(user, { event: 'removed', data: 'from the members' })
})
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
