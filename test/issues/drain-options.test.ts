// Symptom: `drain: {}` is refused, or a wrong `drain.event` is noticed only when the server closes.
// Cause: the options of `drain` had no defaults of their own, and the event was not checked at registration.
import { test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { readPluginOptions } from '../../lib/options/read.js'
import { makeApp } from '../helpers/app.js'

test('each option of drain can be given alone, and all can be omitted', async (t) => {
  const event = { event: 'bye', data: { soon: true } }
  const defaults = { spread: 3_000, event: undefined, timeout: 5_000 }
  t.strictSame(readPluginOptions({}).drain, defaults)
  t.strictSame(readPluginOptions({ drain: {} }).drain, defaults)
  t.strictSame(readPluginOptions({ drain: { spread: undefined, event: undefined, timeout: undefined } }).drain, defaults)
  t.strictSame(readPluginOptions({ drain: { spread: 0 } }).drain, { ...defaults, spread: 0 })
  t.strictSame(readPluginOptions({ drain: { timeout: 0 } }).drain, { ...defaults, timeout: 0 })
  t.strictSame(readPluginOptions({ drain: { event } }).drain, { ...defaults, event })
  t.strictSame(readPluginOptions({ drain: { event: 'bye' } }).drain, { ...defaults, event: 'bye' })
  t.strictSame(readPluginOptions({ serializer: String, drain: { event: { data: 1n } } }).drain, { ...defaults, event: { data: 1n } })
  await t.resolves(makeApp(t, { drain: {} }))
})

/** Events that cannot be sent, each with the message of the cause. */
const invalidEvents: Array<[event: unknown, why: string]> = [
  [1, 'An event is a string or an object with no fields but id, event, comments, data and retry, got 1'],
  [null, 'An event is a string or an object with no fields but id, event, comments, data and retry, got nothing to write, null'],
  [{}, 'An event is a string or an object with no fields but id, event, comments, data and retry, got nothing to write, an object (Object)'],
  [{ event: 'a\nb' }, 'The field "event" of an event takes text without CR, LF and NUL, got "a\\nb"'],
  [{ data: 1n }, 'The data of event "message" cannot be serialized: the serializer threw an object (TypeError)'],
  [{ id: '1', data: 'x' }, 'Published events, and all events on a stream with topics, have their id from the log; got the id "1"']
]

for (const [event, why] of invalidEvents) {
  test(`drain.event is refused at registration: ${why}`, async (t) => {
    const refused = makeApp(t, { drain: { event } } as SSEPluginOptions)
    await t.rejects(refused, { code: 'SSE_ERR_OPTION', message: 'The option "drain.event" takes an event, got one that cannot be sent', cause: { code: /^SSE_ERR_/, message: why } })
  })
}
