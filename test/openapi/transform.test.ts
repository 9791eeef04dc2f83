import swagger, { type SwaggerTransform } from '@fastify/swagger'
import swaggerUI from '@fastify/swagger-ui'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance, type FastifySchema, type RouteOptions } from 'fastify'
import { type Test, test } from 'tap'
import { parse } from 'yaml'
import sse, { type SSEPluginOptions } from '../../lib/index.js'
import { at, build, event, media, openapi, operation, Price, price, prices, pricesMedia, published } from './app.js'

test('a route without a response schema is described in the document', async (t) => {
  const app = await build(t, {}, prices)
  t.strictSame(operation(app.swagger(), '/prices'), {
    responses: { 200: { description: 'Server-sent events: price, halted', content: { 'text/event-stream': pricesMedia } } }
  })
})

test('3.1: `schema` is the union of the data, because client generators read it', async (t) => {
  const app = await build(t, { version: '3.1.0' }, prices)
  t.strictSame(media(app.swagger(), '/prices'), {
    schema: { anyOf: [{ title: 'price', ...price }, { title: 'halted', type: 'string' }] },
    'x-itemSchema': pricesMedia.itemSchema
  })
})

test('3.0, the default of @fastify/swagger: the description of 3.1, with keywords that 3.0 allows', async (t) => {
  const app = await build(t, { version: '' }, prices)
  t.equal(at(app.swagger(), 'openapi'), '3.0.3')
  t.match(media(app.swagger(), '/prices'), {
    schema: { anyOf: [price, { type: 'string' }] },
    'x-itemSchema': { oneOf: [{ properties: { data: { type: 'string', 'x-contentSchema': price } } }, { properties: { event: { enum: ['halted'] } } }] }
  })
})

test('Swagger 2.0: a response has the type of the data, or any type', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger)
  await app.register(sse)
  prices(app)
  app.sseRoute({ url: '/halted', events: { halted: Type.String() }, source: () => [] })
  await app.ready()
  t.strictSame(operation(app.swagger(), '/halted'), {
    produces: ['text/event-stream'],
    responses: { 200: { description: 'Server-sent events: halted', schema: { type: 'string', description: 'Server-sent events: halted' } } }
  })
  t.match(operation(app.swagger(), '/prices'), { produces: ['text/event-stream'], responses: { 200: { schema: { type: undefined } } } })
})

test('every method of a route is described, and every route with a prefix', async (t) => {
  const app = await build(t, {}, (app) => {
    app.sseRoute({ method: ['POST', 'PUT'], url: '/chat', schema: { body: Type.Object({ prompt: Type.String() }) }, source: () => [] })
    app.register(async (child) => prices(child), { prefix: '/v1' })
  })
  t.match(media(app.swagger(), '/chat', 'post'), { itemSchema: event({}, { type: 'string' }, ['data']) })
  t.match(media(app.swagger(), '/chat', 'put'), { itemSchema: event({}, { type: 'string' }, ['data']) })
  t.ok(at(operation(app.swagger(), '/chat', 'post'), 'requestBody', 'content', 'application/json'))
  t.strictSame(media(app.swagger(), '/v1/prices'), pricesMedia)
})

test('the user’s own description of a route is kept', async (t) => {
  const schema = {
    summary: 'Prices',
    description: 'All of them.',
    operationId: 'prices',
    tags: ['market'],
    deprecated: true,
    security: [{ key: [] }],
    'x-own': 1,
    querystring: Type.Object({ since: Type.String() }),
    response: {
      200: { description: 'The prices.', headers: { 'x-feed': { type: 'string', description: 'Whose.' } } },
      404: { description: 'No such market.', ...Type.Object({ message: Type.String() }) }
    }
  }
  const app = await build(t, { securitySchemes: { key: { type: 'apiKey', in: 'header', name: 'x-key' } } }, (app) => {
    app.sseRoute({ url: '/prices', schema, events: { price: Price, halted: Type.String() }, source: () => [] })
    app.sseRoute({ url: '/hidden', schema: { hide: true }, source: () => [] })
  })
  const { querystring, response, ...said } = schema
  const described = operation(app.swagger(), '/prices')
  t.match(described, { ...said, parameters: [{ in: 'query', name: 'since', required: true }] })
  t.strictSame(at(described, 'responses'), {
    200: {
      description: 'The prices.',
      headers: { 'x-feed': { description: 'Whose.', schema: { type: 'string' } } },
      content: { 'text/event-stream': pricesMedia }
    },
    404: {
      description: 'No such market.',
      content: { 'application/json': { schema: { description: 'No such market.', type: 'object', required: ['message'], properties: { message: { type: 'string' } } } } }
    }
  })
  t.notOk(at(app.swagger(), 'paths', '/hidden'))
})

