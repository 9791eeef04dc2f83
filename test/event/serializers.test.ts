import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifySerializerCompiler } from 'fastify'
import { serializerCompiler as zodSerializerCompiler } from 'fastify-type-provider-zod'
import { test } from 'tap'
import { z } from 'zod'
import sse, { type SSEInput, type SSERouteOptions } from '../../lib/index.js'
import { listen, makeApp, open } from '../helpers/app.js'

const price = { type: 'object', properties: { symbol: { type: 'string' }, price: { type: 'number' } }, required: ['symbol'] }

/** The text that a client of the route gets for all of `items`, and the errors that onError gets. */
function declare (app: FastifyInstance, url: string, events: SSERouteOptions['events'], items: SSEInput[], more: object = {}) {
  const errors: Error[] = []
  app.sseRoute({
    url,
    events,
    source: () => Readable.from(items),
    onError: (error, _request, stream) => {
      errors.push(error)
      stream.close()
    },
    ...more
  })
  return errors
}

const body = async (app: FastifyInstance, url: string) => (await app.inject(url)).body

/** A compiler that marks its output and records its arguments. */
function marking (mark: string) {
  const asked: unknown[] = []
  const compiler: FastifySerializerCompiler<unknown> = (request) => {
    asked.push(request)
    return (data) => `${mark}${JSON.stringify(data)}`
  }
  return { asked, compiler }
}

test('each event has its own serializer, compiled from its schema', async (t) => {
  const app = await makeApp(t)
  const stock = { symbol: 'ACME', price: '1.5', secret: true }
  declare(app, '/', { price, list: { type: 'array', items: { type: 'integer' } }, whole: { type: 'object', additionalProperties: true } }, [
    { event: 'price', data: stock }, { event: 'list', data: ['1', 2] }, { event: 'whole', data: stock }
  ])
  t.equal(await body(app, '/'), [
    'event: price\ndata: {"symbol":"ACME","price":1.5}\n\n',
    'event: list\ndata: [1,2]\n\n',
    'event: whole\ndata: {"symbol":"ACME","price":"1.5","secret":true}\n\n'
  ].join(''))
})

test('data of an event with a string schema is written as text', async (t) => {
  const app = await makeApp(t)
  declare(app, '/', { token: { type: 'string' }, time: { type: 'string', format: 'date-time' } }, [
    { event: 'token', data: 'a "b"\r\nc' }, { event: 'token', data: '' }, { event: 'time', data: '2026-11-21T00:00:00Z' }
  ])
  t.equal(await body(app, '/'), 'event: token\ndata: a "b"\ndata: c\n\nevent: token\ndata: \n\nevent: time\ndata: 2026-11-21T00:00:00Z\n\n')
})

test('data of other schemas is written as JSON, strings too', async (t) => {
  const app = await makeApp(t)
  const events = { word: { type: ['string', 'null'] }, choice: { enum: ['a', 'b'] }, any: {}, number: { type: 'number' }, yes: { type: 'boolean' }, none: { type: 'null' } }
  declare(app, '/', events, [
    { event: 'word', data: 'a "b"' }, { event: 'word', data: null }, { event: 'choice', data: 'a' }, { event: 'any', data: 'text' },
    { event: 'number', data: 0 }, { event: 'yes', data: false }, { event: 'none', data: null }
  ])
  const data = (await body(app, '/')).split('\n').filter((line) => line.startsWith('data: ')).map((line) => line.slice(6))
  t.same(data, ['"a \\"b\\""', 'null', '"a"', '"text"', '0', 'false', 'null'])
})

test('an event without a name is a `message`', async (t) => {
  const app = await makeApp(t)
  declare(app, '/text', { message: { type: 'string' } }, ['bare', { data: 'data' }, { event: '', data: 'empty' }, { event: 'message', data: 'named' }])
  t.equal(await body(app, '/text'), 'data: bare\n\ndata: data\n\ndata: empty\n\nevent: message\ndata: named\n\n')
})

