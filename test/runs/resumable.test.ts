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

test('an id of another run gives no access to its events', async (t) => {
  const { app, source } = await chat(t)
  const first = await post(app, 'first')
  source.push('secret', null)
  const [event] = await all(first)
  t.match(event, { data: 'secret' })
  t.equal((await app.inject({ url: '/chats/second', headers: { 'last-event-id': event?.id } })).statusCode, 204)
  const second = await post(app, 'second')
  source.push('own', null)
  await all(second)
  t.strictSame(data(await all(await get(app, event?.id, 'second'))), ['own', ''])
})

test('stop() ends a run, aborts its signal, and its readers get the event `end`', async (t) => {
  const { app, source } = await chat(t)
  t.equal(await app.sse.stop('1'), false, 'no run is going on')
  const [first, second] = [await post(app), await get(app, undefined)]
  source.push('a')
  t.equal((await first.next())?.data, 'a')
  t.equal(await app.sse.stop('1'), true)
  t.strictSame(data(await all(first)), [''])
  t.strictSame(data(await all(second)), ['a', ''])
  t.equal(source.signals[0]?.aborted, true)
  t.equal(source.finished, 1)
  t.match(await app.sse.run('1'), { state: 'stopped', events: 2 })
  t.equal(await app.sse.stop('1'), false)
})

test('a source that throws after it was stopped has not failed', async (t) => {
  const { app } = await chat(t, {}, {
    async * source (_request: unknown, { signal }: { signal: AbortSignal }) {
      yield 'a'
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    }
  })
  const stream = await post(app)
  await stream.next()
  await app.sse.stop('1')
  t.strictSame(data(await all(stream)), [''])
  t.equal((await app.sse.run('1'))?.state, 'stopped')
})

test('stop() ends a run whose source ignores its signal', async (t) => {
  const { app } = await chat(t, {}, {
    async * source () {
      yield 'a'
      await new Promise(() => {})
    }
  })
  const stream = await post(app)
  await stream.next()
  t.equal(await app.sse.stop('1'), true)
  t.strictSame(data(await all(stream)), [''])
  t.equal((await app.sse.run('1'))?.state, 'stopped')
  t.equal(await app.sse.stop('1'), false)
})

test('a source that fails: readers get what came before, the event `error` and a clean end', async (t) => {
  const { app, source } = await chat(t)
  const stream = await post(app)
  source.push('a', new Error('The model failed'))
  t.match(await all(stream), [{ event: 'message', data: 'a' }, { event: 'error', data: '{"message":"The model failed"}' }])
  t.match(await app.sse.run('1'), { state: 'failed', events: 2 })
  t.strictSame((await all(await get(app))).map(({ event }) => event), ['message', 'error'], 'also readers that come later')
})

test('onError returns the last event of a run that has failed, or null for none', async (t) => {
  const results: unknown[] = [{ event: 'sorry', data: { again: true } }, null, undefined, { data: 1n }]
  const errors: Array<[string, string]> = []
  const { app, source } = await chat(t, {}, {
    onError (error: Error, request: { url: string }) {
      errors.push([error.message, request.url])
      return results.shift()
    }
  })
  for (const expected of [[['sorry', '{"again":true}']], [], [['error', '{"message":"x"}']], [['error', '{"message":"x"}']]]) {
    const stream = await post(app)
    source.push(new Error('x'))
    t.strictSame((await all(stream)).map(({ event, data }) => [event, data]), expected)
  }
  t.strictSame(errors, Array.from({ length: 4 }, () => ['x', '/chats/1']))
})

test('a source function that throws or returns no source fails its run', async (t) => {
  const { app } = await chat(t, {}, { source () { throw new Error('none') } })
  t.match(await all(await post(app)), [{ event: 'error', data: '{"message":"none"}' }])
  const { app: other } = await chat(t, {}, { source: () => 7 as never })
  t.match(await all(await post(other)), [{ event: 'error', data: /A source is/ }])
})

test('onBusy: a request whose run is going on joins it, is refused, or restarts it', async (t) => {
  const { app, source } = await chat(t, { onBusy: 'refuse' })
  const first = await post(app)
  const refused = await app.inject({ method: 'POST', url: '/chats/1' })
  t.match(refused.json(), { statusCode: 409, code: 'SSE_ERR_RUN_BUSY', message: 'A run with the key "1" is going on' })
  source.push('a', null)
  t.strictSame(data(await all(first)), ['a', ''])

  const { app: other, source: restarted } = await chat(t, { onBusy: 'restart' })
  const old = await post(other)
  restarted.push('a')
  const id = (await old.next())?.id
  const next = await post(other)
  t.strictSame(data(await all(old)), [''])
  await until('the second source', () => restarted.signals.length === 2)
  restarted.push('b', null)
  t.strictSame(data(await all(next)), ['b', ''])
  t.equal(restarted.signals[0]?.aborted, true)
  t.strictSame(data(await all(await get(other, id))), ['b', ''])
})

test('keep: an ended run is removed after this time; with 0, only streams that read it get its end', async (t) => {
  const { app, source } = await chat(t, { keep: 50 })
  const stream = await post(app)
  source.push('a', null)
  await all(stream)
  t.equal((await app.sse.run('1'))?.state, 'done')
  await until('the run to be removed', async () => await app.sse.run('1') === null)
  t.equal((await app.inject('/chats/1')).statusCode, 204)

  const { app: other, source: unkept } = await chat(t, { keep: 0 })
  const [first, second] = [await post(other), await get(other)]
  unkept.push('a', 'b', null)
  t.strictSame(data(await all(first)), ['a', 'b', ''])
  t.strictSame(data(await all(second)), ['a', 'b', ''])
  t.equal(await other.sse.run('1'), null)
  t.equal((await other.inject({ method: 'POST', url: '/chats/1', headers: { 'last-event-id': `${'x'.repeat(20)}/3` } })).statusCode, 204, 'a reconnect starts no new run')
})

