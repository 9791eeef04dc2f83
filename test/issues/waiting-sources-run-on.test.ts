// Symptom: database cursors and listeners stay open after their client has disconnected.
// Cause: `return()` of an async generator waits for the pending item, so that its finally block did not run.
import { EventEmitter, on } from 'node:events'
import { PassThrough, Readable } from 'node:stream'
import { createInterface } from 'node:readline'
import { type Test, test } from 'tap'
import type { SSESource } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'

type Next = () => Promise<IteratorResult<string, undefined>>

/** Yields one item, then waits until it is closed. */
class Feed {
  readonly calls: string[] = []
  readonly #items = ['hello']
  #end = () => {}
  readonly #ended = new Promise<void>((resolve) => { this.#end = resolve })
  settled = false

  next: Next = async () => {
    const value = this.#items.pop()
    if (value !== undefined) return { done: false, value }
    await this.#ended
    this.settled = true
    return { done: true, value: undefined }
  }

  called (name: string): void {
    this.calls.push(name)
    this.#end()
  }
}

/** Works like the change stream of a database driver: its generator waits for the next change, and `close` ends the wait. */
class ChangeStream {
  readonly feed = new Feed()

  async * [Symbol.asyncIterator] (): AsyncGenerator<string> {
    for (let item = await this.feed.next(); !item.done; item = await this.feed.next()) yield item.value
  }

  async close (): Promise<void> { this.feed.called('close') }
}

/** Streams a source to a client that disconnects while an item is pending. Resolves once the stream is closed. */
async function disconnectWhilePending (t: Test, source: () => SSESource | Promise<SSESource>, options = {}): Promise<string[]> {
  const lines: string[] = []
  const app = await makeApp(t, {}, { logger: { level: 'debug', stream: { write: (line: string) => { lines.push(line) } } } })
  app.sseRoute({ url: '/', source, ...options })
  app.get('/reply', (_request, reply) => reply.sse(source(), options))
  const port = await listen(app)
  for (const path of ['/', '/reply']) {
    const client = await open(t, port, path)
    await client.until('data: ')
    client.disconnect()
    await until('the stream to be closed', () => app.sse.streams.size === 0)
  }
  return lines
}

test('a source object is closed when the client disconnects while an item is pending', async (t) => {
  const made: ChangeStream[] = []
  await disconnectWhilePending(t, () => {
    const changes = new ChangeStream()
    made.push(changes)
    return changes
  })
  await until('no pending call', () => made.every(({ feed }) => feed.settled))
  t.strictSame(made.map(({ feed }) => feed.calls), [['close'], ['close']])
})

test('exactly one method of a source object is called, once, in addition to `return` of its iterator', async (t) => {
  const ways = {
    destroy: ['destroy', 'close', 'asyncDispose', 'dispose'],
    close: ['close', 'asyncDispose', 'dispose'],
    asyncDispose: ['asyncDispose', 'dispose'],
    dispose: ['dispose']
  }
  for (const [expected, names] of Object.entries(ways)) {
    const feeds: Feed[] = []
    await disconnectWhilePending(t, () => {
      const feed = new Feed()
      feeds.push(feed)
      const call = (name: string) => () => feed.called(name)
      const methods = names.map((name) => [{ asyncDispose: Symbol.asyncDispose, dispose: Symbol.dispose }[name] ?? name, call(name)])
      const iterator = { next: feed.next, async return () { feed.calls.push('return'); return { done: true as const, value: undefined } } }
      return { ...Object.fromEntries(methods), [Symbol.asyncIterator]: () => iterator }
    })
    await until('no pending call', () => feeds.length === 2 && feeds.every((feed) => feed.settled && feed.calls.length >= 2))
    for (const { calls } of feeds) t.strictSame(calls, [expected, 'return'])
  }
})

test('a source object is closed after its last item, and after a failure', async (t) => {
  const app = await makeApp(t)
  const calls: string[] = []
  const source = (name: string, fails: boolean) => ({
    async * [Symbol.asyncIterator] () {
      yield 'hello'
      if (fails) throw new Error('failure')
    },
    close () { calls.push(name) }
  })
  app.sseRoute('/end', { source: () => source('end', false) })
  app.sseRoute('/failure', { source: () => source('failure', true) })
  t.equal((await app.inject('/end')).body, 'data: hello\n\n')
  const stream = await injectSSE(app, { url: '/failure' })
  await stream.next()
  await t.rejects(stream.next())
  t.strictSame(calls, ['end', 'failure'])
})

test('a promised source object is closed', async (t) => {
  const app = await makeApp(t)
  const changes = new ChangeStream()
  app.sseRoute('/', { source: async () => changes })
  const stream = await injectSSE(app, { url: '/' })
  await stream.next()
  stream.close()
  await until('the source to be closed', () => changes.feed.calls.length > 0)
  t.strictSame(changes.feed.calls, ['close'])
})

