// Symptom: the log repeats the message of a cause within one line.
// Cause: the message of an error contained that of its `cause`, and pino appends the messages of causes.
import Fastify from 'fastify'
import pino from 'pino'
import { test, type Test } from 'tap'
import sse, { type SSEPluginOptions } from '../../lib/index.js'
import { redisBackplane } from '../../lib/redis/index.js'

/** Returns the error with which an app fails to start. */
async function failureOf (t: Test, options: SSEPluginOptions, route?: object): Promise<Error> {
  const app = Fastify()
  t.teardown(() => app.close())
  try {
    await app.register(sse, options)
    if (route) app.sseRoute('/', { source: () => [], ...route })
    await app.ready()
  } catch (error) {
    return error as Error
  }
  throw new Error('it started')
}

/** Returns the messages of an error and of its causes. */
function messagesOf (error: unknown): string[] {
  return error instanceof Error ? [error.message, ...messagesOf(error.cause)] : []
}

test('the message of a cause occurs once in the log line of its error', async (t) => {
  const circular = {}
  Object.assign(circular, { circular })
  const reply = Fastify()
  t.teardown(() => reply.close())
  await reply.register(sse)
  for (const [what, code, error] of [
    ['an event that cannot be sent', 'SSE_ERR_OPTION', await failureOf(t, { drain: { event: { id: 'x' } as unknown as string } })],
    ['a schema that does not compile', 'SSE_ERR_SCHEMA', await failureOf(t, {}, { events: { price: { $ref: 'nowhere#' } } })],
    ['a Redis that is not there', 'SSE_ERR_BACKPLANE', await failureOf(t, { backplane: redisBackplane({ url: 'redis://127.0.0.1:1', timeout: 200 }) })],
    ['data that cannot be serialized', 'SSE_ERR_SERIALIZATION', await reply.sse.publish('a', { data: circular }).then(() => new Error('it was sent'), (error: Error) => error)]
  ] as const) {
    t.match(error, { code }, what)
    const [, ...causes] = messagesOf(error)
    t.ok(causes.length > 0, what)
    let line = ''
    pino({}, { write: (text: string) => { line = text } }).error(error)
    const { message } = JSON.parse(line).err
    for (const cause of causes) t.equal(message.split(cause).length, 2, message)
  }
})
