import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { open, until } from '../helpers/app.js'
import type { Client, Entry } from './clients.js'
import type { Case } from './matrix.js'
import { type Asked, begin, failed, hasData, isOver, RETRY, settle, untilData, untilOpen } from './scene.js'

/** The header Retry-After of a refusal, s: much longer than the default delay of each client. */
const RETRY_AFTER = 10
/** The part of a delay after which a request counts as delayed, because timers of clients may fire some ms early. */
const NEARLY = 0.95

/** Runs a client on a stream with topics whose first connection ends, and returns what follows. */
async function interrupted (t: Test, client: Client, interrupt: (app: FastifyInstance) => void) {
  const scene = await begin(t, client, (app) => app.sseRoute('/sse', { topics: ['a'] }))
  const { app, running, asked } = scene
  await untilOpen(app)
  const id = await app.sse.publish('a', 'one')
  await untilData(scene, 'one')
  const interruptedAt = performance.now()
  interrupt(app)
  await until('the stream to close', () => app.sse.streams.size === 0)
  await app.sse.publish('a', 'two')
  const { entries, second } = await settle(scene)
  if (second === undefined) return { entries, second, id, delay: 0, missed: false }
  await app.sse.publish('a', 'three')
  await untilData(scene, 'three')
  asked.length = 0
  return { entries, second, id, delay: second.time - interruptedAt, missed: hasData(await running.entries(), 'two') }
}

/** The cell for a client that answers a lost connection in one of these ways. */
function afterEnd (entries: Entry[], second: Asked | undefined, delay: number): string {
  if (second !== undefined) return delay >= RETRY * NEARLY ? 'reconnects' : 'reconnects, ignores `retry`'
  if (!isOver(entries)) return 'nothing'
  return failed(entries) ? 'ends with an error' : 'ends'
}

/** The cases in which a connection ends, breaks or is refused. */
export const connecting: Case[] = [
  {
    columns: ['clean end'],
    async run (t, client) {
      const { entries, second, delay } = await interrupted(t, client, (app) => { for (const stream of app.sse.streams.values()) stream.close() })
      return afterEnd(entries, second, delay)
    }
  },
  {
    columns: ['broken connection', 'Last-Event-ID'],
    async run (t, client) {
      const { entries, second, id, delay, missed } = await interrupted(t, client, (app) => { for (const { request } of app.sse.streams.values()) request.raw.destroy() })
      const sent = second?.lastEventId !== id ? 'no' : second.byQuery ? 'in the query' : 'yes'
      return [afterEnd(entries, second, delay), second === undefined ? 'no second request' : `${sent}${missed ? '' : ', loses events'}`]
    }
  },
  {
    columns: ['204'],
    async run (t, client) {
      const scene = await begin(t, client, (app) => app.get('/sse', (_request, reply) => reply.code(204).send()))
      const { entries, second } = await settle(scene)
      if (second !== undefined) return 'asks again'
      if (!isOver(entries)) return 'nothing'
      return failed(entries) ? 'gives up' : 'ends'
    }
  },
  {
    columns: ['429 with Retry-After'],
    async run (t, client) {
      let leave = () => {}
      const scene = await begin(t, client, (app) => app.sseRoute('/sse', { topics: ['a'] }), {
        options: { maxStreamsPerClient: { max: 1 }, retry: 100 },
        retryAfter: String(RETRY_AFTER),
        before: async (_app, port) => {
          const other = await open(t, port, '/sse')
          leave = () => other.disconnect()
        }
      })
      const { app, asked } = scene
      await until('a refusal', () => app.sse.stats().rejected === 1, 60_000)
      leave()
      const { entries, second } = await settle(scene)
      if (second !== undefined) return second.time - asked[0]!.time >= RETRY_AFTER * 1_000 * NEARLY ? 'waits' : 'asks again too early'
      return isOver(entries) ? 'gives up' : 'nothing'
    }
  }
]
