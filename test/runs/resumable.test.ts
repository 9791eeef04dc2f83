import { setTimeout as wait } from 'node:timers/promises'
import { type Test, test } from 'tap'
import type { FastifyInstance } from 'fastify'
import type { SSEStream } from '../../lib/index.js'
import { type InjectedEvent, type InjectedStream, injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

/** Collects all events of a stream up to its end. */
async function all (stream: InjectedStream): Promise<InjectedEvent[]> {
  const events: InjectedEvent[] = []
  for await (const event of stream) events.push(event)
  return events
}

const data = (events: InjectedEvent[]) => events.map(({ data }) => data)

/** A source whose items the test gives one by one. */
class Tap {
  readonly signals: AbortSignal[] = []
  finished = 0
  #queue: unknown[] = []
  #wake: (() => void) | null = null

  push (...items: unknown[]): void {
    this.#queue.push(...items)
    this.#wake?.()
  }

  async * read (signal: AbortSignal): AsyncGenerator<string> {
    this.signals.push(signal)
    signal.addEventListener('abort', () => this.#wake?.())
    try {
      while (!signal.aborted) {
        const item = this.#queue.shift()
        if (item === null) return
        if (item instanceof Error) throw item
        if (item !== undefined) yield String(item)
        else await new Promise<void>((resolve) => { this.#wake = resolve })
      }
    } finally {
      this.finished++
    }
  }
}

async function chat (t: Test, options: object = {}, route: object = {}): Promise<{ app: FastifyInstance, source: Tap }> {
  const app = await makeApp(t)
  const source = new Tap()
  app.sseRoute<{ Params: { id: string } }>({
    method: 'POST',
    url: '/chats/:id',
    end: { event: 'done', data: '' },
    resumable: { key: ({ params }) => params.id, ...options },
    source: (_request, { signal }) => source.read(signal),
    ...route
  })
  app.sseRoute<{ Params: { id: string } }>({ url: '/chats/:id', resume: ({ params }) => params.id })
  return { app, source }
}

const post = (app: FastifyInstance, id = '1') => injectSSE(app, { method: 'POST', url: `/chats/${id}` })
const get = (app: FastifyInstance, lastEventId?: string, id = '1') => injectSSE(app, { url: `/chats/${id}`, headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId } })

test('a run outlives its client, and every reader gets all its events once, in order', async (t) => {
  const { app, source } = await chat(t)
  const first = await post(app)
  source.push('a', 'b')
  const [a, b] = [await first.next(), await first.next()]
  t.strictSame([a?.data, b?.data], ['a', 'b'])
  const [, run = ''] = /^(.*)\/1$/.exec(a?.id ?? '') ?? []
  t.equal(b?.id, `${run}/2`)
  first.close()
  await until('the stream to be closed', () => app.sse.streams.size === 0)
  t.equal(source.signals[0]?.aborted, false)
  source.push('c')

  const [whole, rest, joined] = await Promise.all([get(app), get(app, `${run}/2`), post(app)])
  source.push('d', null)
  t.strictSame(data(await all(whole)), ['a', 'b', 'c', 'd', ''])
  t.strictSame((await all(rest)).map(({ id, event, data }) => [id, event, data]), [[`${run}/3`, 'message', 'c'], [`${run}/4`, 'message', 'd'], [`${run}/5`, 'done', '']])
  t.strictSame(data(await all(joined)), ['a', 'b', 'c', 'd', ''])
  t.equal(source.signals.length, 1)
  t.match(await app.sse.run('1'), { key: '1', id: run, state: 'done', events: 5, startedAt: Date, endedAt: Date })
  t.strictSame(data(await all(await get(app, `${run}/3`))), ['d', ''], 'an ended run is kept')
})

test('a client that has read all of a run gets 204, as does a client of a run that does not exist', async (t) => {
  const { app, source } = await chat(t)
  t.equal((await app.inject('/chats/1')).statusCode, 204)
  source.push('a', null)
  const events = await all(await post(app))
  const last = events.at(-1)?.id
  t.equal((await app.inject({ url: '/chats/1', headers: { 'last-event-id': last } })).statusCode, 204)
  t.equal((await app.inject({ method: 'POST', url: '/chats/1', headers: { 'last-event-id': last } })).statusCode, 204, 'a reconnect does not start the source again')
  t.equal(source.signals.length, 1)
  source.push('b', null)
  t.strictSame(data(await all(await post(app))), ['b', ''], 'a request without an id starts the next run')
  t.strictSame(data(await all(await get(app, events[0]?.id))), ['b', ''], 'the id of an earlier run reads the new one from its beginning')
})
