import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { until } from '../helpers/until.js'
import type { Client } from './clients.js'

/** A client as a route saw it. */
interface Visit {
  accept: string | undefined
  cacheControl: string | undefined
  closeReason?: string | null
}

/** Serves `/open/<client>`, which stays open. Returns the clients that connected. */
export function serveOpen (app: FastifyInstance): Map<string, Visit> {
  const visits = new Map<string, Visit>()
  app.sseRoute<{ Params: { client: string } }>('/open/:client', {
    onConnect: ({ params, headers }) => { visits.set(params.client, { accept: headers.accept, cacheControl: headers['cache-control'] }) },
    onDisconnect: ({ params }, { closeReason }) => { Object.assign(visits.get(params.client) ?? {}, { closeReason }) }
  })
  return visits
}

/** Asserts that the request of a client is accepted, and that its `close()` closes the stream at the server. */
export async function leaves (t: Test, client: Client, origin: string, visits: Map<string, Visit>): Promise<void> {
  const followed = await client.follow(`${origin}/open/${encodeURIComponent(client.name)}`)
  await until(`${client.name} to be open`, async () => (await followed.seen()).opened === 1)
  await followed.close()
  await until(`${client.name} to be gone`, () => visits.get(client.name)?.closeReason)
  t.strictSame(visits.get(client.name), { accept: 'text/event-stream', cacheControl: 'no-cache', closeReason: 'client' }, client.name)
}
