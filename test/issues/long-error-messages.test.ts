// Symptom: an error response shows internal data, or is as long as the data that a user sent.
// Cause: error messages contained whole values and the messages of serializers.
import Fastify from 'fastify'
import { type Test, test } from 'tap'
import { sse as follow } from '../../lib/client/index.js'
import sse, { type SSERouteOptions } from '../../lib/index.js'
import { ends, serve } from '../client/server.js'

const LONG = 'secret'.repeat(20_000)

/** Requests a route and returns the response and the errors in its log. */
async function requestRoute (t: Test, options: object) {
  const log: Array<{ message: string, stack: string }> = []
  const app = Fastify({ logger: { level: 'error', stream: { write: (line: string) => { log.push(JSON.parse(line).err) } } } })
  t.teardown(() => app.close())
  await app.register(sse)
  app.sseRoute('/', options as Omit<SSERouteOptions, 'url'>)
  const response = await app.inject('/')
  return { statusCode: response.statusCode, body: response.json() as { code: string, message: string }, log }
}

const first = (item: unknown) => ({ openOn: 'first-event', source: () => [item] })
const names = (count: number, name: (n: number) => string) => Object.fromEntries(Array.from({ length: count }, (_, n) => [name(n), { type: 'string' }]))

/** Events whose error message would contain user text or a whole list, with the expected message. */
const LONG_VALUES: Record<string, [options: object, code: string, message: string]> = {
  'the name of an event that is not declared': [{ ...first({ event: LONG }), events: names(1, () => 'a') }, 'SSE_ERR_UNKNOWN_EVENT', `The event "${LONG.slice(0, 40)}…" is not declared in the route's "events", which holds a`],
  'the names of the events that are declared': [{ ...first('a'), events: names(1_000, (n) => `event-${n}`) }, 'SSE_ERR_UNKNOWN_EVENT', 'The event "message" is not declared in the route\'s "events", which holds event-0, event-1, event-2, event-3, event-4, event-5, event-6, event-7, event-8, event-9 and 990 more'],
  'a long name of a declared event': [{ ...first('a'), events: names(1, () => LONG) }, 'SSE_ERR_UNKNOWN_EVENT', `The event "message" is not declared in the route's "events", which holds ${LONG.slice(0, 40)}…`],
  'the name of an event with bad data': [first({ event: LONG, data: 1n }), 'SSE_ERR_SERIALIZATION', `The data of event "${LONG.slice(0, 40)}…" cannot be serialized: the serializer threw an object (TypeError)`],
  'the error of a serializer': [{ ...first({ data: 1 }), serializer: () => { throw new Error(LONG) } }, 'SSE_ERR_SERIALIZATION', 'The data of event "message" cannot be serialized: the serializer threw an object (Error)'],
  'the class name of an error of a serializer': [{ ...first({ data: 1 }), serializer: () => { throw Object.defineProperty(new Error('no'), 'constructor', { value: { name: LONG } }) } }, 'SSE_ERR_SERIALIZATION', `The data of event "message" cannot be serialized: the serializer threw an object (${LONG.slice(0, 40)}…)`],
  'the result of a serializer': [{ ...first({ data: 1 }), serializer: () => 10n ** 10_000n }, 'SSE_ERR_SERIALIZATION', `The data of event "message" cannot be serialized: the serializer gave ${`1${'0'.repeat(39)}`}… for 1`],
  'a symbol in place of a payload': [first(Symbol(LONG)), 'SSE_ERR_PAYLOAD', `An event is a string or an object with no fields but id, event, comments, data and retry, got Symbol(${LONG.slice(0, 33)}…`],
  'the class name of a value': [first({ id: { constructor: { name: LONG } } }), 'SSE_ERR_FIELD', `The field "id" of an event takes a string or a number, got an object (${LONG.slice(0, 40)}…)`],
  'an invalid id': [first({ id: `${LONG}\n` }), 'SSE_ERR_FIELD', `The field "id" of an event takes text of at most 8000 bytes, without control characters (but TAB) and DEL, got "${LONG.slice(0, 40)}…"`]
}

for (const [what, [options, code, message]] of Object.entries(LONG_VALUES)) {
  test(`${what} is truncated in the response`, async (t) => {
    t.match(await requestRoute(t, options), { statusCode: 500, body: { code, message } })
  })
}

test('the response does not contain the error message of a serializer, and the log does', async (t) => {
  class Account {
    owner: object = { account: this }
  }
  const integer = { type: 'object', properties: { at: { type: 'integer' } } }
  const union = { type: 'object', properties: { at: { anyOf: [{ type: 'number' }, { type: 'boolean' }] } } }
  const cases: Array<[options: object, said: RegExp]> = [
    [first({ data: new Account() }), /circular structure to JSON[^]*'Account'/],
    [{ ...first({ data: { at: 'hunter2' } }), events: { message: integer } }, /hunter2/],
    [{ ...first({ data: { at: 'hunter2' } }), events: { message: union } }, /The value of '#\/properties\/at' does not match schema definition/],
    [first({ data: { toJSON () { throw new RangeError('hunter2') } } }), /hunter2/]
  ]
  for (const [options, said] of cases) {
    const { statusCode, body, log } = await requestRoute(t, options)
    t.match([statusCode, body.code, body.message], [500, 'SSE_ERR_SERIALIZATION', /^The data of event "message" cannot be serialized: the serializer threw an object \(\w*Error\)$/], String(said))
    t.notMatch(JSON.stringify(body), said)
    t.equal(log.length, 1)
    t.match(log[0]?.message, said)
  }
})

test('the client truncates text of a server in its error messages', async (t) => {
  const { url } = await serve(t, ends(`event: ${LONG}\ndata: no JSON\n\n`))
  await t.rejects(follow(url).next(), { code: 'SSE_ERR_DATA', message: `The data of the event "${LONG.slice(0, 40)}…" is not JSON; the options "text", "end" and "onInvalid" are for text` })
  const other = await serve(t, (response) => { response.writeHead(404, { 'content-type': `text/html; a=${'x'.repeat(10_000)}` }).end() })
  await t.rejects(follow(other.url).next(), { code: 'SSE_ERR_NO_STREAM', message: `The answer is no event stream: status 404, content-type text/html; a=${'x'.repeat(27)}…` })
})