test('an unnamed event has the schema of `message`', async (t) => {
  const app = await makeApp(t)
  declare(app, '/', { message: price, other: {} }, [{ data: { symbol: 'ACME', secret: true } }])
  t.equal(await body(app, '/'), 'data: {"symbol":"ACME"}\n\n')
})

test('an event of any schema may have no data', async (t) => {
  const app = await makeApp(t)
  declare(app, '/', { price, token: { type: 'string' } }, [{ event: 'price' }, { event: 'token', id: 1 }, { comments: 'c' }, { id: 2 }, {}])
  t.equal(await body(app, '/'), 'event: price\n\nid: 1\nevent: token\n\n: c\n\nid: 2\n\n')
})

test('events that are not declared', async (t) => {
  t.test('onError gets the error of an undeclared event, after the events before it are sent', async (t) => {
    const app = await makeApp(t)
    const errors = declare(app, '/', { price, closed: {} }, [{ event: 'price', data: { symbol: 'ACME' } }, { event: 'nope', data: 1 }, { event: 'price', data: { symbol: 'AFTER' } }])
    t.equal(await body(app, '/'), 'event: price\ndata: {"symbol":"ACME"}\n\n')
    t.match(errors, [{ code: 'SSE_ERR_UNKNOWN_EVENT', message: 'The event "nope" is not declared in the route\'s "events", which holds price, closed' }])
    t.equal(errors.length, 1)
  })

  t.test('an event without a name is an error if `message` is not declared', async (t) => {
    const app = await makeApp(t)
    const errors = [declare(app, '/object', { price }, [{ data: {} }]), declare(app, '/string', { price }, ['text'])]
    for (const url of ['/object', '/string']) t.equal(await body(app, url), '')
    t.match(errors, [[{ code: 'SSE_ERR_UNKNOWN_EVENT', message: /^The event "message" is not declared/ }], [{ code: 'SSE_ERR_UNKNOWN_EVENT' }]])
  })

  t.test('an undeclared event without data is an error', async (t) => {
    const app = await makeApp(t)
    const errors = declare(app, '/', { price }, [{ event: 'nope' }])
    t.equal(await body(app, '/'), '')
    t.match(errors, [{ code: 'SSE_ERR_UNKNOWN_EVENT', message: /^The event "nope" is not declared/ }])
  })

  t.test('an event with the name of a member of Object.prototype is an error', async (t) => {
    const app = await makeApp(t)
    const errors = declare(app, '/', { price }, [{ event: 'toString', data: 1 }])
    t.equal(await body(app, '/'), '')
    t.match(errors, [{ code: 'SSE_ERR_UNKNOWN_EVENT', message: /^The event "toString" is not declared/ }])
  })

  t.test('stream.send rejects for an undeclared event, and the next tick of an interval is sent', async (t) => {
    const app = await makeApp(t)
    const told: Error[] = []
    let ticks = 0
    app.sseRoute({
      url: '/',
      events: { price: {} },
      interval: 1,
      onConnect: async (_request, stream) => { await t.rejects(stream.send(JSON.parse('{ "event": "nope", "data": 1 }')), { code: 'SSE_ERR_UNKNOWN_EVENT' }) },
      payload: (_request, stream) => {
        if (++ticks === 3) stream.close()
        return ticks === 1 ? JSON.parse('{ "event": "nope", "data": 1 }') : { event: 'price', data: ticks }
      },
      onError: (error) => { told.push(error) }
    })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.equal(client.text, 'event: price\ndata: 2\n\n')
    t.match(told, [{ code: 'SSE_ERR_UNKNOWN_EVENT' }])
    t.equal(told.length, 1)
  })
})

test('data that its serializer refuses is an error that names the event', async (t) => {
  const app = await makeApp(t)
  const errors = {
    missing: declare(app, '/missing', { price }, [{ event: 'price', data: { price: 1 } }]),
    number: declare(app, '/number', { token: { type: 'string' } }, [{ event: 'token', data: 5 }]),
    date: declare(app, '/date', { message: { type: 'string', format: 'date' } }, [{ data: new Date() }])
  }
  for (const url of ['/missing', '/number', '/date']) t.equal(await body(app, url), '')
  t.match(errors, {
    missing: [{ code: 'SSE_ERR_SERIALIZATION', message: /^The data of event "price" cannot be serialized: the serializer threw an object \(Error\)$/, cause: { message: /"symbol" is required/ } }],
    number: [{ code: 'SSE_ERR_SERIALIZATION', message: /^The data of event "token" cannot be serialized: its schema is a string, got 5$/ }],
    date: [{ code: 'SSE_ERR_SERIALIZATION', message: /^The data of event "message" .* got an object \(Date\)$/ }]
  })
})

