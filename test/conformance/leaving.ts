import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { until } from '../helpers/until.js'
import type { Client } from './clients.js'

/** What a route saw of a client. */
interface Visit {
  accept: string | undefined
  cacheControl: string | undefined
  closeReason?: string | null
}

/** Serves `/open/<client>`, which stays open; who came there. */
export function serveOpen (app: FastifyInstance): Map<string, Visit> {
  const visits = new Map<string, Visit>()
  app.sseRoute<{ Params: { client: string } }>('/open/:client', {
    onConnect: ({ params, headers }) => { visits.set(params.client, { accept: headers.accept, cacheControl: headers['cache-control'] }) },
    onDisconnect: ({ params }, { closeReason }) => { Object.assign(visits.get(params.client) ?? {}, { closeReason }) }
  })
  return visits
}

/** What a client asks with is accepted, and its `close()` is the end at the server as well. */
export async function leaves (t: Test, client: Client, origin: string, visits: Map<string, Visit>): Promise<void> {
  const followed = await client.follow(`${origin}/open/${encodeURIComponent(client.name)}`)
  await until(`${client.name} to be open`, async () => (await followed.seen()).opened === 1)
  await followed.close()
  await until(`${client.name} to be gone`, () => visits.get(client.name)?.closeReason)
  t.strictSame(visits.get(client.name), { accept: 'text/event-stream', cacheControl: 'no-cache', closeReason: 'client' }, client.name)
}
