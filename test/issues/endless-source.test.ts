// Symptom: the server answers no other request while one client reads a stream.
// Cause: a source that never waits is read in microtasks, so that the event loop does not turn.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'tap'
import { listen, makeApp, until } from '../helpers/app.js'

/** Reads a path without pause in a separate process, so that the kernel always accepts more data. */
const READER = `
const { get } = require('node:http')
let bytes = 0
get({ host: '127.0.0.1', port: process.argv[1], path: process.argv[2] }, (response) => {
  response.on('data', (chunk) => { if (bytes === 0) console.log('reads'); bytes += chunk.length })
})`

test('other requests are answered while a client reads a source that never waits', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/sync', { source: function * () { for (;;) yield 'x' } })
  app.sseRoute('/async', { source: async function * () { for (;;) yield 'x'.repeat(2_000) } })
  app.sseRoute('/nothing', { source: function * () { for (let i = 0; ; i++) yield i < 3 ? 'x' : undefined } })
  app.get('/reply', async (_request, reply) => {
    const stream = reply.sse()
    while (await stream.send('x'));
  })
  app.get('/function', (_request, reply) => reply.sse(function * () { for (;;) yield 'x' }))
  app.get('/plain', () => 'plain')
  const port = await listen(app)
  for (const path of ['/sync', '/async', '/nothing', '/reply', '/function']) {
    t.test(`requests are answered while ${path} is read`, async (t) => {
      const readers = [0, 1].map(() => spawn(process.execPath, ['-e', READER, String(port), path], { stdio: ['ignore', 'pipe', 'inherit'] }))
      t.teardown(() => { for (const reader of readers) reader.kill() })
      await Promise.all(readers.map((reader) => once(reader.stdout, 'data')))
      const times = []
      for (let i = 0; i < 10; i++) {
        const before = process.cpuUsage()
        t.equal(await (await fetch(`http://127.0.0.1:${port}/plain`)).text(), 'plain')
        // the time on a CPU, because the readers and other tests may take the CPUs from this process for long
        const { user, system } = process.cpuUsage(before)
        times.push((user + system) / 1_000)
      }
      const median = times.sort((a, b) => a - b)[5] ?? Infinity
      t.ok(median < 200, `the median response took ${Math.round(median)} ms of CPU`)
      for (const reader of readers) reader.kill()
      await until('both streams to be closed', () => app.sse.streams.size === 0)
    })
  }
})
