import { test } from 'tap'
import { at, event, media, operation } from './app.js'
import { author, build, id, json, versions } from './zod-app.js'

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