test('schemas are resolved by $ref', async (t) => {
  const app = await makeApp(t)
  app.addSchema({ $id: 'price', ...price })
  app.register(async (child) => {
    child.addSchema({ $id: 'list', type: 'array', items: { $ref: 'price#' } })
    declare(child, '/child', { list: { $ref: 'list#' }, price: { type: 'object', properties: { of: { $ref: 'price#' } } } }, [
      { event: 'list', data: [{ symbol: 'ACME', secret: true }] }, { event: 'price', data: { of: { symbol: 'ACME', secret: true } } }
    ])
  })
  declare(app, '/root', { price: { $ref: 'price#' } }, [{ event: 'price', data: { symbol: 'ACME', secret: true } }])
  await app.ready()
  t.equal(await body(app, '/root'), 'event: price\ndata: {"symbol":"ACME"}\n\n')
  t.equal(await body(app, '/child'), 'event: list\ndata: [{"symbol":"ACME"}]\n\nevent: price\ndata: {"of":{"symbol":"ACME"}}\n\n')
})

test('a schema that cannot be compiled fails at ready', async (t) => {
  t.test('a schema that cannot be compiled is named by its event and route', async (t) => {
    const app = await makeApp(t)
    app.register(async (child) => { declare(child, '/stocks', { fine: {}, price: { $ref: 'nowhere#' } }, []) }, { prefix: '/v1' })
    await t.rejects(async () => app.ready(), { code: 'SSE_ERR_SCHEMA', message: /^The schema of event "price" of GET \/v1\/stocks cannot be compiled$/, cause: { message: /nowhere/ } })
  })

  t.test('a schema of a sibling that cannot be compiled fails at ready', async (t) => {
    const app = await makeApp(t)
    app.register(async (child) => { child.addSchema({ $id: 'price', ...price }) })
    app.register(async (child) => { declare(child, '/', { price: { $ref: 'price#' } }, []) })
    await t.rejects(async () => app.ready(), { code: 'SSE_ERR_SCHEMA' })
  })

  t.test('a compiler that throws a value other than an Error fails at ready', async (t) => {
    const app = await makeApp(t)
    const serializerCompiler = () => {
      AbortSignal.abort('no such schema').throwIfAborted()
      return String
    }
    declare(app, '/', { price }, [], { serializerCompiler })
    await t.rejects(async () => app.ready(), { code: 'SSE_ERR_SCHEMA', message: /cannot be compiled: "no such schema"$/, cause: 'no such schema' })
  })
})