test('the user’s own description of the stream’s response is kept in every form', async (t) => {
  const answer = { type: 'object', properties: { text: { type: 'string' } } }
  const responses: Record<string, Record<string, unknown>> = {
    '/schema': { 200: answer },
    '/null': { 200: { type: 'null', description: 'A stream.' } },
    '/described': { 200: { description: 'for Fastify', 'x-response-description': 'for readers' } },
    '/range': { '2xx': { description: 'A stream.' } },
    '/content': { 200: { content: { 'application/json': { schema: answer }, 'text/event-stream': { schema: { type: 'integer' }, example: 7 } } } }
  }
  const app = await build(t, { version: '3.1.0' }, (app) => {
    for (const [url, response] of Object.entries(responses)) app.sseRoute({ url, schema: { response }, source: () => [] })
  })
  const anyEvent = { 'x-itemSchema': event({}, { type: 'string' }, ['data']) }
  const document = app.swagger()
  t.strictSame(media(document, '/schema'), { schema: answer, ...anyEvent })
  t.strictSame(at(operation(document, '/null'), 'responses'), { 200: { description: 'A stream.', content: { 'text/event-stream': { schema: {}, ...anyEvent } } } })
  t.equal(at(operation(document, '/described'), 'responses', '200', 'description'), 'for readers')
  t.strictSame(at(operation(document, '/range'), 'responses'), { '2XX': { description: 'A stream.', content: { 'text/event-stream': { schema: {}, ...anyEvent } } } })
  t.strictSame(at(operation(document, '/content'), 'responses', '200', 'content'), {
    'text/event-stream': { schema: { type: 'integer' }, example: 7, ...anyEvent },
    'application/json': { schema: answer }
  })
})

test('a gap is described beside the declared events of routes that may send one', async (t) => {
  const app = await build(t, {}, (app) => {
    app.sseRoute({ url: '/topics', events: { price: Price }, topics: ['prices'] })
    app.sseRoute({ url: '/client', events: { price: Price }, clientId: () => 'ann', onConnect: () => {} })
    app.sseRoute({ url: '/drop', events: { price: Price }, overflow: 'drop', source: () => [] })
    app.sseRoute({ url: '/any', topics: ['prices'] })
  })
  for (const url of ['/topics', '/client', '/drop']) {
    const names = at(media(app.swagger(), url), 'itemSchema', 'oneOf') as Array<{ properties: { event: { enum: string[] } } }>
    t.strictSame(names.map(({ properties }) => properties.event.enum[0]), ['price', 'gap'], url)
  }
  t.strictSame(at(media(app.swagger(), '/any'), 'itemSchema'), event({}, { type: 'string' }, ['data']))
})

test('shared schemas and recursive schemas are described by references', async (t) => {
  const Tree = Type.Recursive((self) => Type.Object({ children: Type.Array(self) }), { $id: 'Tree' })
  const app = await build(t, { refResolver: { buildLocalReference: (json) => String(json.$id) } }, (app) => {
    app.addSchema({ ...Price, $id: 'Price' })
    app.sseRoute({ url: '/prices', events: { price: Type.Ref('Price'), prices: Type.Array(Type.Ref('Price')), tree: Tree }, source: () => [] })
  })
  const document = app.swagger()
  const alternatives = at(media(document, '/prices'), 'itemSchema', 'oneOf')
  t.strictSame(at(alternatives, '0', 'properties', 'data', 'contentSchema'), { $ref: '#/components/schemas/Price' })
  t.strictSame(at(alternatives, '1', 'properties', 'data', 'contentSchema'), { type: 'array', items: { $ref: '#/components/schemas/Price' } })
  t.strictSame(at(alternatives, '2', 'properties', 'data', 'contentSchema', 'properties', 'children', 'items'), { $ref: '#/components/schemas/Tree' })
  t.match(at(document, 'components', 'schemas'), { Price: price, Tree: { type: 'object' } })
})

