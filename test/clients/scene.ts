import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { listen, makeApp, until } from '../helpers/app.js'
import type { SSEPluginOptions } from '../../lib/index.js'
import type { Client, Entry, Running } from './clients.js'

/** The delay of `retry:`, ms. Longer than the default of each client, so that a client that ignores it reconnects earlier. */
export const RETRY = 4_000
/** Long enough for the delay of each client, ms. A client without a second request by then does not reconnect. */
const PATIENCE = 20_000
/** For waits for events, ms: Python and pages start slowly on a busy machine. */
const LIMIT = 60_000

export interface Asked {
  time: number
  lastEventId: string | null
  /** True if the id was a query parameter, not a header. */
  byQuery: boolean
}

/** The server of one case, and the client that has sent its request to it. */
export interface Scene {
  app: FastifyInstance
  port: number
  running: Running
  asked: Asked[]
}

export interface Preparation {
  options?: SSEPluginOptions
  query?: string
  /** Replaces the header Retry-After of a refusal. */
  retryAfter?: string
  /** Returns the port for the client, if it is not that of the app. */
  through?: (t: Test, port: number) => Promise<number>
  /** Runs before the client starts. */
  before?: (app: FastifyInstance, port: number) => Promise<void>
}

/** Starts an app with the route `/sse`, and a client of it. */
export async function begin (t: Test, client: Client, addRoute: (app: FastifyInstance) => void, { options, query = '', retryAfter, through, before }: Preparation = {}): Promise<Scene> {
  const app = await makeApp(t, { heartbeat: false, retry: RETRY, ...options }, { forceCloseConnections: true })
  const asked: Asked[] = []
  app.addHook('onRequest', async ({ url, headers }) => {
    const { pathname, searchParams } = new URL(url, 'http://a')
    if (pathname !== '/sse') return
    const byQuery = headers['last-event-id'] === undefined && searchParams.has('lastEventId')
    asked.push({ time: performance.now(), lastEventId: byQuery ? searchParams.get('lastEventId') : headers['last-event-id']?.toString() ?? null, byQuery })
  })
  app.addHook('onSend', async (_request, reply) => { if (retryAfter !== undefined && reply.hasHeader('retry-after')) reply.header('retry-after', retryAfter) })
  // the page of the clients that run in Chromium
  app.get('/', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  addRoute(app)
  const port = await listen(app)
  await before?.(app, port)
  asked.length = 0
  const origin = `http://127.0.0.1:${await through?.(t, port) ?? port}`
  return { app, port, running: await client.open(t, `${origin}/sse${query}`), asked }
}

export const isOver = (entries: Entry[]) => entries.some(({ type }) => type === 'over')
export const failed = (entries: Entry[]) => entries.some((entry) => entry.type === 'over' && entry.failed)
export const lines = (entries: Entry[]) => entries.flatMap((entry) => entry.type === 'line' ? [entry.text] : [])
export const events = (entries: Entry[]) => entries.flatMap((entry) => entry.type === 'event' ? [[entry.event, entry.data]] : [])
export const readsLines = (entries: Entry[]) => entries.some(({ type }) => type === 'line')
export const hasData = (entries: Entry[], data: string) => lines(entries).includes(`data: ${data}`) || events(entries).some(([, other]) => other === data)

/** Waits for an event with this data. */
export const untilData = ({ running, asked }: Scene, data: string) => until(`the event ${data} after ${asked.length} requests`, async () => hasData(await running.entries(), data), LIMIT)

/** Waits until the client has sent a second request, or has ended, or does neither for a long time. */
export async function settle ({ running, asked }: Scene): Promise<{ entries: Entry[], second: Asked | undefined }> {
  await until('a request', () => asked.length > 0, LIMIT)
  const end = performance.now() + PATIENCE
  await until('the client to settle', async () => asked.length > 1 || isOver(await running.entries()) || performance.now() > end, LIMIT)
  return { entries: await running.entries(), second: asked[1] }
}

/** Waits until the stream of the client is open. */
export const untilOpen = (app: FastifyInstance) => until('the stream', () => app.sse.streams.size === 1, LIMIT)