test('a custom serializer compiler is used', async (t) => {
  const items = [{ event: 'price', data: { symbol: 'ACME' } }]

  t.test('the serializer compiler of the instance is called once for each event, and not for text', async (t) => {
    const app = await makeApp(t)
    const { compiler, asked } = marking('own ')
    app.setSerializerCompiler(compiler)
    declare(app, '/', { price, other: {}, text: { type: 'string' } }, [...items, ...items, { event: 'text', data: 'plain' }])
    t.equal(await body(app, '/'), 'event: price\ndata: own {"symbol":"ACME"}\n\n'.repeat(2) + 'event: text\ndata: plain\n\n')
    t.same(asked, [
      { schema: price, method: 'GET', url: '/', httpStatus: '200' },
      { schema: {}, method: 'GET', url: '/', httpStatus: '200' }
    ])
  })

  t.test('a serializer compiler that is set after the route is used', async (t) => {
    const app = await makeApp(t)
    declare(app, '/', { price }, items)
    app.setSerializerCompiler(marking('late ').compiler)
    t.equal(await body(app, '/'), 'event: price\ndata: late {"symbol":"ACME"}\n\n')
  })

  t.test('the serializer compiler of an encapsulated instance is used by its routes only', async (t) => {
    const app = await makeApp(t)
    app.register(async (child) => {
      child.setSerializerCompiler(marking('child ').compiler)
      declare(child, '/child', { price }, items)
      child.register(async (grandchild) => { declare(grandchild, '/grandchild', { price }, items) })
    })
    app.register(async (sibling) => { declare(sibling, '/sibling', { price }, items) })
    declare(app, '/root', { price }, items)
    await app.ready()
    t.equal(await body(app, '/child'), 'event: price\ndata: child {"symbol":"ACME"}\n\n')
    t.equal(await body(app, '/grandchild'), 'event: price\ndata: child {"symbol":"ACME"}\n\n')
    for (const url of ['/sibling', '/root']) t.equal(await body(app, url), 'event: price\ndata: {"symbol":"ACME"}\n\n', url)
  })

  t.test('the serializer compiler of the route has priority over the instance\'s', async (t) => {
    const app = await makeApp(t)
    app.setSerializerCompiler(marking('instance ').compiler)
    declare(app, '/route', { price }, items, { serializerCompiler: marking('route ').compiler })
    declare(app, '/other', { price }, items)
    t.equal(await body(app, '/route'), 'event: price\ndata: route {"symbol":"ACME"}\n\n')
    t.equal(await body(app, '/other'), 'event: price\ndata: instance {"symbol":"ACME"}\n\n')
  })

  t.test('the serializer compiler of fastify-type-provider-zod checks the data', async (t) => {
    const app = await makeApp(t)
    app.setSerializerCompiler(zodSerializerCompiler)
    const events = { price: z.object({ symbol: z.string() }), text: z.string() }
    const errors = declare(app, '/', events, [{ event: 'price', data: { symbol: 'ACME', secret: true } }, { event: 'text', data: 'plain' }, { event: 'price', data: { symbol: 1 } }])
    t.equal(await body(app, '/'), 'event: price\ndata: {"symbol":"ACME"}\n\nevent: text\ndata: plain\n\n')
    t.match(errors, [{ code: 'SSE_ERR_SERIALIZATION', message: /^The data of event "price"/ }])
  })
})

test('the option `serializer` is for routes without events', async (t) => {
  const app = await makeApp(t, { serializer: () => 'own' })
  app.sseRoute({ url: '/without', source: () => [{ event: 'price', data: { symbol: 'ACME' } }] })
  declare(app, '/with', { price }, [{ event: 'price', data: { symbol: 'ACME' } }])
  t.equal(await body(app, '/without'), 'event: price\ndata: own\n\n')
  t.equal(await body(app, '/with'), 'event: price\ndata: {"symbol":"ACME"}\n\n')
})

test('a route of several methods, or with a HEAD, writes the same for each', async (t) => {
  const app = await makeApp(t)
  declare(app, '/', { price }, [{ event: 'price', data: { symbol: 'ACME', secret: true } }], { method: ['GET', 'POST'] })
  for (const method of ['GET', 'POST'] as const) t.equal((await app.inject({ method, url: '/' })).body, 'event: price\ndata: {"symbol":"ACME"}\n\n', method)
  t.equal((await app.inject({ method: 'HEAD', url: '/' })).statusCode, 200)
})

test('schemas of other responses stay as declared', async (t) => {
  const app = await makeApp(t)
  const schema = { response: { 404: { type: 'object', properties: { message: { type: 'string' } } } } }
  declare(app, '/', { price }, [], { schema, preHandler: async () => { throw Object.assign(new Error('gone'), { statusCode: 404 }) } })
  t.equal(await body(app, '/'), '{"message":"gone"}')
  t.strictSame(schema, { response: { 404: { type: 'object', properties: { message: { type: 'string' } } } } }, 'which are left as they were')
})

test('a route without events needs no serializer compiler', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.setSerializerCompiler(() => { throw new Error('not asked for') })
  await app.register(sse)
  app.sseRoute({ url: '/', source: () => [{ data: 1 }] })
  t.equal(await body(app, '/'), 'data: 1\n\n')
})