test('a global transform that the plugin is given, or a route’s own swaggerTransform, runs first, and transformObject sees the description', async (t) => {
  const seen: string[] = []
  const transform: SwaggerTransform = ({ schema, url }) => {
    seen.push(`transform ${url} ${Object.keys(Object(schema.response))}`)
    return { schema: { ...schema, tags: ['transformed'] }, url: `/api${url}` }
  }
  const app = await build(t, {
    transform,
    transformObject: (document) => ({ ...('openapiObject' in document ? document.openapiObject : {}), 'x-media': media('openapiObject' in document && document.openapiObject, '/api/prices') })
  }, (app) => {
    prices(app)
    app.sseRoute({
      url: '/own',
      config: {
        swaggerTransform: ({ schema, url }) => {
          seen.push(`swaggerTransform ${url} ${Object.keys(Object(schema.response))}`)
          return { schema: { ...schema, tags: ['own'] }, url }
        }
      },
      source: () => []
    })
    app.sseRoute({ url: '/none', config: { swaggerTransform: false }, source: () => [] })
  }, { openapi: { transform } })
  const document = app.swagger()
  t.strictSame(seen, ['transform /prices ', 'swaggerTransform /own '])
  t.strictSame(at(operation(document, '/api/prices'), 'tags'), ['transformed'])
  t.strictSame(media(document, '/api/prices'), pricesMedia)
  t.strictSame(at(operation(document, '/own'), 'tags'), ['own'])
  t.ok(media(document, '/own'))
  t.strictSame(Object.keys(Object(operation(document, '/none'))), ['responses'])
  t.ok(media(document, '/none'))
  t.strictSame(at(published(document), 'x-media'), pricesMedia)
})

test('a global transform that the plugin is not given runs on ordinary routes only', async (t) => {
  const app = await build(t, { transform: ({ schema, url }) => ({ schema: { ...schema, tags: ['transformed'] }, url }) }, (app) => {
    prices(app)
    app.get('/ordinary', async () => '')
  })
  t.strictSame(at(operation(app.swagger(), '/ordinary'), 'tags'), ['transformed'])
  t.strictSame(Object.keys(Object(operation(app.swagger(), '/prices'))), ['responses'])
  t.strictSame(media(app.swagger(), '/prices'), pricesMedia)
})

test('a transform that returns no schema leaves the route’s', async (t) => {
  const app = await build(t, {}, (app) => {
    app.sseRoute({ url: '/a', schema: { summary: 'A' }, config: { swaggerTransform: () => Object({ url: '/b' }) }, source: () => [] })
  })
  t.equal(at(operation(app.swagger(), '/b'), 'summary'), 'A')
  t.ok(media(app.swagger(), '/b'))
})

test('@fastify/swagger may be registered before, after and around the plugin', async (t) => {
  const orders: Record<string, (app: FastifyInstance) => Promise<unknown>> = {
    'swagger first': async (app) => {
      await app.register(swagger, openapi())
      await app.register(sse)
      prices(app)
    },
    'swagger last': async (app) => {
      await app.register(sse)
      await app.register(swagger, openapi())
      prices(app)
    },
    'not awaited': async (app) => {
      app.register(sse)
      app.register(swagger, openapi())
      app.register(async (child) => prices(child))
    },
    'plugin in a child': async (app) => {
      await app.register(swagger, openapi())
      app.register(async (child) => {
        await child.register(sse)
        prices(child)
      })
    }
  }
  for (const [order, register] of Object.entries(orders)) {
    const app = Fastify()
    t.teardown(() => app.close())
    await register(app)
    await app.ready()
    t.strictSame(media(app.swagger(), '/prices'), pricesMedia, order)
  }
})

test('@fastify/swagger may have another decorator name', async (t) => {
  const transform: SwaggerTransform = ({ schema, url }) => ({ schema: { ...schema, tags: ['transformed'] }, url })
  const app = await build(t, { decorator: 'describe', transform }, prices, { openapi: { transform } })
  const document = app.getDecorator<() => unknown>('describe')()
  t.strictSame(media(document, '/prices'), pricesMedia)
  t.strictSame(at(operation(document, '/prices'), 'tags'), ['transformed'])
})

