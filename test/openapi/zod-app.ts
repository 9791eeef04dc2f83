import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject, serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { z } from 'zod'
import sse from '../../lib/index.js'
import { openapi } from './app.js'

export const versions = ['3.0.3', '3.1.0', '3.2.0']
export const author = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'], additionalProperties: false }
export const json = (schema: object) => ({ type: 'string', contentMediaType: 'application/json', contentSchema: schema })
export const id = 'OpenapiZodAuthor'

/** An app all of whose schemas are zod's, as fastify-type-provider-zod has it set up. */
export async function build (version: string) {
  const app = Fastify().withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  await app.register(swagger, openapi({ version, transform: jsonSchemaTransform, transformObject: jsonSchemaTransformObject }))
  await app.register(sse)

  const Author = z.globalRegistry.has(authors) ? authors : authors.register(z.globalRegistry, { id })
  app.sseRoute({
    url: '/posts/:topic',
    schema: {
      params: z.object({ topic: z.string() }),
      querystring: z.object({ limit: z.number() }),
      response: { 404: z.object({ message: z.string() }) }
    },
    events: { post: z.object({ text: z.string(), author: Author }), left: z.string() },
    source: function * () {
      yield { event: 'post', data: { text: 'first', author: { name: 'Ada' } } }
      yield { event: 'left', data: 'Ada' }
    }
  })
  app.sseRoute({ url: '/anything', source: () => ['a'] })
  app.sseRoute({
    url: '/own',
    schema: { response: { 200: { description: 'Mine.', content: { 'text/event-stream': { schema: z.number() } } } } },
    source: () => ['1']
  })
  await app.ready()
  return app
}

const authors = z.object({ name: z.string() })
