import { test } from 'tap'
import { listen, makeApp, open } from '../helpers/app.js'

// Clients such as @microsoft/fetch-event-source dispatch a message at each blank line, also where no event precedes it.

/** The blocks between blank lines in which a client finds neither data nor an id. */
function emptyBlocks (text: string): string[] {
  return text.split('\n\n').slice(0, -1).filter((block) => !/^(data|id)/m.test(block))
}

test('a blank line follows events and ids only', async (t) => {
  t.test('and no heartbeat, in any kind of stream', async (t) => {
    const app = await makeApp(t, { heartbeat: 20 })
    app.sseRoute('/interval', { interval: 70, payload: () => 'x' })
    app.sseRoute('/connect', { onConnect: async (_request, stream) => { await stream.send('x') } })
    app.sseRoute('/source', {
      source: async function * (_request, { signal }) {
        yield 'x'
        await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
      }
    })
    app.get('/hand', (_request, reply) => { reply.sse().send('x') })
    const port = await listen(app)
    for (const path of ['/interval', '/connect', '/source', '/hand']) {
      const client = await open(t, port, path)
      await client.until('data: x\n\n')
      await client.until('\n:\n:\n')
      t.same(emptyBlocks(client.text), [], path)
    }
  })

  t.test('and no retry, neither at the opening nor at the end', async (t) => {
    const app = await makeApp(t, { retry: 1_000, heartbeat: 20 })
    app.sseRoute('/', { interval: 100_000, immediate: false, payload: () => 'x' })
    const client = await open(t, await listen(app), '/')
    await client.until('retry: 1000\n:\n')
    await app.close()
    t.ok(await client.over())
    t.match(client.text, /^retry: 1000\n(:\n)+retry: \d+\n$/)
  })

  t.test('and an id in the heartbeats of topics only where the client does not have it', async (t) => {
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
