import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { until } from '../helpers/until.js'
import { type ByteCase, byteCases, heldIds } from './byte-cases.js'
import { writePieces } from './pieces.js'
import { byteDeviations, ownIds } from './deviations.js'
import type { Client } from './clients.js'
import { longCases, mustSee, namesIn, type PayloadCase, payloadCases } from './payload-cases.js'

/** The ways of delivery: at once, or in small chunks. */
export type Way = 'whole' | 'pieces'

const LAST: PayloadCase = [{ event: 'last', data: '' }, ['last', '']]
const tables: Record<string, PayloadCase[]> = {
  all: [...payloadCases, LAST],
  // longer than a socket takes at once, and short enough to be sent in small chunks
  long: [...longCases(40_000), LAST],
  short: [...longCases(50), LAST]
}

/** Declares routes that send each client the tables, once. */
export function servePayloads (app: FastifyInstance): void {
  const sent = new Set<string>()
  app.sseRoute<{ Params: { table: string } }>('/payloads/:table/:way/:client', {
    preHandler: async ({ url }, reply) => {
      if (sent.has(url)) return reply.code(204).send()
      sent.add(url)
    },
    source: ({ params }) => (tables[params.table] ?? []).map(([payload]) => payload)
  })
}

/** Asserts the events that one client reads of a table at a path. */
export async function readsPayloads (t: Test, client: Client, origin: string, table: string, way: Way): Promise<void> {
  const cases = tables[table] ?? []
  const followed = await client.follow(`${origin}/payloads/${table}/${way}/${encodeURIComponent(client.name)}`, namesIn(cases))
  const expected = mustSee(cases, !ownIds.has(client.name))
  await until(`all events of a table in ${client.name}`, async () => await followed.received() >= expected.length, 30_000)
  await followed.close()
  const { events: seen } = await followed.seen()
  t.strictSame(seen, expected, `${client.name}: ${table}`)
}

const streams: ByteCase[] = [...byteCases, ...heldIds]
const names = streams.flatMap(([, events]) => events.map(({ event }) => event))

/** Serves each stream of bytes once to each client at `/<way>/<place>/<client>`. Returns the origin. */
export async function serveBytes (t: Test): Promise<string> {
  const sent = new Set<string>()
  const server = createServer(async ({ url = '' }, response) => {
    const [, way, place] = url.split('/')
    const stream = Buffer.from(streams[Number(place)]?.[0] ?? '')
    response.writeHead(sent.has(url) ? 204 : 200, { 'content-type': 'text/event-stream', 'access-control-allow-origin': '*' })
    if (!sent.has(url)) await (way === 'pieces' ? writePieces(response, stream, 1) : response.write(stream))
    sent.add(url)
    response.end()
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Asserts the events that one client reads of the streams. */
export async function readsBytes (t: Test, client: Client, origin: string, way: Way): Promise<void> {
  for (const [place, [stream, events]] of streams.entries()) {
    const text = String(stream)
    const followed = await client.follow(`${origin}/${way}/${place}/${encodeURIComponent(client.name)}`, names)
    await until(`the end of a stream in ${client.name}`, async () => (await followed.seen()).failed > 0)
    const seen = await followed.seen()
    await followed.close()
    const deviation = byteDeviations.find((one) => one.client === client.name && one.way !== other(way) && one.streams.includes(text))
    t.strictSame(seen.events, deviation ? deviation.sees(events) : events, [client.name, JSON.stringify(text.slice(0, 60)), deviation?.because].filter(Boolean).join(': '))
  }
}

const other = (way: Way) => way === 'whole' ? 'pieces' : 'whole'
