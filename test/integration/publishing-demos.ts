import cookie from '@fastify/cookie'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import type { Test } from 'tap'
import { signOutsInMemory } from '../../demo/data/sign-outs.js'
import notifications from '../../demo/notifications.js'
import orders from '../../demo/orders.js'
import room from '../../demo/room.js'
import session from '../../demo/session.js'
import trades from '../../demo/trades.js'
import type { InjectedEvent, InjectedStream } from '../../lib/testing.js'
import { makeApp } from '../helpers/app.js'

/** The plugins of the demo that publish events, as one app, closed at the end of the test. */
export async function publishingDemos (t: Test, secret = 'a secret', server: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = await makeApp(t, {}, server)
  await app.register(cookie, { secret })
  const signOuts = signOutsInMemory()
  for (const plugin of [room, orders, trades]) await app.register(plugin)
  for (const plugin of [session, notifications]) await app.register(plugin, { signOuts })
  return app
}

/** Reads the next events of a stream. */
export async function take (stream: InjectedStream, count: number): Promise<InjectedEvent[]> {
  const taken: InjectedEvent[] = []
  for await (const event of stream) if (taken.push(event) === count) return taken
  throw new Error(`the stream ended after ${taken.length} events of ${count}`)
}
