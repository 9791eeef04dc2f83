import { setTimeout } from 'node:timers/promises'
import { Type, type FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { readAnswer } from './data/answer.js'

const aiChat: FastifyPluginAsyncTypebox = async (app) => {
  app.sseRoute({
    url: '/ai/chat',
    schema: { summary: 'An answer, character by character', description: 'Open it in a browser and watch it arrive.', tags: ['chat'] },
    events: { message: Type.String() },
    source: async function * () {
      for (const character of await readAnswer()) {
        yield character
        await setTimeout(25)
      }
    }
  })
}

export default aiChat
