import { Type } from '@sinclair/typebox'
import { serializerCompiler } from 'fastify-type-provider-zod'
import { test } from 'tap'
import { z } from 'zod'
import { defineTopic } from '../../lib/index.js'
import { at, build, media, operation, Price, price } from './app.js'

const trades = defineTopic('trades:{symbol}', { events: { price: Price } })
const notes = defineTopic('notes', { events: { note: Type.String() } })
const json = (contentSchema: object) => ({ type: 'string', contentMediaType: 'application/json', contentSchema })

/** Returns the data of each event in the description of the event stream at a URL, by event name. */
function dataOf (document: unknown, url: string): Record<string, unknown> {
  const alternatives = at(media(document, url), 'itemSchema', 'oneOf')
  return Object.fromEntries(Array.from(alternatives as unknown[], (event) => [at(event, 'properties', 'event', 'enum', '0'), at(event, 'properties', 'data')]))
}

test('the events of typed topics are described with the events of the route, and the event `gap`', async (t) => {
  const app = await build(t, {}, (app) => {
    app.sseRoute('/both/:symbol', { topics: [trades, notes.from(() => ({})), 'text'], events: { snapshot: Type.Array(Price) } })
    app.sseRoute('/topics', { topics: [trades({ symbol: 'ACME' })] })
    app.sseRoute('/function/:symbol', { topics: () => [trades], events: { snapshot: Type.Array(Price) } })
  })
  const document = app.swagger()
  t.match(dataOf(document, '/both/{symbol}'), {
    price: json(price), note: { type: 'string' }, snapshot: json({ type: 'array', items: price }), gap: json({ type: 'object' })
  })
  t.equal(at(operation(document, '/both/{symbol}'), 'responses', '200', 'description'), 'Server-sent events: price, note, snapshot, gap')
  t.strictSame(Object.keys(dataOf(document, '/topics')), ['price', 'gap'])
  t.strictSame(Object.keys(dataOf(document, '/function/{symbol}')), ['snapshot', 'gap'], 'a function is not called for a document')
})

test('typed topics with schemas of zod are described as JSON Schema', async (t) => {
  const authors = defineTopic('authors', { events: { author: z.object({ name: z.string() }), left: z.string() } })
  const app = await build(t, {}, (app) => {
    app.setSerializerCompiler(serializerCompiler)
    app.sseRoute('/authors', { topics: [authors] })
  })
  t.match(dataOf(app.swagger(), '/authors'), { author: json({ type: 'object', properties: { name: { type: 'string' } } }), left: { type: 'string' }, gap: json({}) })
})

test('a topic without declared events, and a name, leave the description of a route as it is', async (t) => {
  const app = await build(t, {}, (app) => {
    app.sseRoute('/any', { topics: [defineTopic('any')(), 'text'] })
    app.sseRoute('/text', { topics: ['text'] })
  })
  t.strictSame(operation(app.swagger(), '/any'), operation(app.swagger(), '/text'))
})
