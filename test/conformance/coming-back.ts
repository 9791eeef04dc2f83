import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import type { SSEInput } from '../../lib/event/encode.js'
import { until } from '../helpers/until.js'
import type { Client, ClientName } from './clients.js'

/** Default reconnect delay, ms: 3 s in all clients except ours. */
const BY_ITSELF = 2_900
/** Tolerance for early timers and different clocks, ms. */
const EARLY = 5

/** A stream that ends, and the expected reconnect. */
interface EndingStream {
  /** Payloads that a route sends, or bytes that no route sends. */
  sends: SSEInput[] | string
  /** The expected `stream.lastEventId`. */
  lastEventId?: string | null
  /** The expected delay, ms, far below the default. */
  after?: number
  /** Clients that deviate, and why. */
  deviations?: Partial<Record<ClientName, Deviation & { because: string }>>
}

interface Deviation {
  lastEventId?: string | null
  after?: number
  before?: number
  never?: true
}

const notInHeader = { never: true, because: 'an id is put into a header as it is, and a character past U+00FF is refused there' } as const

const withId = (id: string | number, lastEventId: string | null = String(id)): EndingStream => ({ sends: [{ id, data: 'x' }], lastEventId })

const endingStreams: EndingStream[] = [
  { sends: ['no id'], lastEventId: null },
  ...[0, '0', '1', 'a b', ':', 'id: 1', '"', '%E2%80%A6', '~'.repeat(1_000)].map((id) => withId(id)),
  // HTTP strips white space at the ends of a header value
  withId(' 1', '1'),
  withId('1 ', '1'),
  withId('\t1\t', '1'),
  withId(' ', null),
  // the longest id, and controls past U+0080, which a header may have
  ...['x'.repeat(8_000), 'a\tb', 'a\x80b', 'a\x85b', 'a\x9fb'].map((id) => withId(id)),
  ...['…', '𝄞', '日本'].map((id) => ({ ...withId(id), deviations: { eventsource: notInHeader, undici: notInHeader } })),
  // sent by some clients as Latin-1
  withId('é'),
  { sends: [{ id: '1', data: 'x' }, { id: '', data: 'y' }], lastEventId: null },
  { sends: [{ id: '1', data: 'x' }, 'y'], lastEventId: '1' },
  {
    sends: [{ id: '1', data: 'x' }, { id: '2' }],
    lastEventId: '2',
    deviations: { eventsource: { lastEventId: '1', because: 'the id of an event without data is forgotten' } }
  },
  { sends: 'id:1\ndata:x\n\nid:2\ndata:y\n', lastEventId: '1' },
  { sends: 'id:1\ndata:x\n\nid:2\0\ndata:y\n\n', lastEventId: '1' },
  { sends: [{ retry: 0 }], after: 0 },
  { sends: [{ retry: 1, data: 'x' }], after: 1 },
  { sends: [{ retry: 300 }], after: 300 },
  { sends: 'retry:0300\n\nretry:1x\n\nretry:-1\n\nretry:1.5\n\nretry: +1\n\nretry:1e0\n\nRetry:1\n\n', after: 300 },
  { sends: 'retry:300\nretry:x\n\n', after: 300 },
  {
    sends: 'retry:300\n\nretry:\n\n',
    after: 300,
    deviations: { Chromium: { after: BY_ITSELF, because: 'an empty time stands for its own' } }
  },
  {
    sends: 'retry:50\n\nretry:1500\n',
    after: 1_500,
    deviations: { undici: { after: 50, before: 1_500, because: 'a time counts only from the end of its event on' } }
  }
]

/** A request to a path. */
interface Asked {
  lastEventId: string | null
  time: number
}

/** Serves the streams at `/ending/<place>/<client>`, and a stream that stays open to a client that reconnects. Returns the requests. */
export function serveEnding (app: FastifyInstance): Map<string, Asked[]> {
  const asked = new Map<string, Asked[]>()
  const note = (url: string, lastEventId: string | null) => {
    const before = asked.get(url) ?? []
    asked.set(url, [...before, { lastEventId, time: performance.now() }])
    return before.length === 0
  }
  app.sseRoute<{ Params: { place: string } }>('/ending/:place/:client', {
    preHandler: async ({ url, params }, reply) => {
      const { sends, after } = endingStreams[Number(params.place)] ?? {}
      if (typeof sends !== 'string' || asked.has(url)) return
      note(url, null)
      return reply.type('text/event-stream').send((after === undefined ? 'retry:1\n\n' : '') + sends)
    },
    source: async function * ({ url, params }, stream) {
      const { sends = [], after } = endingStreams[Number(params.place)] ?? {}
      if (!note(url, stream.lastEventId)) await once(stream.signal, 'abort')
      if (after === undefined) yield { retry: 1 }
      if (typeof sends !== 'string') yield * sends
    }
  })
  return asked
}

/** Runs one client against all streams, some at a time, because a browser has six connections to a server. */
export async function comesBackToAll (t: Test, client: Client, origin: string, asked: Map<string, Asked[]>): Promise<void> {
  const places = endingStreams.keys()
  await Promise.all(Array.from({ length: 4 }, async () => {
    for (const place of places) await comesBack(t, client, origin, place, asked)
  }))
}

async function comesBack (t: Test, client: Client, origin: string, place: number, asked: Map<string, Asked[]>): Promise<void> {
  const { sends, deviations = {}, ...standard } = endingStreams[place]!
  const deviation = deviations[client.name]
  const { lastEventId, after, before = BY_ITSELF, never }: Deviation = { ...standard, ...deviation }
  const path = `/ending/${place}/${encodeURIComponent(client.name)}`
  const name = [client.name, JSON.stringify(sends).slice(0, 60), deviation?.because].filter(Boolean).join(': ')
  const followed = await client.follow(origin + path)
  if (never) {
    await until(`the client to fail: ${name}`, async () => (await followed.seen()).failed >= 3)
    t.equal(asked.get(path)?.length, 1, name)
  } else {
    await until(`the client to come back: ${name}`, () => asked.get(path)?.length === 2)
    const [first, second] = asked.get(path) ?? []
    if (lastEventId !== undefined) t.equal(second?.lastEventId, lastEventId, name)
    if (after !== undefined) {
      const waited = Number(second?.time) - Number(first?.time)
      t.ok(waited >= after - EARLY, `${name}: not before ${after} ms, ${waited}`)
      if (after < before) t.ok(waited < before, `${name}: after ${after} ms and not by itself, ${waited}`)
    }
  }
  await followed.close()
}