test('@fastify/swagger may be registered in child instances only, and several times', async (t) => {
  const documents: Record<string, () => unknown> = {}
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse)
  for (const version of ['3.0.3', '3.1.0', '3.2.0']) {
    app.register(async (child) => {
      await child.register(swagger, openapi({ version }))
      prices(child)
      documents[version] = () => child.swagger()
    }, { prefix: `/${version}` })
  }
  app.sseRoute({ url: '/in-no-document', source: () => [] })
  await app.ready()
  for (const [version, document] of Object.entries(documents)) {
    t.strictSame(Object.keys(Object(at(document(), 'paths'))), [`/${version}/prices`])
    t.strictSame(Object.keys(Object(media(document(), `/${version}/prices`))), ['schema', version === '3.2.0' ? 'itemSchema' : 'x-itemSchema'])
  }
  t.notOk('swagger' in app)
})

test('routes of two registrations of the plugin are described in one document', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, openapi())
  for (const prefix of ['/a', '/b']) {
    app.register(async (child) => {
      await child.register(sse)
      prices(child)
    }, { prefix })
  }
  await app.ready()
  t.strictSame(media(app.swagger(), '/a/prices'), pricesMedia)
  t.strictSame(media(app.swagger(), '/b/prices'), pricesMedia)
})

test('the document is the same in JSON and YAML, in both orders of building', async (t) => {
  const [first, second] = [await build(t, {}, prices), await build(t, {}, prices)]
  const yaml = first.swagger({ yaml: true })
  t.strictSame(media(first.swagger(), '/prices'), pricesMedia)
  t.strictSame(parse(yaml), published(first.swagger()))
  t.strictSame(published(second.swagger()), published(first.swagger()))
  t.equal(second.swagger({ yaml: true }), yaml)
  t.equal(second.swagger(), second.swagger(), 'and are built once')
})

test('Swagger UI serves the description', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, openapi({ version: '3.1.0' }))
  await app.register(swaggerUI, { routePrefix: '/docs' })
  await app.register(sse)
  prices(app)
  const answer = await app.inject('/docs/json')
  t.match(media(answer.json(), '/prices'), { schema: { anyOf: [price, { type: 'string' }] } })
  t.strictSame(parse((await app.inject('/docs/yaml')).body), answer.json())
})

test('the description changes neither the schema of a route nor the user’s config object', async (t) => {
  const seen: RouteOptions[] = []
  const given = { rateLimit: 1 }
  const app = await build(t, {}, (app) => {
    app.addHook('onRoute', (options) => { seen.push(options) })
    app.sseRoute({ url: '/prices', config: given, schema: { summary: 'Prices' }, source: () => ['a'] })
  })
  t.ok(media(app.swagger(), '/prices'))
  for (const { schema, config } of seen) {
    t.strictSame(published(schema), { summary: 'Prices' })
    t.match(config, { rateLimit: 1 })
  }
  t.strictSame(seen.map(({ method, config }) => [method, Object.keys(Object(config))]), [['GET', ['rateLimit', 'swaggerTransform']], ['HEAD', ['rateLimit']]])
  t.strictSame(given, { rateLimit: 1 })
  t.equal((await app.inject('/prices')).body, 'data: a\n\n')
})

test('a HEAD route is documented without a stream if @fastify/swagger exposes HEAD routes', async (t) => {
  const app = await build(t, { exposeHeadRoutes: true }, prices)
  t.strictSame(media(app.swagger(), '/prices'), pricesMedia)
  t.strictSame(at(operation(app.swagger(), '/prices', 'head'), 'responses'), { 200: { description: 'Default Response' } })
})

test('with `openapi: false` routes are documented as the user wrote them', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, openapi())
  await app.register(sse, { openapi: false })
  prices(app)
  app.sseRoute({ url: '/described', schema: { response: { 200: { type: 'string', description: 'A stream.' } } }, events: { price: Price }, source: () => [] })
  await app.ready()
  t.strictSame(operation(app.swagger(), '/prices'), { responses: { 200: { description: 'Default Response' } } })
  t.strictSame(at(operation(app.swagger(), '/described'), 'responses', '200', 'content'), { 'application/json': { schema: { type: 'string', description: 'A stream.' } } })
})

test('a static document and a document without event streams are not changed', async (t) => {
  const written = { openapi: '3.1.0', info: { title: 'written', version: '1' }, paths: {} }
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger, { mode: 'static', specification: { document: written } })
  await app.register(sse)
  prices(app)
  await app.register(swagger, openapi({ decorator: 'describe' }))
  app.get('/ordinary', async () => '')
  await app.ready()
  t.strictSame(published(app.swagger()), written)
  t.strictSame(Object.keys(Object(at(app.getDecorator<() => unknown>('describe')(), 'paths'))), ['/ordinary'])
})

