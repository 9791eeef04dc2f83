// Symptom: an object sent as data arrives without its fields.
// Cause: an object with `id`, `event` or `data` is read as an event, and its other fields were ignored without an error.
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import { encode } from '../../lib/event/encode.js'
import { injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

/** Objects with an unknown field, by that field. Their other fields would be sent without it. */
const UNKNOWN_FIELDS: Record<string, object> = {
  choices: { id: 'c-1', choices: [] },
  Data: { event: 'x', Data: 1 },
  type: { type: 'data-x', data: 1 },
  payload: { event: 'x', payload: 1 },
  comment: { comment: undefined, data: 1 },
  call: { data: 1, call () {} }
}

const refused = (field: string) => ({ code: 'SSE_ERR_PAYLOAD', message: `An event is a string or an object with no fields but id, event, comments, data and retry, got an object (Object) with "${field}"` })

/** Ways to give a payload to an app. Each rejects with the error that the payload causes. */
const WAYS: Record<string, (t: Test, app: FastifyInstance, payload: object) => Promise<unknown>> = {
  publish: async (_t, app, payload) => app.sse.publish('a', payload),
  broadcast: async (_t, app, payload) => app.sse.broadcast(payload),
  sendTo: async (_t, app, payload) => app.sse.sendTo('a', payload),
  interval: (t, app, payload) => failing(t, app, { interval: 1_000, payload: () => payload }),
  'interval with a promise': (t, app, payload) => failing(t, app, { interval: 1_000, payload: async () => payload }),
  'shared interval': (t, app, payload) => failing(t, app, { interval: 1_000, shared: true, payload: () => payload }),
  source: (t, app, payload) => failing(t, app, { source: () => [payload] }),
  send: (t, app, payload) => failing(t, app, { onConnect: (_request: unknown, stream: { send (payload: object): unknown }) => stream.send(payload) }),
  'send on a stream with topics': (t, app, payload) => failing(t, app, { topics: ['a'], onConnect: (_request: unknown, stream: { send (payload: object): unknown }) => stream.send(payload) })
}

/** Rejects with the error passed to `onError` of the route. */
async function failing (t: Test, app: FastifyInstance, options: object): Promise<never> {
  const errors: unknown[] = []
  app.sseRoute('/', { ...options, onError: (error: Error) => { errors.push(error) } } as never)
  const stream = await injectSSE(app, { url: '/' })
  t.teardown(() => stream.close())
  await until('the error', () => errors.length > 0)
  throw errors[0]
}

for (const [way, give] of Object.entries(WAYS)) {
  test(`a payload with an unknown field, given by ${way}, is an error that names the field`, async (t) => {
    for (const [field, payload] of Object.entries(UNKNOWN_FIELDS)) {
      const app = await makeApp(t)
      await t.rejects(give(t, app, payload), refused(field), field)
    }
  })
}

test('with openOn: first-event, an unknown field in the first item is answered as an HTTP error', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { openOn: 'first-event', source: () => [{ id: 'c-1', choices: [] }] } as never)
  const response = await app.inject('/')
  t.equal(response.statusCode, 500)
  t.match(response.json(), refused('choices'))
})

test('an unknown field with a long name is truncated in the message', (t) => {
  t.throws(() => encode({ data: 1, ['x'.repeat(1_000)]: 1 }), refused(`${'x'.repeat(40)}…`))
  t.end()
})

test('payloads of all kinds of objects', async (t) => {
  t.test('payloads that are frozen or have no prototype are read like others', (t) => {
    const bare = (fields: object) => Object.assign(Object.create(null), fields)
    t.equal(encode(Object.freeze({ event: 'a', data: 'b' })), 'event: a\ndata: b\n\n')
    t.equal(encode(bare({ event: 'a', data: 'b' })), 'event: a\ndata: b\n\n')
    t.throws(() => encode(Object.freeze({ data: 'b', dta: 1 })), refused('dta'))
    t.throws(() => encode(bare({ data: 'b', dta: 1 })), { code: 'SSE_ERR_PAYLOAD', message: /got an object \(no prototype\) with "dta"$/ })
    t.end()
  })

  t.test('a payload can be an instance with methods, getters, private fields and symbol fields', (t) => {
    class Tick {
      event = 'tick'
      readonly #data = 1
      get data () { return this.#data }
      get age () { return 1 }
      toString () { return 'tick' }
    }
    function Old (this: { data: number }) { this.data = 1 }
    Old.prototype.describe = () => ''
    t.equal(encode(Object.assign(new Tick(), { [Symbol('trace')]: 7 })), 'event: tick\ndata: 1\n\n')
    t.equal(encode(Reflect.construct(Old, [])), 'data: 1\n\n')
    t.equal(encode(Object.defineProperty({ data: 1 }, 'parent', { value: 1 })), 'data: 1\n\n', 'fields that are not enumerable are ignored')
    t.end()
  })

  t.test('a payload that is an instance with an unknown own field is refused', (t) => {
    class Row {
      data = 1
      table = 'rows'
    }
    t.throws(() => encode(new Row()), { code: 'SSE_ERR_PAYLOAD', message: /got an object \(Row\) with "table"$/ })
    t.throws(() => encode(Object.assign(new Error('no'), { data: 1, code: 'E' })), { code: 'SSE_ERR_PAYLOAD', message: /got an object \(Error\) with "code"$/ })
    t.end()
  })

  t.test('a payload with an unknown inherited field is refused, such as a MessageEvent', (t) => {
    const event = new MessageEvent('price', { data: '1', lastEventId: '7' })
    t.throws(() => encode(event), { code: 'SSE_ERR_PAYLOAD', message: /got an object \(MessageEvent\) with "\w+"$/ })
    t.throws(() => encode(Object.create({ type: 'price' }, { data: { value: 1, enumerable: true } })), refused('type'))
    t.end()
  })

  t.test('a field that was added to Object.prototype is ignored in payloads', (t) => {
    const everyObject = Object.getPrototypeOf({})
    t.teardown(() => { delete everyObject.extended })
    everyObject.extended = 1
    t.equal(encode({ data: 1 }), 'data: 1\n\n')
    t.throws(() => encode({ data: 1, extended: 2 }), refused('extended'), 'an own field of that name is refused')
    t.end()
  })

  t.test('a payload of bytes is refused, whatever its size', (t) => {
    t.throws(() => encode(Buffer.alloc(50_000_000)), { code: 'SSE_ERR_PAYLOAD', message: /got an object \(Buffer\)$/ })
    t.throws(() => encode(new DataView(new ArrayBuffer(1))), { code: 'SSE_ERR_PAYLOAD', message: /got an object \(DataView\)$/ })
    t.end()
  })
})
