// Symptom: tools reject the OpenAPI document of a route with recursive event types, because a `$ref` leads nowhere.
// Cause: a `$ref` within an event schema refers to its own root, and in the document that root is another one.
import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import Fastify from 'fastify'
import { jsonSchemaTransform, jsonSchemaTransformObject, serializerCompiler, validatorCompiler } from 'fastify-type-provider-zod'
import { type Test, test } from 'tap'
import { z } from 'zod'
import { jsonSchema } from '../../lib/openapi/schema.js'
import sse, { type SSERouteOptions } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { at, media, openapi, published } from '../openapi/app.js'

const Node = z.object({ name: z.string(), get children () { return z.array(Node) } })
const Pair = z.object({ first: Node, second: Node, any: z.json() })
const node = { type: 'object', properties: { name: { type: 'string' }, children: { type: 'array' } }, required: ['name', 'children'] }
const versions = ['3.0.3', '3.1.0', '3.2.0']

/** Returns the document of routes that send these events, with the transform of zod or without one. */
async function documentOf (t: Test, version: string, events: NonNullable<SSERouteOptions['events']>, withZod = true): Promise<Record<string, unknown>> {
  const app = Fastify()
  t.teardown(() => app.close())
  if (withZod) app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
  await app.register(swagger, openapi({ version, ...(withZod && { transform: jsonSchemaTransform, transformObject: jsonSchemaTransformObject }) }))
  await app.register(sse, { openapi: withZod ? { transform: jsonSchemaTransform } : true })
  app.sseRoute({ url: '/a', events, source: () => [] })
  app.sseRoute({ url: '/b', events, source: () => [] })
  await app.ready()
  return published(app.swagger())
}

/** Returns all `$ref`s of a document. */
function refsOf (document: unknown): string[] {
  const refs: string[] = []
  JSON.stringify(document, (key, value) => {
    if (key === '$ref') refs.push(value)
    return value
  })
  return refs
}

function contentSchema (document: unknown, version: string, index: number): unknown {
  const [item, data] = version.startsWith('3.0') ? ['x-itemSchema', 'x-contentSchema'] : version.startsWith('3.1') ? ['x-itemSchema', 'contentSchema'] : ['itemSchema', 'contentSchema']
  return at(media(document, '/a'), item, 'oneOf', String(index), 'properties', 'data', data)
}

/** Returns the part of the document to which a schema refers. */
function resolveRef (document: unknown, schema: unknown): unknown {
  return at(document, ...String(at(schema, '$ref')).slice(2).split('/'))
}

for (const version of versions) {
  test(`OpenAPI ${version}: a recursive zod type refers to a component, which refers to itself`, async (t) => {
    const document = await documentOf(t, version, { node: Node, json: z.json() })
    const schema = contentSchema(document, version, 0)
    t.match(resolveRef(document, schema), node)
    t.strictSame(at(resolveRef(document, schema), 'properties', 'children', 'items'), schema)
    const json = contentSchema(document, version, 1)
    t.match(at(resolveRef(document, json), 'anyOf', '4'), { type: 'array', items: json })
    t.strictSame(refsOf(document).filter((ref) => at(document, ...ref.slice(2).split('/')) === undefined || ref === '#'), [])
    t.strictSame(media(document, '/b'), media(document, '/a'))
  })

  test(`OpenAPI ${version}: recursive zod types within another type are components`, async (t) => {
    const document = await documentOf(t, version, { pair: Pair, other: z.array(z.json()) })
    const { first, second, any } = Object(at(contentSchema(document, version, 0), 'properties'))
    t.match(resolveRef(document, first), node)
    t.strictSame(second, first)
    t.match(resolveRef(document, any), { anyOf: Array })
    t.match(resolveRef(document, at(contentSchema(document, version, 1), 'items')), { anyOf: Array })
    t.strictSame(refsOf(document).filter((ref) => at(document, ...ref.slice(2).split('/')) === undefined), [])
  })
}

