import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { LanguageModel } from './data/language-model.js'

const schema = {
  summary: 'An answer, token by token',
  description: 'From a language model where OPENAI_BASE_URL is set, from a text of this project where it is not. The model stops when the client leaves; the log says how far it came.',
  tags: ['chat'],
  body: Type.Object({ prompt: Type.String({ minLength: 1, maxLength: 4_000 }) })
}

const chat: FastifyPluginAsyncTypebox<{ model: LanguageModel }> = async (app, { model }) => {
  app.sseRoute({
    method: 'POST',
    url: '/chat',
    schema,
    events: { token: Type.String(), done: Type.String() },
    openOn: 'first-event',
    source: async function * ({ body, log }, { signal }) {
      let tokens = 0
      try {
        for await (const token of model(body.prompt, signal)) {
          tokens++
          yield { event: 'token', data: token }
        }
        yield { event: 'done', data: '' }
      } finally {
        log.info({ tokens }, signal.aborted ? 'the client left, the model was stopped' : 'the model has answered')
      }
    }
  })
}

export default chat