test('a transform that refuses the description does not get it, and the route is described without a warning', async (t) => {
  const lines: string[] = []
  const transform: SwaggerTransform = ({ schema, url }) => {
    if (schema.response !== undefined) throw new Error('no responses here')
    return { schema, url }
  }
  const app = Fastify({ logger: { level: 'warn', stream: { write: (line) => { lines.push(line) } } } })
  t.teardown(() => app.close())
  await app.register(swagger, openapi({ transform }))
  await app.register(sse, { openapi: { transform } })
  prices(app)
  await app.ready()
  t.strictSame(media(app.swagger(), '/prices'), pricesMedia)
  t.strictSame(parse(app.swagger({ yaml: true })), published(app.swagger()))
  t.strictSame(lines, [])
})

test('an error of the user’s transforms is thrown by swagger()', async (t) => {
  const broken = () => { throw new Error('broken') }
  const before = await build(t, { transform: broken }, (app) => {
    app.get('/ordinary', async () => '')
    prices(app)
  })
  t.throws(() => before.swagger(), { message: 'broken' })
  const given = await build(t, {}, prices, { openapi: { transform: broken } })
  t.throws(() => given.swagger(), { message: 'broken' })
  const after = await build(t, { transformObject: broken }, prices)
  t.throws(() => after.swagger(), { message: 'broken' })
})

/** Schemas of a library that follows Standard Schema and cannot convert to JSON Schema, and of one whose conversion fails. */
const unknown = { '~standard': { version: 1, vendor: 'unknown' } }
const failing = { '~standard': { version: 1, vendor: 'failing', jsonSchema: { input: () => { throw new Error('cannot be said') } } } }

/** Makes an app ready that has a route with this schema. Its compilers take any schema. */
async function readyWith (t: Test, schema: FastifySchema, options: SSEPluginOptions = {}, config = {}, withSwagger = true): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  app.setValidatorCompiler(() => () => true).setSerializerCompiler(() => String)
  if (withSwagger) await app.register(swagger, openapi())
  await app.register(sse, options)
  app.sseRoute({ method: 'POST', url: '/a/:id', schema, config, source: () => [] })
  await app.ready()
  return app
}

test('a schema that is not JSON Schema and cannot be converted to it is refused at ready', async (t) => {
  const error = (name: string) => ({
    code: 'SSE_ERR_OPENAPI',
    message: `The schema "${name}" of POST /a/:id is not JSON Schema, and its library does not convert it for the document of @fastify/swagger: ` +
      'give the transform that converts it to this plugin as the option "openapi": { transform }'
  })
  for (const name of ['body', 'querystring', 'params', 'headers']) await t.rejects(readyWith(t, { [name]: unknown }), error(name), name)
  await t.rejects(readyWith(t, Object({ query: unknown })), error('querystring'))
  await t.rejects(readyWith(t, { body: { content: { 'application/json': { schema: unknown } } } }), error('body'))
  await t.rejects(readyWith(t, { response: { 404: unknown } }), error('response.404'))
  await t.rejects(readyWith(t, { body: failing }), { ...error('body'), cause: { message: 'cannot be said' } })
  await t.rejects(readyWith(t, { body: unknown }, {}, { swaggerTransform: false }), error('body'))
})

test('a schema that is not JSON Schema is not refused where no document would show it', async (t) => {
  const transform: SwaggerTransform = ({ url }) => ({ schema: { summary: 'transformed' }, url })
  await readyWith(t, { body: unknown }, {}, {}, false)
  await readyWith(t, { body: unknown }, { openapi: false })
  t.strictSame(at((await readyWith(t, { body: unknown, hide: true })).swagger(), 'paths'), {})
  for (const app of [await readyWith(t, { body: unknown }, { openapi: { transform } }), await readyWith(t, { body: unknown }, {}, { swaggerTransform: transform })]) {
    t.equal(at(operation(app.swagger(), '/a/{id}', 'post'), 'summary'), 'transformed')
  }
})

test('an app without @fastify/swagger starts and streams', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sse)
  prices(app)
  await app.ready()
  t.equal((await app.inject('/prices')).statusCode, 200)
})
