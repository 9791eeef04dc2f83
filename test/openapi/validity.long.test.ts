import { registerSchema, type SchemaObject, unregisterSchema, validate } from '@hyperjump/json-schema/draft-2020-12'
import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import { createParser, type EventSourceMessage } from 'eventsource-parser'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import sse from '../../lib/index.js'
import { build, event, media, Price, prices, published } from './app.js'
import { faults } from './validators.js'

const versions = ['3.0.3', '3.1.0', '3.2.0']

/** Declares routes with every kind of description. */
function manyRoutes (app: FastifyInstance): void {
  const Tree = Type.Recursive((self) => Type.Object({ value: Type.Union([Type.Number(), Type.Null()]), children: Type.Array(self) }), { $id: 'Tree' })
  app.addSchema({ ...Price, $id: 'Price' })
  prices(app)
  app.sseRoute({ url: '/anything', source: () => [] })
  app.sseRoute({
    url: '/orders/:id',
    schema: {
      summary: 'An order',
      operationId: 'order',
      tags: ['orders'],
      security: [{ key: [] }],
      params: Type.Object({ id: Type.Integer() }),
      response: {
        200: { description: 'What becomes of it.', headers: { 'x-feed': { type: 'string' } } },
        '4xx': Type.Object({ message: Type.String() }),
        default: { description: 'A failure', type: 'null' }
      }
    },
    events: {
      message: Type.Ref('Price'),
      tree: Tree,
      kind: Type.Literal('order'),
      count: Type.Integer({ examples: [1, 2] }),
      note: Type.String({ examples: ['a'] }),
      maybe: Type.Optional(Type.Union([Type.Ref('Price'), Type.Null()]))
    },
    source: () => []
  })
  app.sseRoute({ method: ['POST', 'PUT'], url: '/chat', schema: { body: Type.Object({ prompt: Type.String() }) }, events: { token: Type.String(), done: Type.String() }, source: () => [] })
  app.sseRoute({ url: '/own', schema: { response: { 200: { content: { 'text/event-stream': { schema: Type.String() }, 'application/json': { schema: Price } } } } }, events: { price: Price }, source: () => [] })
}

const securitySchemes = { key: { type: 'apiKey', in: 'header', name: 'x-key' } } as const

test('the documents of all versions are valid, with `const` converted and kept', async (t) => {
  const options = [...versions.map((version) => ({ version })), ...versions.slice(1).map((version) => ({ version, convertConstToEnum: false }))]
  const documents = await Promise.all(options.map(async (option) => published((await build(t, { ...option, securitySchemes }, manyRoutes)).swagger())))
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(swagger)
  await app.register(sse)
  prices(app)
  await app.ready()
  t.strictSame(await faults(...documents, published(app.swagger())), [])
})

test('the validators find faults: itemSchema in a 3.1 document, and a reference without a target', async (t) => {
  const document = published((await build(t, {}, prices)).swagger())
  const found = await faults({ ...document, openapi: '3.1.0' }, { ...document, components: { schemas: { a: { $ref: '#/components/schemas/b' } } } })
  t.match(found, [/^@seriousme, 3.1.0/, /^@hyperjump, 3.1.0/, /^@seriousme, 3.2.0/, /^@redocly: [^]*itemSchema[^]*Can't resolve \$ref/])
})

test('the events that a route sends match its itemSchema, and other events do not', async (t) => {
  const app = await build(t, {}, (app) => {
    app.sseRoute({
      url: '/orders',
      events: { message: Type.Object({ text: Type.String() }), price: Price, halted: Type.String() },
      retry: 1_000,
      source: function * () {
        yield { data: { text: 'hello' } }
        yield { id: 7, event: 'message', data: { text: 'named' } }
        yield { event: 'price', data: { symbol: 'A', price: 1 } }
        yield { id: '', event: 'halted', data: 'A\nB' }
      }
    })
  })
  const { itemSchema } = Object(media(app.swagger(), '/orders'))
  const fits = await asValidator(itemSchema)

  const sent: EventSourceMessage[] = []
  createParser({ onEvent: (event) => sent.push(event) }).feed((await app.inject('/orders')).body)
  t.equal(sent.length, 4)
  for (const event of sent) t.ok(fits(event), JSON.stringify(event))

  t.ok(fits({ data: 'a', retry: 0 }))
  for (const wrong of [{ event: 'other', data: 'a' }, { event: 'price' }, { event: 'price', data: { symbol: 'A' } }, { data: 'a', retry: -1 }, { data: 'a', id: 1 }]) {
    t.notOk(fits(wrong), JSON.stringify(wrong))
  }
})

async function asValidator (schema: SchemaObject): Promise<(value: unknown) => boolean> {
  const uri = 'https://example.com/item'
  registerSchema(schema, uri, 'https://json-schema.org/draft/2020-12/schema')
  const check = await validate(uri)
  unregisterSchema(uri)
  return (value) => check(JSON.parse(JSON.stringify(value))).valid
}

test('the alternatives of an event stream exclude each other', async (t) => {
  const app = await build(t, {}, (app) => {
    app.sseRoute({ url: '/same', events: { message: Type.String(), a: Type.String(), b: Type.String() }, source: () => [] })
  })
  const { itemSchema } = Object(media(app.swagger(), '/same'))
  const fits = await asValidator(itemSchema)
  for (const name of [undefined, 'message', 'a', 'b']) t.ok(fits({ event: name, data: 'x' }), String(name))
  t.same(itemSchema.oneOf[0], { title: 'message', ...event({ enum: ['message'] }, { type: 'string' }, ['data']) })
})
