// A gateway to a language model: the key of the model stays in the server, and each user has two answers at a time. Run beside it:
//   curl -N -H 'authorization: Bearer ann-token' -H 'content-type: application/json' -d '{"prompt":"Hello"}' http://127.0.0.1:3000/answers
// MODEL_URL is the URL of an API such as POST /v1/chat/completions of OpenAI, and MODEL_KEY its key. Without it, this program answers itself.
import { setTimeout } from 'node:timers/promises'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyRequest } from 'fastify'
import sse from 'fastify-sse-routes'

const users = new Map([['Bearer ann-token', 'ann'], ['Bearer bob-token', 'bob']])
function userOf ({ headers }: Pick<FastifyRequest, 'headers'>): string {
  const user = users.get(headers.authorization ?? '')
  if (user === undefined) throw Object.assign(new Error('Sign in first'), { statusCode: 401 })
  return user
}

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
await app.register(sse)

app.sseRoute({
  method: 'POST',
  url: '/answers',
  schema: { body: Type.Object({ prompt: Type.String({ maxLength: 10_000 }) }) },
  maxStreamsPerClient: { max: 2, key: userOf },
  openOn: 'first-event',
  source: ({ body: { prompt } }, { signal }) => fetch(process.env.MODEL_URL ?? `${url}/model`, {
    method: 'POST',
    signal,
    headers: { authorization: `Bearer ${process.env.MODEL_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'small', stream: true, messages: [{ role: 'user', content: prompt }] })
  })
})

async function * answer () {
  for (const content of ['This', ' is', ' an', ' answer.']) yield await setTimeout(200, { choices: [{ delta: { content } }] })
}
app.sseRoute({ method: 'POST', url: '/model', items: 'data', source: answer, end: '[DONE]' })

const url = await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 3000) })
console.log(url)