test('maxBytes: a run with more bytes fails with SSE_ERR_RUN_TOO_LARGE', async (t) => {
  const { app, source } = await chat(t, { maxBytes: 30 })
  const stream = await post(app)
  source.push('a', 'b', 'x'.repeat(30))
  t.match(await all(stream), [{ data: 'a' }, { data: 'b' }, { event: 'error', data: /maxBytes \(30\)/ }])
  t.equal((await app.sse.run('1'))?.state, 'failed')
})

test('maxDuration stops a source', async (t) => {
  const { app, source } = await chat(t, { maxDuration: 50 })
  t.strictSame(data(await all(await post(app))), [''])
  t.equal(source.finished, 1)
  t.equal((await app.sse.run('1'))?.state, 'stopped')
})

test('abandonAfter stops a source that no stream reads for this time, and no source that a stream reads', async (t) => {
  const { app, source } = await chat(t, { abandonAfter: 100 })
  const stream = await post(app)
  source.push('a')
  await stream.next()
  await new Promise((resolve) => setTimeout(resolve, 250))
  t.equal(source.signals[0]?.aborted, false)
  stream.close()
  const left = performance.now()
  await until('the source to be stopped', () => source.finished === 1)
  t.ok(performance.now() - left >= 90)
  t.equal((await app.sse.run('1'))?.state, 'stopped')
})

test('send() of the second argument appends to the run, and close() stops it', async (t) => {
  const results: unknown[] = []
  const { app } = await chat(t, {}, {
    async * source (request: unknown, run: SSEStream) {
      results.push(run.request === request, run.lastEventId, run.resumed, run.topics.size, run.closed, run.closeReason)
      results.push(await run.send('sent'))
      yield 'a'
      t.throws(() => run.subscribe('x'), { code: 'SSE_ERR_ROUTE' })
      run.unsubscribe('x')
      run.close()
      results.push(run.closed, run.closeReason, await run.send('late'))
    }
  })
  t.strictSame(data(await all(await post(app))), ['sent', 'a', ''])
  t.strictSame(results.slice(0, 7), [true, null, false, 0, false, null, true])
  t.strictSame(results.slice(-3), [true, 'server', false])
})

test('an id on an item fails the run, because the events of a run have its ids', async (t) => {
  const { app } = await chat(t, {}, { source: () => [{ id: '1', data: 'x' }] })
  t.match(await all(await post(app)), [{ event: 'error', data: /SSE_ERR|id/ }])
})

test('a key that is no string or empty fails the request', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/number', { resume: () => 7 as never })
  app.sseRoute('/empty', { source: () => [], resumable: { key: () => '' } })
  for (const url of ['/number', '/empty']) t.match((await app.inject(url)).json(), { statusCode: 500, code: 'SSE_ERR_OPTION', message: /"key".*not empty/ })
})

test('app.close() stops sources and waits for them, and later requests are refused', async (t) => {
  const { app, source } = await chat(t)
  const stream = await post(app)
  source.push('a')
  await stream.next()
  await app.close()
  t.equal(source.signals[0]?.aborted, true)
  t.equal(source.finished, 1)
  await t.rejects(app.sse.start('x', []), { code: 'SSE_ERR_CLOSING' })
})

test('app.close() waits for drain.timeout for a source that ignores its signal', async (t) => {
  const app = await makeApp(t, { drain: { timeout: 50 } })
  let waits = false
  await app.sse.start('x', async function * () {
    yield 'first'
    waits = true
    await new Promise(() => {})
  })
  // a generator that is still at its yield would end at once
  await until('the source to ignore its signal', () => waits)
  const begun = performance.now()
  await app.close()
  t.ok(performance.now() - begun >= 45)
})

test('reply.sse() stops a source that no run reads, because a run is going on or the request is refused', async (t) => {
  const app = await makeApp(t)
  let stopped = 0
  async function * endless () {
    try {
      for (;;) yield await new Promise<string>((resolve) => setTimeout(resolve, 5, 'x'))
    } finally {
      stopped++
    }
  }
  app.get<{ Params: { onBusy: 'join' | 'refuse' } }>('/:onBusy', async ({ params: { onBusy } }, reply) => {
    const source = endless()
    await source.next()
    return reply.sse(source, { resumable: { key: 'a', onBusy } })
  })
  const first = await injectSSE(app, '/join')
  const second = await injectSSE(app, '/join')
  await until('the second source to be stopped', () => stopped === 1)
  t.match((await app.inject('/refuse')).json(), { statusCode: 409, code: 'SSE_ERR_RUN_BUSY' })
  await until('the third source to be stopped', () => stopped === 2)
  t.equal(await app.sse.stop('a'), true)
  for (const stream of [first, second]) t.ok((await all(stream)).length > 0)
})

test('a limit of streams refuses a request before it starts a run', async (t) => {
  const { app, source } = await chat(t, {}, { maxStreams: 1 })
  const first = await post(app, '1')
  t.equal((await app.inject({ method: 'POST', url: '/chats/2' })).statusCode, 503)
  t.equal(await app.sse.run('2'), null)
  first.close()
  t.equal(source.signals.length, 1)
})
