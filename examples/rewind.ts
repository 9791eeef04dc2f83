// The newest event for each new client (`rewind`), and a snapshot in place of lost events (`onGap`). Run beside it:
//   curl -N http://127.0.0.1:3000/score
//   curl -X POST http://127.0.0.1:3000/goals/home
// Reconnect with an id whose next events are no longer retained, to get the snapshot:
//   curl -N -H 'last-event-id: 1-0' http://127.0.0.1:3000/score
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import sse from 'fastify-sse-routes'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse, { history: { size: 3 } })

const Score = Type.Object({ home: Type.Integer(), guests: Type.Integer() })
const score = { home: 0, guests: 0 }

app.sseRoute({
  url: '/score',
  events: { goal: Score, snapshot: Score },
  topics: ['score'],
  // a client without a Last-Event-ID gets the last goal first
  rewind: 1,
  // a client that missed goals which are no longer retained gets the score, then the goals that are
  onGap: () => ({ event: 'snapshot', data: score })
})

app.post('/goals/:team', { schema: { params: Type.Object({ team: Type.Enum({ home: 'home', guests: 'guests' } as const) }) } }, async ({ params: { team } }) => {
  score[team]++
  return { id: await app.sse.publish('score', { event: 'goal', data: score }) }
})

console.log(await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) }))
