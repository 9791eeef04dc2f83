import { test } from 'tap'
import { at, alternative, event, media, operation, published } from './app.js'
import { author, build, id, json, versions } from './zod-app.js'

test('routes with and without zod schemas start and send', async (t) => {
  const app = await build('3.2.0')
  t.teardown(() => app.close())
  t.equal((await app.inject('/posts/a?limit=x')).statusCode, 400)
  t.equal((await app.inject('/anything')).body, 'data: a\n\n')
})

test('3.2: zod’s schemas are described as JSON Schema, and registered types as components', async (t) => {
  const app = await build('3.2.0')
  t.teardown(() => app.close())
  const document = app.swagger()
  const post = { type: 'object', properties: { text: { type: 'string' }, author: { $ref: `#/components/schemas/${id}` } }, required: ['text', 'author'], additionalProperties: false }
  t.strictSame(media(document, '/posts/{topic}'), {
    schema: {},
    itemSchema: { oneOf: [alternative('post', json(post)), alternative('left', { type: 'string' })] }
  })
  t.strictSame(media(document, '/anything'), { schema: {}, itemSchema: event({}, { type: 'string' }, ['data']) })
  t.strictSame(at(document, 'components', 'schemas', id), author)
})

test('zod’s transform converts the other schemas of the route', async (t) => {
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

test('without the transform the plugin converts zod’s schemas of requests and responses', async (t) => {
  for (const version of versions) {
    const [own, zods] = [await build(version, false), await build(version)]
    t.teardown(() => Promise.all([own.close(), zods.close()]))
    for (const url of ['/posts/{topic}', '/anything', '/own']) t.same(operation(own.swagger(), url), operation(zods.swagger(), url), `${version} ${url}`)
    const document = published(own.swagger())
    const described = operation(document, '/trees', 'post')
    const [author, tree, other] = [0, 1, 2].map((index) => at(described, 'parameters', String(index), 'schema'))
    t.match(resolved(document, author), { type: 'object', properties: { name: { type: 'string' } } })
    // in OpenAPI 3.0 zod puts the reference into `allOf`
    t.match(JSON.stringify(other), String(at(tree, '$ref')))
    const content = (...path: string[]) => at(described, ...path, 'content', 'application/json', 'schema')
    const { left, right } = Object(at(content('responses', '202'), 'properties'))
    t.same(left, right)
    for (const reference of [tree, content('requestBody'), content('responses', '201'), left]) {
      t.match(resolved(document, reference), { type: 'object', properties: { name: { type: 'string' }, children: { items: reference } } }, version)
    }
  }
})

/** Returns the schema that a reference points to. */
function resolved (document: unknown, reference: unknown): unknown {
  return at(document, ...String(at(reference, '$ref')).slice(2).split('/'))
}
