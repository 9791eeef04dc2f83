import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { defineTopic } from 'fastify-sse-routes'
import type { LanguageModel } from './data/language-model.js'
import { errorSchema, FailureSchema, StoppedSchema } from './data/schemas.js'

/** Retains the newest question, which tells a page that opens that the chat may have an answer. */
const chats = defineTopic('chat:{chat}', { events: { question: Type.String() }, history: { size: 1 } })

/** A random id that the page creates. Other clients cannot guess it, so that only pages with its URL read and stop the answer. */
const params = Type.Object({ chat: Type.String({ pattern: '^[\\w-]{20,40}$', examples: ['0123456789abcdefghij'] }) })

const common = { tags: ['chat'], params }

const ask = {
  ...common,
  summary: 'An answer, token by token',
  description: 'From a language model where OPENAI_BASE_URL is set, from a text of this project where it is not. The answer goes on when the client leaves. `complete` has the number of tokens. An answer that was stopped ends without it.',
  body: Type.Object({ prompt: Type.String({ minLength: 1, maxLength: 4_000 }) }),
  response: { 409: errorSchema('The chat has an answer that is going on') }
}

const join = {
  ...common,
  summary: 'The newest answer of a chat',
  description: 'From its beginning, or from the Last-Event-ID on.'
}

const wait = {
  ...common,
  summary: 'The questions of a chat',
  description: 'The newest question, then each one as it is asked in any tab.'
}

const stop = {
  ...common,
  summary: 'Stop the answer of a chat',
  description: 'Stops the model, in whatever process it answers.',
  response: { 200: StoppedSchema }
}

const events = { question: Type.String(), token: Type.String(), complete: Type.Integer(), error: FailureSchema, done: Type.String() }

const chat: FastifyPluginAsyncTypebox<{ model: LanguageModel }> = async (app, { model }) => {
  const key = ({ params }: { params: { chat: string } }) => `chat:${params.chat}`

  app.sseRoute({
    method: 'POST',
    url: '/chats/:chat',
    schema: ask,
    events,
    resumable: { key, onBusy: 'refuse', abandonAfter: 60_000 },
    end: { event: 'done', data: '' },
    source: async function * ({ params, body: { prompt }, log }, { signal }) {
      await app.sse.publish(chats(params), { event: 'question', data: prompt })
      yield { event: 'question', data: prompt }
      let tokens = 0
      try {
        for await (const token of model(prompt, signal)) {
          tokens++
          yield { event: 'token', data: token }
        }
        yield { event: 'complete', data: tokens }
      } finally {
        log.info({ tokens }, signal.aborted ? 'the model was stopped' : 'the model has ended')
      }
    }
  })
  app.sseRoute({ url: '/chats/:chat', schema: join, events, resume: key })
  app.delete('/chats/:chat', { schema: stop }, async (request) => ({ stopped: await app.sse.stop(key(request)) }))

  app.sseRoute({ url: '/chats/:chat/questions', schema: wait, topics: [chats], rewind: 1 })
}

export default chat
