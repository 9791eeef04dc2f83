import { get } from 'node:http'
import { type Test, test } from 'tap'
import type { FastifyInstance } from 'fastify'
import type { RunLog, RunStore, RunWriter, SSERouteOptions } from '../../lib/index.js'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { MemoryRunStore } from '../../lib/runs/memory-store.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'

/** Functions called before the calls of a store. They delay the calls or let them fail. */
type Before = { [Call in 'start' | 'read' | 'append' | 'end' | 'idleFor']?: () => Promise<void> }

/** Keeps runs in memory, but answers later, as a store on another machine. */
class SlowStore implements RunStore {
  readonly #store = new MemoryRunStore()
  readonly #before: Before

  constructor (before: Before) {
    this.#before = before
  }

  async start (...run: Parameters<RunStore['start']>) {
    await this.#before.start?.()
    const { log, writer } = this.#store.start(...run)
    return { log: this.#slow(log), writer: writer && this.#slowWriter(writer) }
  }

  async find (key: string) {
    const log = this.#store.find(key)
    return log && this.#slow(log)
  }

  async stop (key: string) {
    return this.#store.stop(key)
  }

  async close () {
    await this.#store.close()
  }

  #slow (log: RunLog): RunLog {
    const { read } = this.#before
    return {
      get info () { return log.info },
      watch: (onChange) => log.watch(onChange),
      async read (...page) {
        await read?.()
        return log.read(...page)
      }
    }
  }

  #slowWriter (writer: RunWriter): RunWriter {
    const { append, end, idleFor } = this.#before
    return {
      get info () { return writer.info },
      watch: (onChange) => writer.watch(onChange),
      read: (...page) => writer.read(...page),
      async idleFor () {
        await idleFor?.()
        return writer.idleFor()
      },
      async append (event) {
        await append?.()
        await writer.append(event)
      },
      async end (...last) {
        await end?.()
        await writer.end(...last)
      }
    }
  }
}

async function makeSlow (t: Test, before: Before, route: Partial<SSERouteOptions> = {}): Promise<{ app: FastifyInstance, log: string[] }> {
  const log: string[] = []
  const stream = { write (line: string) { log.push(line) } }
  const app = await makeApp(t, { backplane: (history) => Object.assign(new MemoryBackplane(history), { runs: new SlowStore(before) }) }, { logger: { level: 'debug', stream } })
  app.sseRoute({ url: '/', resumable: { key: () => 'a' }, source: () => ['x'], ...route })
  return { app, log }
}

/** A promise, and the function that resolves it. */
function later () {
  let resolve = () => {}
  const promise = new Promise<void>((_resolve) => { resolve = _resolve })
  return { promise, resolve }
}

test('a client that disconnects before its run has started: the run starts without a stream', async (t) => {
  const { promise, resolve } = later()
  let starts = 0
  const { app } = await makeSlow(t, { start: () => { starts++; return promise } })
  const port = await listen(app)
  const request = get({ host: '127.0.0.1', port, agent: false }).on('error', () => {})
  await until('the store to be called', () => starts === 1)
  request.destroy()
  await until('the server to notice', () => new Promise<boolean>((resolve) => app.server.getConnections((_error, count) => resolve(count === 0))))
  resolve()
  await until('the run', async () => (await app.sse.run('a'))?.state === 'done')
  t.match(app.sse.stats(), { active: 0, opened: 0, runs: { readers: 0, done: 1 } })
})

test('an app that closes while a run starts: the run is stopped', async (t) => {
  const { promise, resolve } = later()
  let starts = 0
  const { app } = await makeSlow(t, { start: () => { starts++; return promise } })
  const run = app.sse.start('b', async function * ({ signal }) {
    yield 'first'
    if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve()))
  })
  await until('the store to be called', () => starts === 1)
  // runs after the plugin's hook
  app.addHook('preClose', async () => resolve())
  const closed = app.close()
  t.match(await run, { key: 'b' })
  await closed
  t.equal(app.sse.stats().runs.stopped, 1)
})

test('a stream whose run cannot be read is aborted, and onError is called', async (t) => {
  const errors: string[] = []
  const { app } = await makeSlow(t, { read: async () => { throw new Error('cannot read') } }, { onError: ({ message }) => { errors.push(message) } })
  await t.rejects((await injectSSE(app, '/')).next())
  t.strictSame(errors, ['cannot read'])
  t.match(app.sse.stats(), { active: 0, closed: { error: 1 } })
})

test('a run whose append fails after it was stopped is stopped, not failed', async (t) => {
  const { promise, resolve } = later()
  let appends = 0
  const { app, log } = await makeSlow(t, { append: async () => { appends++; await promise; throw new Error('cannot append') } })
  await app.sse.start('b', ['x', 'y'])
  await until('an append', () => appends === 1)
  t.equal(await app.sse.stop('b'), true)
  resolve()
  await until('the end', async () => (await app.sse.run('b'))?.state === 'stopped')
  t.match(app.sse.stats().runs, { stopped: 1, failed: 0 })
  t.equal(log.filter((line) => line.includes('"level":50')).length, 0)
})

test('the end of a run that cannot be stored is logged', async (t) => {
  const { app, log } = await makeSlow(t, { end: async () => { throw new Error('cannot end') } })
  await app.sse.start('b', ['x'])
  await until('the line', () => log.some((line) => line.includes('cannot end') && line.includes('the end of a run could not be stored')))
  t.match(app.sse.stats().runs, { open: 0, done: 1 })
  await app.sse.start('c', () => new Promise<string>(() => {}))
  await app.sse.stop('c')
  await until('the next line', () => log.filter((line) => line.includes('the end of a run could not be stored')).length === 2)
  t.match(app.sse.stats().runs, { open: 0, stopped: 1 })
})

test('a run that ends while its readers are counted is not stopped a second time', async (t) => {
  const { promise, resolve } = later()
  let counts = 0
  const { app } = await makeSlow(t, { idleFor: () => { counts++; return promise } })
  await app.sse.start('b', () => new Promise<string>(() => {}), { abandonAfter: 1 })
  await until('the count', () => counts === 1)
  await app.sse.stop('b')
  await until('the end', async () => (await app.sse.run('b'))?.state === 'stopped')
  resolve()
  await app.sse.start('b', ['x'])
  await until('the next run', async () => (await app.sse.run('b'))?.state === 'done')
  t.match(app.sse.stats().runs, { stopped: 1, done: 1 })
})

test('the events of a response that a run passes on have the ids of the run', async (t) => {
  const upstream = new Response('id: 7\nevent: token\ndata: a\n\nid: 8\n\nretry: 5\n\nid: 9\ndata: b\n\n', { headers: { 'content-type': 'text/event-stream' } })
  const { app } = await makeSlow(t, {}, { source: () => upstream })
  const events = (await app.inject('/')).body
  const id = (await app.sse.run('a'))?.id
  t.equal(events, `id: ${id}/1\nevent: token\ndata: a\n\nid: ${id}/2\nretry: 5\n\nid: ${id}/3\ndata: b\n\n`)
})
