// Symptom: an event that onDisconnect publishes at app.close() is rejected, or a database is closed before the callback is done.
// Cause: app.close() did not wait for the callbacks and sources of its streams before the onClose hooks of other plugins.
import { Readable } from 'node:stream'
import { setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import { listen, makeApp, open } from '../helpers/app.js'

test('app.close() waits for callbacks and sources of its streams', async (t) => {
  t.test('app.close() waits for onDisconnect, sources and functions, which can publish, before onClose hooks of other plugins run', async (t) => {
    const app = await makeApp(t, { drain: {} })
    const done: string[] = []
    app.sseRoute('/callback', {
      onConnect: () => {},
      onDisconnect: async () => {
        await wait(40)
        await app.sse.publish('topic', 'left')
        done.push('onDisconnect')
      }
    })
    app.sseRoute('/source', {
      source: async function * (_request, { signal }) {
        try {
          yield 'x'
          await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
        } finally {
          await wait(60)
          await app.sse.publish('topic', 'stopped')
          done.push('source')
        }
      }
    })
    app.sseRoute('/readable', { source: () => new Readable({ read () { this.push('x\n'); this._read = () => {} }, destroy (error, callback) { setTimeout(() => { done.push('readable'); callback(error) }, 50) } }) })
    app.get('/function', (_request, reply) => reply.sse(async (stream) => {
      await new Promise((resolve) => { stream.signal.addEventListener('abort', resolve) })
      await wait(30)
      done.push('function')
    }))
    await app.register(async (child) => { child.addHook('onClose', async () => { done.push('onClose') }) })
    const port = await listen(app)
    for (const path of ['/callback', '/source', '/readable', '/function']) await open(t, port, path)
    await app.close()
    t.strictSame([...done.slice(0, 4).sort(), ...done.slice(4)], ['function', 'onDisconnect', 'readable', 'source', 'onClose'])
  })

  t.test('app.close() waits for callbacks no longer than drain.timeout and logs that some have not finished', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, { drain: { timeout: 50 } }, { logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
    app.sseRoute('/', { onConnect: () => {}, onDisconnect: () => new Promise(() => {}) })
    await open(t, await listen(app), '/')
    const before = performance.now()
    await app.close()
    const ms = performance.now() - before
    t.ok(ms >= 45 && ms < 2_000, `${ms} ms`)
    t.match(lines, [/1 callbacks or sources of event streams have not finished within drain\.timeout/])
  })

  t.test('app.close() does not wait when no callback is pending', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { topics: ['a'], onDisconnect: () => {} })
    const client = await open(t, await listen(app), '/')
    const before = performance.now()
    await app.close()
    t.ok(performance.now() - before < 1_000)
    t.ok(await client.finished())
  })

  t.test('app.close() sends drain.event to every stream', async (t) => {
    const app = await makeApp(t, { drain: { spread: 100, event: { event: 'bye', data: { back: true } } } })
    app.sseRoute('/topics', { topics: ['a'] })
    app.sseRoute('/interval', { interval: 1_000, payload: () => 'x' })
    app.get('/reply', (_request, reply) => { reply.sse() })
    const port = await listen(app)
    const clients = await Promise.all(['/topics', '/interval', '/reply'].map((path) => open(t, port, path)))
    await app.close()
    for (const client of clients) {
      t.ok(await client.finished())
      t.match(client.text, /event: bye\ndata: \{"back":true\}\n\nretry: \d+\n$/)
    }
  })
})
