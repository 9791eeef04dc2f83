// Symptom: the OpenAPI document of recursive zod types is invalid, and ArkType schemas are refused.
// Cause: a `$ref` within an event schema did not point into the document, and a schema had to be an object, not a function.
import swagger from '@fastify/swagger'
import { scope, type } from 'arktype'
import Fastify from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { test } from 'tap'
import { z } from 'zod'
import sse from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { openapi, published } from '../openapi/app.js'
import { faults } from '../openapi/validators.js'

const versions = ['3.0.3', '3.1.0', '3.2.0']

test('OpenAPI documents with recursive zod types are valid', async (t) => {
  const Node = z.object({ name: z.string(), get children () { return z.array(Node) } })
  const documents = await Promise.all(versions.map(async (version) => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
    await app.register(swagger, openapi({ version, transform: jsonSchemaTransform, transformObject: jsonSchemaTransformObject }))
    await app.register(sse, { openapi: { transform: jsonSchemaTransform } })
    app.sseRoute({ url: '/', events: { node: Node, pair: z.object({ first: Node, second: Node, any: z.json() }), json: z.json() }, source: () => [] })
    await app.ready()
    return published(app.swagger())
  }))
  t.strictSame(await faults(...documents), [])
})

test('OpenAPI documents with ArkType schemas are valid, and the schemas shape the data', async (t) => {
  const { node } = scope({ node: { name: 'string', 'children?': 'node[]' } }).export()
  const events = { price: type({ symbol: 'string', price: 'number', 'tags?': 'string[]' }), text: type('string'), kind: type("'a' | 'b'"), node }
  const documents: Record<string, unknown>[] = []
  for (const version of versions) {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(swagger, openapi({ version }))
    await app.register(sse)
    app.sseRoute({
      url: '/',
      events,
      source: () => [
        { event: 'price', data: { symbol: 'ACME', price: 1, other: 1 } }, { event: 'text', data: 'plain' }, { event: 'kind', data: 'a' },
        { event: 'node', data: { name: 'a', children: [{ name: 'b' }] } }
      ]
    })
    await app.ready()
    const data = []
    for await (const event of await injectSSE(app, { url: '/' })) data.push(event.data)
    t.strictSame(data, ['{"price":1,"symbol":"ACME"}', 'plain', '"a"', '{"name":"a","children":[{"name":"b"}]}'])
    documents.push(published(app.swagger()))
  }
  t.match(documents[2], { paths: { '/': { get: { responses: { 200: { content: { 'text/event-stream': { itemSchema: { oneOf: Array } } } } } } } } })
  t.strictSame(await faults(...documents), [])
})