test('app.close() waits until a source object is closed', async (t) => {
  const app = await makeApp(t)
  const changes = new ChangeStream()
  let closed = false
  Object.assign(changes, { close: async () => { await new Promise((resolve) => setTimeout(resolve, 30)); closed = true } })
  app.sseRoute('/', { source: () => changes })
  await (await injectSSE(app, { url: '/' })).next()
  await app.close()
  t.ok(closed)
})

test('the errors of both close and return of a source are logged at level debug', async (t) => {
  const failing = (feed = new Feed()) => ({
    async close () { throw new Error('cannot close') },
    [Symbol.asyncIterator]: () => ({ next: feed.next, async return () { throw new Error('cannot return') } })
  })
  for (const source of [() => failing(), async () => failing()]) {
    const lines = await disconnectWhilePending(t, source)
    for (const message of ['cannot close', 'cannot return']) {
      await until(message, () => lines.filter((line) => line.includes(`"message":"${message}"`)).length === 2)
      t.match(lines.find((line) => line.includes(message)), /^\{"level":20.*failed after its event stream was closed/)
    }
  }
})

test('an error of return beside a close that never settles is no unhandled rejection', async (t) => {
  const lines = await disconnectWhilePending(t, () => {
    const feed = new Feed()
    return {
      close: () => new Promise(() => {}),
      [Symbol.asyncIterator]: () => ({ next: feed.next, async return () { throw new Error('cannot return') } })
    }
  })
  await until('the log line', () => lines.some((line) => line.includes('cannot return')))
})

test('a readline interface is closed when its client disconnects', async (t) => {
  const closed: unknown[] = []
  await disconnectWhilePending(t, () => {
    const input = new PassThrough()
    input.write('hello\n')
    const lines = createInterface({ input })
    return lines.on('close', () => closed.push(lines))
  })
  await until('both interfaces to be closed', () => closed.length === 2)
})

test('events.on() settles and removes its listeners when its client disconnects', async (t) => {
  const emitter = new EventEmitter()
  const waiting: Array<Promise<unknown>> = []
  await disconnectWhilePending(t, () => {
    setImmediate(() => emitter.emit('event', 'hello'))
    const events = on(emitter, 'event')
    const { next } = events
    Object.assign(events, {
      next () {
        const item = next.call(events)
        waiting.push(item)
        return item
      }
    })
    return events as AsyncIterable<never>
  }, { items: 'data' })
  await Promise.all(waiting)
  t.equal(emitter.listenerCount('event'), 0)
})

test('a generator that waits for events with the signal of its stream is stopped at once', async (t) => {
  const emitter = new EventEmitter()
  const app = await makeApp(t)
  let stopped = false
  app.sseRoute('/', {
    source: async function * (_request, { signal }) {
      try {
        yield 'hello'
        for await (const [data] of on(emitter, 'event', { signal })) yield { data }
      } finally {
        stopped = true
      }
    }
  })
  const stream = await injectSSE(app, { url: '/' })
  await stream.next()
  await until('the listener', () => emitter.listenerCount('event') === 1)
  stream.close()
  await until('the generator to stop', () => stopped)
  t.equal(emitter.listenerCount('event'), 0)
})

test('an iterable, an emitter or an object behind a generator is not closed, because other code may read it', async (t) => {
  const app = await makeApp(t)
  const calls: string[] = []
  const shared = { close () { calls.push('close') }, destroy () { calls.push('destroy') } }
  const emitter = Object.assign(new EventEmitter(), shared)
  app.sseRoute('/iterable', { source: () => Object.assign(['hello', 'world'], shared) })
  app.sseRoute('/emitter', { items: 'data', source: () => on(emitter, 'event') })
  app.sseRoute('/generator', { source: async function * () { yield * { ...shared, async * [Symbol.asyncIterator] () { yield 'hello' } } } })
  setTimeout(() => emitter.emit('event', 'hello'), 10)
  for (const url of ['/iterable', '/emitter', '/generator']) {
    const stream = await injectSSE(app, { url })
    await stream.next()
    stream.close()
  }
  await until('the streams to be closed', () => app.sse.streams.size === 0)
  t.strictSame(calls, [])
})

test('a Readable is destroyed and its pending item settles when its client disconnects', async (t) => {
  const closed: unknown[] = []
  await disconnectWhilePending(t, () => {
    const readable = new Readable({ objectMode: true, read () {} })
    readable.push('hello')
    return readable.on('close', () => closed.push(readable))
  })
  await until('both to be closed', () => closed.length === 2)
})
