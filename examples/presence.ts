// The users who are online, in one process: a user with several tabs counts once, and a reload does not show. Run beside it:
//   curl -N -H 'authorization: Bearer ann-token' http://127.0.0.1:3000/room
//   curl -N -H 'authorization: Bearer bob-token' http://127.0.0.1:3000/room
import { setTimeout } from 'node:timers/promises'
import { Type } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyRequest } from 'fastify'
import sse, { defineTopic } from 'fastify-sse-routes'

const users = new Map([['Bearer ann-token', 'ann'], ['Bearer bob-token', 'bob']])
function userOf ({ headers }: Pick<FastifyRequest, 'headers'>): string {
  return users.get(headers.authorization ?? '') ?? 'guest'
}

// only the newest list matters, and it never gets too old
const room = defineTopic('room', { events: { online: Type.Array(Type.String()) }, history: { size: 1, maxAge: 0 } })
const tabs = new Map<string, number>()

const app = Fastify()
await app.register(sse)

async function count (user: string, change: 1 | -1) {
  const [before, online] = [tabs.size, (tabs.get(user) ?? 0) + change]
  if (online > 0) tabs.set(user, online)
  else tabs.delete(user)
  if (tabs.size !== before) await app.sse.publish(room(), { event: 'online', data: [...tabs.keys()] })
}

app.sseRoute({
  url: '/room',
  clientId: userOf,
  topics: [room],
  rewind: 1,
  onGap: () => null,
  onConnect: (_request, { clientId }) => count(clientId, 1),
  async onDisconnect (_request, { clientId, closeReason }) {
    // a reload opens the next stream within this time
    if (closeReason !== 'drain') setTimeout(1_000, undefined, { ref: false }).then(() => count(clientId, -1)).catch((error) => app.log.error(error))
  }
})
console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
