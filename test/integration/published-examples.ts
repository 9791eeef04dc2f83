import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import notifications from '../../examples/notifications.js'
import orders from '../../examples/orders.js'
import room from '../../examples/room.js'
import session from '../../examples/session.js'
import trades from '../../examples/trades.js'
import type { InjectedEvent, InjectedStream } from '../../lib/testing.js'
import { makeApp } from '../helpers/app.js'

/** The examples that publish events, as one app, closed at the end of the test. */
export async function examples (t: Test, secret = 'a secret', server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = await makeApp(t, {}, server)
  await app.register(cookie, { secret })
  for (const example of [room, session, notifications, orders, trades]) await app.register(example)
  return app
}

/** The next events of a stream. */
export async function take (stream: InjectedStream, count: number): Promise<InjectedEvent[]> {
  const taken: InjectedEvent[] = []
  for await (const event of stream) if (taken.push(event) === count) return taken
  throw new Error(`the stream ended after ${taken.length} events of ${count}`)
}
