// Symptom: a keep-alive client fails with HPE_INVALID_CONSTANT, and acknowledged events are lost.
// Cause: other code, such as an exception filter of NestJS, calls reply.raw.end(), and the plugin wrote more chunks after the last one.
import { Agent, get, type IncomingMessage } from 'node:http'
import { connect as connect2 } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import Fastify from 'fastify'
import { test } from 'tap'
import sse, { type SSEStream } from '../../lib/index.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'

test('after reply.raw.end() by other code, nothing follows the last chunk', async (t) => {
  t.test('after reply.raw.end(), no sent event, published event or heartbeat is written, and send() resolves to false', async (t) => {
    const app = await makeApp(t, { heartbeat: 20 })
    const sent: boolean[] = []
    let stream: SSEStream | undefined
    app.get('/', async (_request, reply) => {
      const own = stream = reply.sse()
      own.subscribe('topic')
      await own.send('first')
      reply.raw.end()
      sent.push(await own.send('second'), await own.send('third'))
      await app.sse.publish('topic', 'fourth')
    })
    app.get('/plain', () => 'plain')
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the end of the response', () => socket.text.includes('\r\n0\r\n\r\n'))
    // much longer than a heartbeat interval
    await new Promise((resolve) => { setTimeout(resolve, 60) })
    t.ok(socket.text.endsWith('\r\n0\r\n\r\n'), JSON.stringify(socket.text.slice(-60)))
    t.match(socket.text, /data: first/)
    t.strictSame(sent, [false, false])
    t.match(stream, { closed: true, closeReason: 'server' })
    t.equal(app.sse.streams.size, 0)
    socket.text = ''
    socket.write('GET /plain HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the next response on the same connection', () => socket.text.endsWith('plain'))
  })

  t.test('after reply.raw.end(), a keep-alive client can read the next response', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', { interval: 5, payload: () => 'x', onConnect: (_request, stream) => { setTimeout(() => stream.request.raw.emit('stop'), 30) } })
    app.addHook('onRequest', async (request, reply) => { request.raw.once('stop', () => reply.raw.end()) })
    app.get('/plain', () => 'plain')
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    const port = await listen(app)
    const request = async (path: string) => {
      const [response] = await once(get({ host: '127.0.0.1', port, path, agent }), 'response') as [IncomingMessage]
      let text = ''
      for await (const chunk of response) text += String(chunk)
      return text
    }
    for (let i = 0; i < 3; i++) {
      t.match(await request('/'), /^(data: x\n\n)+$/)
      t.equal(await request('/plain'), 'plain')
    }
  })

  t.test('after reply.raw.end() or destroy(), nothing is written over HTTP/2 and inject', async (t) => {
    const app = Fastify({ http2: true })
    t.teardown(() => app.close())
    await app.register(sse)
    const results: boolean[] = []
    for (const how of ['end', 'destroy'] as const) {
      app.get(`/${how}`, async (_request, reply) => {
        const stream = reply.sse()
        await stream.send('first')
        if (how === 'end') reply.raw.end()
        else reply.raw.destroy()
        results.push(await stream.send('second'), stream.closed)
      })
    }
    await app.listen({ host: '127.0.0.1', port: 0 })
    const session = connect2(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
    session.on('error', () => {})
    t.teardown(() => session.destroy())
    for (const how of ['end', 'destroy']) {
      const request = session.request({ ':path': `/${how}` })
      request.on('error', () => {})
      let text = ''
      request.on('data', (chunk) => { text += String(chunk) })
      await new Promise((resolve) => request.once('close', resolve))
      t.notMatch(text, /second/)
    }
    t.strictSame(results, [false, true, false, true])
    const plain = await makeApp(t)
    plain.get('/', async (_request, reply) => {
      const stream = reply.sse()
      await stream.send('first')
      reply.raw.end()
      results.push(await stream.send('second'))
    })
    t.equal((await plain.inject('/')).body, 'data: first\n\n')
    t.equal(results.at(-1), false)
  })

  t.test('an event sent in the tick of reply.raw.end() is not lost', async (t) => {
    const app = await makeApp(t)
    app.get('/', async (_request, reply) => {
      const stream = reply.sse()
      await stream.send('acknowledged')
      reply.raw.end()
    })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.equal(client.text, 'data: acknowledged\n\n')
  })

  t.test('events that reply.raw.end() drops are logged with their number of bytes', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, {}, { logger: { level: 'warn', stream: { write: (line: string) => { lines.push(line) } } } })
    app.get('/', (_request, reply) => {
      const stream = reply.sse()
      const { end } = Object.getPrototypeOf(reply.raw)
      setImmediate(() => {
        stream.send('lost').catch(t.error)
        // calls the method of the prototype, because the own `end` of the response flushes first
        end.call(reply.raw)
      })
    })
    t.equal((await app.inject('/')).body, '')
    t.match(lines, [/ended by other code: 12 bytes of events are lost/])
    t.equal(app.sse.stats().closed.server, 1)
  })
})
