import { Type } from '@sinclair/typebox'
import { test } from 'tap'
import { z } from 'zod'
import { dataSchema, dialectOf, eventStreamMedia, jsonSchema, withGap } from '../../lib/openapi/schema.js'
import { alternative, event, Price, price } from './app.js'

const json = (schema: object) => ({ type: 'string', contentMediaType: 'application/json', contentSchema: schema })
const plain = (value: unknown) => JSON.parse(JSON.stringify(value))

test('a document’s dialect follows from its version; later versions have the dialect of 3.2', async (t) => {
  const versions = ['2.0', '3.0.0', '3.0.4', '3.1.0', '3.1.2', '3.2.0', '3.3.0']
  t.strictSame(versions.map(dialectOf), ['2.0', '3.0', '3.0', '3.1', '3.1', '3.2', '3.2'])
})

test('3.2: itemSchema has one alternative for each event; JSON is a string with its media type and schema, text a plain string', async (t) => {
  t.strictSame(plain(eventStreamMedia({ price: Price, halted: Type.String({ minLength: 1 }) }, '3.2')), {
    schema: {},
    itemSchema: {
      oneOf: [alternative('price', json(price)), alternative('halted', { type: 'string', minLength: 1 })]
    }
  })
})

test('3.2: itemSchema of a single event has no alternatives', async (t) => {
  t.strictSame(plain(eventStreamMedia({ price: Price }, '3.2')).itemSchema, event({ enum: ['price'] }, json(price)))
})

test('an event `message` may be described without a name, other events may not', async (t) => {
  const { itemSchema } = eventStreamMedia({ message: Price }, '3.2')
  t.strictSame(plain(itemSchema), event({ enum: ['message'] }, json(price), ['data']))
})

test('a route without declared events is described as one that sends any event', async (t) => {
  const anyEvent = event({}, { type: 'string' }, ['data'])
  t.strictSame(eventStreamMedia({}, '3.2'), { schema: {}, itemSchema: anyEvent })
  t.strictSame(eventStreamMedia({}, '3.1'), { schema: {}, 'x-itemSchema': anyEvent })
  t.strictSame(eventStreamMedia({}, '3.0'), { schema: {}, 'x-itemSchema': anyEvent })
})

test('3.1: schema is the union of the data, the event is in x-itemSchema', async (t) => {
  t.strictSame(plain(eventStreamMedia({ price: Price, halted: Type.String() }, '3.1')), {
    schema: { anyOf: [{ title: 'price', ...price }, { title: 'halted', type: 'string' }] },
    'x-itemSchema': {
      oneOf: [alternative('price', json(price)), alternative('halted', { type: 'string' })]
    }
  })
})

test('3.0: the description of 3.1, with x- before the keywords that 3.0 does not have', async (t) => {
  t.strictSame(plain(eventStreamMedia({ price: Price, halted: Type.String() }, '3.0')), {
    schema: { anyOf: [{ title: 'price', ...price }, { title: 'halted', type: 'string' }] },
    'x-itemSchema': {
      oneOf: [
        alternative('price', { type: 'string', 'x-contentMediaType': 'application/json', 'x-contentSchema': price }),
        alternative('halted', { type: 'string' })
      ]
    }
  })
})

test('the union of the data contains equal types once', async (t) => {
  const token = Type.String()
  t.strictSame(plain(dataSchema({ token, done: Type.String(), count: Type.Integer() }, '3.1')), { anyOf: [{ title: 'token, done', type: 'string' }, { title: 'count', type: 'integer' }] })
  t.strictSame(plain(dataSchema({ token, done: Type.String() }, '3.1')), { type: 'string' })
})

test('types in a union have the names of their events as title, except references, schemas with an $id and schemas with a title', async (t) => {
  const titled = Type.String({ title: 'A text' })
  const component = Type.Object({}, { $id: 'Component' })
  const anyOf = [{ title: 'a', ...price }, { $ref: 'Price' }, { $id: 'Component', type: 'object', properties: {} }, { title: 'A text', type: 'string' }]
  t.strictSame(plain(dataSchema({ a: Price, b: Type.Ref('Price'), c: component, d: titled }, '3.1')), { anyOf })
})

test('Swagger 2.0: different types of data are any type, because it does not have unions', async (t) => {
  t.strictSame(plain(dataSchema({ price: Price }, '2.0')), price)
  t.strictSame(plain(dataSchema({ price: Price, halted: Type.String() }, '2.0')), {})
})

test('3.0: `examples` become one `example` at any depth, and properties keep their names', async (t) => {
  const schema = {
    type: 'object',
    properties: { examples: { type: 'string', examples: ['a', 'b'] }, list: { type: 'array', items: { anyOf: [{ type: 'integer', examples: [1] }, true] } } },
    examples: [{ examples: 'a' }]
  }
  t.strictSame(jsonSchema(schema, '3.0'), {
    type: 'object',
    properties: { examples: { type: 'string', example: 'a' }, list: { type: 'array', items: { anyOf: [{ type: 'integer', example: 1 }, true] } } },
    example: { examples: 'a' }
  })
  t.equal(jsonSchema(schema, '3.1'), schema)
})

test('a schema of another library is converted to JSON Schema in the document’s dialect', async (t) => {
  const schema = z.object({ at: z.date(), note: z.string().nullable() })
  const rest = { required: ['at', 'note'], additionalProperties: false }
  t.strictSame(jsonSchema(schema, '3.1'), { type: 'object', properties: { at: {}, note: { type: ['string', 'null'] } }, ...rest })
  t.strictSame(jsonSchema(schema, '3.0'), { type: 'object', properties: { at: {}, note: { type: 'string', nullable: true } }, ...rest })
})

test('a part with an id in zod’s registry is referred to as a component', async (t) => {
  const Author = z.object({ name: z.string() }).meta({ id: 'EventSchemaAuthor' })
  for (const dialect of ['3.0', '3.1'] as const) {
    t.strictSame(jsonSchema(z.object({ author: Author }), dialect), {
      type: 'object', properties: { author: { $ref: '#/components/schemas/EventSchemaAuthor' } }, required: ['author'], additionalProperties: false
    })
  }
})

test('a schema that is not an object is any value', async (t) => {
  for (const schema of [undefined, null, true]) t.strictSame(jsonSchema(schema, '3.2'), {})
})

test('a gap is added to declared events, with ids that may be null, but in Swagger 2.0', async (t) => {
  const gap = (id: object) => ({ type: 'object', properties: { lastEventId: id, oldestId: id }, required: ['lastEventId', 'oldestId'] })
  t.match(withGap({ price: Price }, '3.2'), { price: Price, gap: gap({ type: ['string', 'null'] }) })
  t.match(withGap({ price: Price }, '3.0'), { price: Price, gap: gap({ type: 'string', nullable: true }) })
  t.strictSame(withGap({ price: Price }, '2.0'), { price: Price })
  t.strictSame(withGap({}, '3.2'), {})
})
