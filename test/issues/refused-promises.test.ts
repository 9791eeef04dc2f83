// Symptom: the process ends because of an unhandled rejection after a wrong option was refused.
// Cause: the refused value was a promise that rejects, as of an async function, and nothing handled it.
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { type Test, test } from 'tap'
import type { SSERouteOptions } from '../../lib/index.js'
import { makeApp } from '../helpers/app.js'

/** Rejects without a handler. */
const rejecting = () => Promise.reject(new Error('no session'))

type Given = Record<string, unknown>
type Cause = (app: FastifyInstance) => Promise<unknown>

/** Rejects with the error response of a route. */
const rejectsWithResponse = (options: Given): Cause => async (app) => {
  app.sseRoute('/', options as Omit<SSERouteOptions, 'url'>)
  throw (await app.inject('/')).json()
}

/** Places where an async function can give a promise by mistake, with the expected error code. */
const PROMISES: Record<string, [code: string, cause: Cause]> = {
  'an async clientId': ['SSE_ERR_CLIENT_ID', rejectsWithResponse({ topics: [], clientId: rejecting })],
  'an async key of a shared payload': ['SSE_ERR_OPTION', rejectsWithResponse({ interval: 1_000, payload: () => 'a', shared: rejecting })],
  'a topic': ['SSE_ERR_TOPIC', rejectsWithResponse({ topics: () => [rejecting()] })],
  'a topic to publish to': ['SSE_ERR_TOPIC', (app) => app.sse.publish(rejecting() as never, 'a')],
  'a client id to send to': ['SSE_ERR_CLIENT_ID', (app) => app.sse.sendTo(rejecting() as never, 'a')],
  'a payload to publish': ['SSE_ERR_PAYLOAD', (app) => app.sse.publish('a', rejecting() as never)],
  'the name of an event': ['SSE_ERR_FIELD', (app) => app.sse.broadcast({ event: rejecting() } as never)],
  'the result of an async serializer': ['SSE_ERR_SERIALIZATION', rejectsWithResponse({ openOn: 'first-event', source: () => [{ data: 1 }], serializer: rejecting })]
}

/** Records the unhandled rejections while a test runs. */
function watchRejections (t: Test): unknown[] {
  const unhandled: unknown[] = []
  const note = (reason: unknown) => { unhandled.push(reason) }
  process.on('unhandledRejection', note)
  t.teardown(() => process.off('unhandledRejection', note))
  return unhandled
}

for (const [what, [code, cause]] of Object.entries(PROMISES)) {
  test(`a promise given as ${what} is refused, and its rejection does not end the process`, async (t) => {
    const unhandled = watchRejections(t)
    await t.rejects(cause(await makeApp(t)), { code })
    await setImmediate()
    t.strictSame(unhandled, [])
  })
}