test('a recursive TypeBox type is a component when the transform of zod is used', async (t) => {
  const Tree = Type.Recursive((self) => Type.Object({ children: Type.Array(self) }), { $id: 'Tree' })
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, openapi({ transform: jsonSchemaTransform, transformObject: jsonSchemaTransformObject }))
  await app.register(sse, { openapi: { transform: jsonSchemaTransform } })
  app.sseRoute({ url: '/', events: { tree: Tree }, source: () => [] })
  await app.ready()
  const document = published(app.swagger())
  for (const ref of refsOf(document)) t.match(at(document, ...ref.slice(2).split('/')), { type: 'object', properties: { children: { type: 'array' } } })
})

test('Swagger 2.0: the reference of a recursive type is replaced by an empty schema', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.setValidatorCompiler(validatorCompiler).setSerializerCompiler(serializerCompiler)
  await app.register(swagger, { swagger: { info: { title: 'test', version: '1' } } })
  await app.register(sse)
  app.sseRoute({ url: '/', events: { node: Node }, source: () => [] })
  await app.ready()
  const document = published(app.swagger())
  t.strictSame(refsOf(document), [])
  t.match(at(document, 'paths', '/', 'get', 'responses', '200', 'schema', 'properties', 'children'), { type: 'array', items: {} })
})

/** Returns a schema like those of ArkType: a function that follows Standard JSON Schema and has no target for OpenAPI 3.0. */
function functionSchema (json: Record<string, unknown> | null) {
  const output = ({ target }: { target: string }) => {
    if (target !== 'draft-2020-12' || json === null) throw new Error(`no ${target}`)
    return json
  }
  return Object.assign(() => json, { '~standard': { version: 1, vendor: 'functions', ...(json !== null && { jsonSchema: { output } }) } })
}

const recursive = { $ref: '#/$defs/node', $defs: { node: { type: 'object', properties: { name: { type: 'string' }, next: { $ref: '#/$defs/node' } } } } }

test('a schema may be a function', async (t) => {
  t.test('the JSON Schema of a function schema shapes the data', async (t) => {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sse)
    app.sseRoute({
      url: '/',
      events: { message: functionSchema({ type: 'object', properties: { a: { type: 'number' } } }), text: functionSchema({ type: 'string' }), any: functionSchema(null), node: functionSchema(recursive) },
      source: () => [{ data: { a: 1, b: 2 } }, { event: 'text', data: 'plain' }, { event: 'any', data: { b: 2 } }, { event: 'node', data: { name: 'a', next: { name: 'b', other: 1 } } }]
    })
    const data = []
    for await (const event of await injectSSE(app, { url: '/' })) data.push(event.data)
    t.strictSame(data, ['{"a":1}', 'plain', '{"b":2}', '{"name":"a","next":{"name":"b"}}'])
  })

  for (const version of versions) {
    t.test(`OpenAPI ${version}: a function schema is described by its JSON Schema`, async (t) => {
      const document = await documentOf(t, version, { o: functionSchema({ type: 'object', properties: { a: { type: 'number' } } }), any: functionSchema(null), node: functionSchema(recursive) }, false)
      t.strictSame(contentSchema(document, version, 0), { type: 'object', properties: { a: { type: 'number' } } })
      t.strictSame(contentSchema(document, version, 1), {})
      const schema = contentSchema(document, version, 2)
      t.match(resolveRef(document, schema), { type: 'object', properties: { name: { type: 'string' }, next: schema } })
    })
  }

  t.test('a reference to another document in a function schema is not changed', (t) => {
    const reference = { type: 'array', items: { $ref: 'https://example.org/item' } }
    t.strictSame(jsonSchema(functionSchema(reference), '3.1'), reference)
    t.end()
  })

  t.test('a function schema that cannot be converted throws its error', (t) => {
    const output = () => { throw new Error('cannot be said') }
    t.throws(() => jsonSchema(Object.assign(() => {}, { '~standard': { version: 1, vendor: 'functions', jsonSchema: { output } } }), '3.0'), { message: 'cannot be said' })
    t.end()
  })

  t.test('a function that does not follow Standard Schema is refused as a schema', async (t) => {
    const app = Fastify()
    await app.register(sse)
    for (const a of [() => ({}), Object.assign(() => {}, { '~standard': null }), class {}]) {
      t.throws(() => app.sseRoute({ url: '/', events: { a }, source: () => [] }), { code: 'SSE_ERR_OPTION' })
    }
  })
})
