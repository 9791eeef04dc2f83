// Symptom: many small events per second cost one write each.
// Cause: events are written at the end of their event loop tick. flushInterval collects those of several ticks.
import { test } from 'tap'
import { setTimeout as wait } from 'node:timers/promises'
import type { SSEStream } from '../../lib/index.js'
import { connectSocket, listen, makeApp, until } from '../helpers/app.js'

test('flushInterval', async (t) => {
  t.test('events sent within flushInterval leave in one write', async (t) => {
    const app = await makeApp(t)
    let stream: SSEStream | undefined
    app.sseRoute('/', { topics: ['a'], flushInterval: 400, onConnect: (_request, own) => { stream = own } })
    const socket = await connectSocket(t, await listen(app))
    const chunks: string[] = []
    socket.on('data', (chunk) => { chunks.push(String(chunk)) })
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the stream to be open', () => stream !== undefined && socket.text.includes('id: '))
    chunks.length = 0
    const before = performance.now()
    for (let i = 0; i < 4; i++) {
      await (i % 2 ? stream?.send({ event: 'x', data: `sent ${i}` }) : app.sse.publish('a', `sent ${i}`))
      await wait(5)
    }
    t.strictSame(chunks, [])
    await until('all events', () => socket.text.includes('sent 3'))
    t.ok(performance.now() - before >= 390)
    t.equal(chunks.length, 1)
    await app.sse.publish('a', 'last')
    for (const open of app.sse.streams.values()) open.close()
    await until('the end of the response', () => socket.text.endsWith('0\r\n\r\n'))
    t.match(socket.text, /data: last\n\n/)
  })

  t.test('more than 16 KiB are written without waiting for flushInterval', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { flushInterval: 60_000, onConnect: (_request, own) => own.send('x'.repeat(20_000)) })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the event', () => socket.text.includes('x\n\n'))
  })
})
