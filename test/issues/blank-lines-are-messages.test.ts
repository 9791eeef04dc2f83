// Symptom: a client such as @microsoft/fetch-event-source dispatches empty messages.
// Cause: it dispatches a message at each blank line, and heartbeats and retry fields were followed by one.
import { test } from 'tap'
import { listen, makeApp, open } from '../helpers/app.js'

/** Returns the blocks between blank lines that contain neither data nor an id. */
function emptyBlocks (text: string): string[] {
  return text.split('\n\n').slice(0, -1).filter((block) => !/^(data|id)/m.test(block))
}

test('a blank line follows events and ids only', async (t) => {
  t.test('a heartbeat is not followed by a blank line, in any kind of stream', async (t) => {
    const app = await makeApp(t, { heartbeat: 20 })
    app.sseRoute('/interval', { interval: 70, payload: () => 'x' })
    app.sseRoute('/connect', { onConnect: async (_request, stream) => { await stream.send('x') } })
    app.sseRoute('/source', {
      source: async function * (_request, { signal }) {
        yield 'x'
        await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
      }
    })
    app.get('/reply', (_request, reply) => { reply.sse().send('x') })
    const port = await listen(app)
    for (const path of ['/interval', '/connect', '/source', '/reply']) {
      const client = await open(t, port, path)
      await client.until('data: x\n\n')
      await client.until('\n:\n:\n')
      t.same(emptyBlocks(client.text), [], path)
    }
  })

  t.test('a retry field is not followed by a blank line, at the opening and at the end', async (t) => {
    const app = await makeApp(t, { retry: 1_000, heartbeat: 20 })
    app.sseRoute('/', { interval: 100_000, immediate: false, payload: () => 'x' })
    const client = await open(t, await listen(app), '/')
    await client.until('retry: 1000\n:\n')
    await app.close()
    t.ok(await client.finished())
    t.match(client.text, /^retry: 1000\n(:\n)+retry: \d+\n$/)
  })

  t.test('a heartbeat of a stream with topics is followed by an id only if the client does not have that id yet', async (t) => {
    const app = await makeApp(t, { heartbeat: 20 })
    app.sseRoute('/', { topics: ['a'] })
    const client = await open(t, await listen(app), '/')
    await client.until('\n\n:\n:\n')
    const other = await app.sse.publish('b', 'x')
    await client.until(`:\nid: ${other}\n\n:\n:\n`)
    const own = await app.sse.publish('a', 'x')
    await client.until(`id: ${own}\ndata: x\n\n:\n:\n`)
    t.same(emptyBlocks(client.text), [])
  })
})
