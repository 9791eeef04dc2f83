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

/**
 * Makes an app whose schemas are all zod's, set up for fastify-type-provider-zod.
 * @param withTransform whether @fastify/swagger and the plugin get its transform; without it the plugin converts the schemas
 */
export async function build (version: string, withTransform = true) {
  const app = Fastify().withTypeProvider<ZodTypeProvider>()
  app.setValidatorCompiler(validatorCompiler)
  app.setSerializerCompiler(serializerCompiler)
  await app.register(swagger, openapi({ version, ...(withTransform && { transform: jsonSchemaTransform }), transformObject: jsonSchemaTransformObject }))
  await app.register(sse, { openapi: withTransform ? { transform: jsonSchemaTransform } : true })

  const Author = z.globalRegistry.has(authors) ? authors : authors.register(z.globalRegistry, { id })
  app.sseRoute({
    url: '/posts/:topic',
    schema: {
      params: z.object({ topic: z.string() }),
      querystring: z.object({ limit: z.number() }),
      response: { 404: z.object({ message: z.string() }), 410: { content: { 'application/json': { schema: z.object({ since: z.number() }) } } } }
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
  // fastify-type-provider-zod refuses a type that contains itself and has no id
  if (!withTransform) app.sseRoute({ method: 'POST', url: '/trees', schema: { body: Tree, querystring: z.object({ author: Author, tree: Tree, other: Tree.optional() }), response: { 201: Tree, 202: z.object({ left: Tree, right: Tree }) } }, events: { tree: Tree }, source: () => [] })
  await app.ready()
  return app
}

const authors = z.object({ name: z.string() })
const Tree = z.object({ name: z.string(), get children () { return z.array(Tree) } })
