import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject, serializerCompiler, validatorCompiler, type ZodTypeProvider } from 'fastify-type-provider-zod'
import { test } from 'tap'
import { parse } from 'yaml'
import { z } from 'zod'
import sse from '../lib/index.js'
import { at, event, media, openapi, operation, published } from './openapi-app.js'
import { faults } from './openapi-validators.js'

const versions = ['3.0.3', '3.1.0', '3.2.0']
const author = { type: 'object', properties: { name: { type: 'string' } }, required: ['name'], additionalProperties: false }
const json = (schema: object) => ({ type: 'string', contentMediaType: 'application/json', contentSchema: schema })
const id = 'OpenapiZodAuthor'

/** An app all of whose schemas are zod's, as fastify-type-provider-zod has it set up. */
async function build (version: string) {
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

test('routes with zod schemas, and such without any, boot and send', async (t) => {
  const app = await build('3.2.0')
  t.teardown(() => app.close())
  t.equal((await app.inject('/posts/a?limit=x')).statusCode, 400)
  t.equal((await app.inject('/anything')).body, 'data: a\n\n')
})

test('3.2: zod’s schemas are described as JSON Schema, and components as such', async (t) => {
  const app = await build('3.2.0')
  t.teardown(() => app.close())
  const document = app.swagger()
  const post = { type: 'object', properties: { text: { type: 'string' }, author: { $ref: `#/components/schemas/${id}` } }, required: ['text', 'author'], additionalProperties: false }
  t.strictSame(media(document, '/posts/{topic}'), {
    schema: {},
    itemSchema: { oneOf: [event({ enum: ['post'] }, json(post)), event({ enum: ['left'] }, { type: 'string' })] }
  })
  t.strictSame(media(document, '/anything'), { schema: {}, itemSchema: event({}, { type: 'string' }, ['data']) })
  t.strictSame(at(document, 'components', 'schemas', id), author)
})

test('the transform sees to the rest of the route', async (t) => {
  const app = await build('3.1.0')
  t.teardown(() => app.close())
  const described = operation(app.swagger(), '/posts/{topic}')
  t.match(at(described, 'parameters'), [{ name: 'limit', in: 'query', schema: { type: 'number' } }, { name: 'topic', in: 'path' }])
  t.match(at(described, 'responses', '404', 'content'), { 'application/json': { schema: { type: 'object', properties: { message: { type: 'string' } } } } })
})

test('a response that the user declared in zod is kept', async (t) => {
  for (const version of versions) {
    const app = await build(version)
    t.teardown(() => app.close())
    t.equal(at(operation(app.swagger(), '/own'), 'responses', '200', 'description'), 'Mine.')
    t.match(media(app.swagger(), '/own'), { schema: { type: 'number' } })
  }
})

test('the documents are valid, and the same in JSON and YAML', async (t) => {
  const documents = await Promise.all(versions.map(async (version) => {
    const app = await build(version)
    t.teardown(() => app.close())
    t.strictSame(parse(app.swagger({ yaml: true })), published(app.swagger()))
    return published(app.swagger())
  }))
  t.strictSame(await faults(...documents), [])
})
