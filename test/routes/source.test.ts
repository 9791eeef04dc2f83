import { once } from 'node:events'
import { Readable } from 'node:stream'
import { setImmediate as nextTurn, setTimeout as wait } from 'node:timers/promises'
import { test } from 'tap'
import type { SSESource } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { connectSocket, listen, makeApp, open, until } from '../helpers/app.js'

test('the end of a source', async (t) => {
  t.test('app.close() waits for the finally block of a generator that closes its stream and then yields', async (t) => {
    const app = await makeApp(t)
    let over = false
    app.sseRoute('/', {
      source: async function * (_request, stream) {
        try {
          stream.close()
          yield 'x'
        } finally {
          await wait(200)
          over = true
        }
      }
    })
    const client = await open(t, await listen(app), '/')
    await client.finished()
    t.notOk(over)
    await app.close()
    t.ok(over)
  })

  t.test('a source whose property close throws does not keep the response open, and the error is logged', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, {}, { logger: { level: 'debug', stream: { write: (line: string) => { lines.push(line) } } } })
    const source = { async * [Symbol.asyncIterator] () { yield 'x' }, get close (): () => void { throw new Error('no close') } }
    app.sseRoute('/', { source: () => source })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.equal(client.text, 'data: x\n\n')
    t.match(lines.join(''), /no close/)
  })
})

test('a source', async (t) => {
  t.test('a source of any supported kind is streamed to its end', async (t) => {
    const app = await makeApp(t)
    const euro = Buffer.from('a€b')
    const sources: Record<string, () => SSESource | Promise<SSESource>> = {
      array: () => ['a', { event: 'x', data: 1 }, null, {}, 'b'],
      generator: function * () { yield 'a'; yield { event: 'x', data: 1 }; yield 'b' },
      'async generator': async function * () { yield 'a'; await wait(5); yield { event: 'x', data: 1 }; yield 'b' },
      readable: () => Readable.from(['a', { event: 'x', data: 1 }, 'b']),
      web: () => new ReadableStream({
        start (controller) {
          for (const item of ['a', { event: 'x', data: 1 }, 'b']) controller.enqueue(item)
          controller.close()
        }
      }),
      promise: async () => ['a', { event: 'x', data: 1 }, 'b']
    }
    for (const [name, source] of Object.entries(sources)) {
      const url = `/${name.replace(' ', '-')}`
      app.sseRoute({ url, source })
      app.get(`/reply${url}`, async (request, reply) => reply.sse(source()))
    }
    app.sseRoute('/bytes', { source: () => Readable.from([euro.subarray(0, 1), euro.subarray(1, 2), euro.subarray(2)]) })
    app.sseRoute('/cut-bytes', { source: () => Readable.from([euro.subarray(0, 2)]) })
    await app.ready()
    for (const name of Object.keys(sources)) {
      for (const url of [`/${name.replace(' ', '-')}`, `/reply/${name.replace(' ', '-')}`]) {
        const events = []
        for await (const { event, data } of await injectSSE(app, { url })) events.push(`${event} ${data}`)
        t.strictSame(events, ['message a', 'x 1', 'message b'], url)
      }
    }
    const text = []
    for await (const { data } of await injectSSE(app, { url: '/bytes' })) text.push(data)
    t.equal(text.join(''), 'a€b', 'bytes are decoded as UTF-8, however they are split into chunks')
    const cut = []
    for await (const { data } of await injectSSE(app, { url: '/cut-bytes' })) cut.push(data)
    t.strictSame(cut, ['a', '\uFFFD'], 'an incomplete character at the end becomes U+FFFD')
    t.equal(app.sse.stats().closed.server, 14)
  })

  t.test('a source is read at the pace of the client', async (t) => {
    const app = await makeApp(t, { maxBufferedBytes: 100_000 })
    let given = 0
    app.sseRoute('/', { source: function * () { while (given < 5_000) yield { id: given++, data: 'x'.repeat(5_000) } } })
    const client = await open(t, await listen(app), '/')
    client.pause()
    let before = -1
    await until('the source to be read no further', async () => {
      const still = given > 0 && given === before
      before = given
      await wait(50)
      return still
    })
    t.ok(given < 5_000)
    client.resume()
    t.ok(await client.finished())
    t.equal(client.text.split('\n\n').length - 1, 5_000)
  })

  t.test('a source is stopped as soon as the client disconnects, also while an item is awaited', async (t) => {
    const app = await makeApp(t)
    const calls: string[] = []
    app.sseRoute('/iterator', {
      source: () => ({
        [Symbol.asyncIterator]: () => ({
          next: () => calls.includes('asked') ? new Promise(() => {}) : Promise.resolve({ done: calls.push('asked') < 0, value: 'x' }),
          return: async () => { calls.push('return'); return { done: true, value: undefined } }
        })
      })
    })
    app.sseRoute('/generator', {
      source: async function * (request, stream) {
        try {
          yield 'x'
          await once(stream.signal, 'abort')
        } finally {
          calls.push('finally')
        }
      }
    })
    app.sseRoute('/readable', {
      source: () => {
        const readable = new Readable({ objectMode: true, read () {} })
        readable.push('x')
        return readable.on('close', () => calls.push('destroyed'))
      }
    })
    app.sseRoute('/web', {
      source: () => new ReadableStream<string>({ start: (controller) => controller.enqueue('x'), cancel: () => { calls.push('cancelled') } })
    })
    const port = await listen(app)
    const expected = { '/iterator': 'return', '/generator': 'finally', '/readable': 'destroyed', '/web': 'cancelled' }
    for (const [path, word] of Object.entries(expected)) {
      const client = await open(t, port, path)
      await client.until('data: x')
      client.disconnect()
      await until(word, () => calls.includes(word))
    }
    t.match(app.sse.stats(), { active: 0, closed: { client: 4 } })
  })

  t.test('a source is stopped when the client disconnects while the next item waits for its buffer', async (t) => {
    const app = await makeApp(t)
    let given = 0
    let stopped = false
    app.sseRoute('/', {
      source: async function * () {
        try {
          for (;;) {
            given++
            yield 'x'.repeat(8_000)
            // the stream is flushed meanwhile, which fills its buffer
            await nextTurn()
          }
        } finally {
          stopped = true
        }
      }
    })
    const client = await open(t, await listen(app), '/')
    client.pause()
    let before = 0
    await until('the source to wait', async () => {
      before = given
      await wait(50)
      return given > 1 && given === before
    })
    client.disconnect()
    await until('the source to be stopped', () => stopped)
    t.equal(given, before)
  })

  t.test('a source is stopped without being read when its route closes the stream at once', async (t) => {
    const app = await makeApp(t)
    const calls: string[] = []
    app.sseRoute('/', {
      source (_request, stream) {
        stream.close()
        return { [Symbol.iterator]: () => ({ next: () => ({ done: false, value: calls.push('read').toString() }), return: () => ({ done: true, value: calls.push('stopped') }) }) }
      }
    })
    t.strictSame(await (await fetch(`http://127.0.0.1:${await listen(app)}/`)).text(), '')
    t.strictSame(calls, ['stopped'])
  })

  t.test('a promised source that resolves after the client disconnected is stopped', async (t) => {
    const app = await makeApp(t)
    let stopped = 0
    const source = (closed: Promise<unknown>) => closed.then(() => ({
      [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: async () => ({ done: true as const, value: stopped++ }) })
    }))
    app.sseRoute('/', { source: (request, stream) => source(once(stream.signal, 'abort')) })
    app.get('/reply', async (request, reply) => reply.sse(source(once(reply.raw, 'close'))))
    for (const url of ['/', '/reply']) (await injectSSE(app, { url })).close()
    await until('both sources to be stopped', () => stopped === 2)
  })

  t.test('a promised generator that resolves after the client disconnected is never started', async (t) => {
    const app = await makeApp(t)
    const started: string[] = []
    const later = async (signal: AbortSignal) => {
      await once(signal, 'abort')
      await wait(10)
      return (async function * () { yield String(started.push('x')) })()
    }
    let over = 0
    app.sseRoute('/', { source: (_request, stream) => later(stream.signal).finally(() => { over++ }) })
    app.sseRoute('/first', { openOn: 'first-event', source: (_request, stream) => later(stream.signal).finally(() => { over++ }) })
    const port = await listen(app)
    ;(await open(t, port, '/')).disconnect()
    const socket = await connectSocket(t, port)
    socket.write('GET /first HTTP/1.1\r\nHost: x\r\n\r\n')
    await wait(20)
    socket.destroy()
    await until('both promises to settle', () => over === 2)
    await wait(20)
    t.strictSame(started, [])
  })

  t.test('a promised source that fails before its stream is open aborts the response', async (t) => {
    const app = await makeApp(t)
    app.addHook('onSend', async () => { await wait(30) })
    const failing = () => {
      const readable = new Readable({ read () {} })
      setTimeout(() => readable.destroy(new Error('early')), 5)
      return readable
    }
    app.get('/', (_request, reply) => reply.sse((async () => failing())()))
    const client = await open(t, await listen(app), '/')
    t.notOk(await client.finished())
  })

  t.test('a source that fails aborts the response after the events sent so far have arrived', async (t) => {
    const app = await makeApp(t)
    const errors: string[] = []
    const failing = async function * () {
      yield 'x'.repeat(100_000)
      throw new Error('broken')
    }
    app.sseRoute('/', { source: failing, onError: (error) => { errors.push(error.message) } })
    app.sseRoute('/unsendable', { source: () => ['x'.repeat(100_000), { id: 'a\n' }], onError: (error) => { errors.push(error.message) } })
    app.sseRoute('/no-source', { source: () => 3 as never, onError: (error) => { errors.push(error.message) } })
    app.sseRoute('/text', { source: () => 'text' as never, onError: (error) => { errors.push(error.message) } })
    app.sseRoute('/object', { source: () => ({}) as never, onError: (error) => { errors.push(error.message) } })
    app.get('/reply', async (request, reply) => reply.sse(failing()))
    const port = await listen(app)
    for (const path of ['/', '/unsendable', '/reply']) {
      const client = await open(t, port, path)
      t.notOk(await client.finished(), path)
      t.equal(client.text, `data: ${'x'.repeat(100_000)}\n\n`)
    }
    for (const path of ['/no-source', '/text', '/object']) t.notOk(await (await open(t, port, path)).finished())
    t.match(errors, ['broken', /"id" of an event/, /A source is an async iterable.*got 3/, /got "text"/, /got an object/])
    t.equal(app.sse.stats().closed.error, 6)
  })

  t.test('a source that fails ends its response normally if onError closes the stream', async (t) => {
    const app = await makeApp(t)
    app.sseRoute('/', {
      source: async function * () { throw new Error('broken') },
      onError: async (error, request, stream) => {
        await stream.send({ event: 'error', data: error.message })
        stream.close()
      }
    })
    const client = await open(t, await listen(app), '/')
    t.ok(await client.finished())
    t.equal(client.text, 'event: error\ndata: broken\n\n')
  })

  t.test('a source that throws when it is stopped is logged', async (t) => {
    const lines: string[] = []
    const app = await makeApp(t, {}, { logger: { level: 'debug', stream: { write: (line: string) => { lines.push(line) } } } })
    const source = () => {
      const items = ['x']
      const next = () => items.length > 0 ? Promise.resolve({ done: false, value: String(items.pop()) }) : new Promise<never>(() => {})
      return { [Symbol.asyncIterator]: () => ({ next, return: () => { throw new Error('cannot stop') } }) }
    }
    app.sseRoute('/', { source })
    app.get('/reply', async (request, reply) => reply.sse(source()))
    const port = await listen(app)
    for (const [i, path] of ['/', '/reply'].entries()) {
      const client = await open(t, port, path)
      await client.until('data: x')
      client.disconnect()
      await until('the log line', () => lines.filter((line) => line.includes('cannot stop')).length === i + 1)
    }
  })

  t.test('a source without return() is not read after its stream has closed', async (t) => {
    const app = await makeApp(t)
    let calls = 0
    app.sseRoute('/', { source: () => ({ [Symbol.asyncIterator]: () => ({ next: async () => { await wait(5); return { done: false, value: String(calls++) } } }) }) })
    const stream = await injectSSE(app, { url: '/' })
    await stream.next()
    stream.close()
    await until('the stream to be closed', () => app.sse.streams.size === 0)
    const before = calls
    await wait(50)
    t.ok(calls <= before + 1)
  })

  t.test('a source continues after the body of its POST request has been read', async (t) => {
    const app = await makeApp(t)
    app.sseRoute<{ Body: { prompt: string } }>({
      method: 'POST',
      url: '/',
      source: async function * (request) {
        for (const token of request.body.prompt) {
          await wait(10)
          yield token
        }
      }
    })
    const events = []
    for await (const { data } of await injectSSE(app, { url: '/', method: 'POST', payload: { prompt: 'abc' } })) events.push(data)
    t.strictSame(events, ['a', 'b', 'c'])
  })
})

test('openOn: first-event', async (t) => {
  t.test('with openOn: first-event, an error before the first item is answered as an ordinary HTTP error', async (t) => {
    const app = await makeApp(t)
    const fail = Object.assign(new Error('no such model'), { statusCode: 404 })
    const onError = () => t.fail('onError was called for a stream that did not open')
    app.sseRoute('/source', { openOn: 'first-event', onError, source: async () => { throw fail } })
    app.sseRoute('/item', { openOn: 'first-event', onError, source: async function * () { throw fail } })
    app.sseRoute('/payload', { openOn: 'first-event', onError, source: () => [{ event: 'a\nb' }] })
    t.match((await app.inject('/source')).json(), { statusCode: 404, message: 'no such model' })
    t.match((await app.inject('/item')).json(), { statusCode: 404, message: 'no such model' })
    t.match((await app.inject('/payload')).json(), { statusCode: 500, code: 'SSE_ERR_FIELD' })
    t.equal(app.sse.stats().opened, 0)
  })

  t.test('with openOn: first-event, the stream opens at the first item, and onConnect runs before it is sent', async (t) => {
    const app = await makeApp(t)
    const order: string[] = []
    app.sseRoute('/', {
      openOn: 'first-event',
      source: async function * (request, stream) {
        await t.rejects(stream.send('early'), { code: 'SSE_ERR_NOT_OPEN' })
        await wait(20)
        order.push('first')
        yield 'a'
        yield 'b'
      },
      onConnect: async (request, stream) => {
        order.push('connect')
        await stream.send('hello')
      },
      onDisconnect: () => { order.push('disconnect') }
    })
    app.sseRoute('/empty', { openOn: 'first-event', source: () => [] })
    const events = []
    for await (const { data } of await injectSSE(app, { url: '/' })) events.push(data)
    t.strictSame(events, ['hello', 'a', 'b'])
    t.strictSame(order, ['first', 'connect', 'disconnect'])
    t.equal((await app.inject('/empty')).statusCode, 200)
  })

  t.test('with openOn: first-event, the source is stopped when the client disconnects before the first item', async (t) => {
    const app = await makeApp(t)
    let stopped = false
    let asked = false
    app.sseRoute('/', {
      openOn: 'first-event',
      source: async function * (request, stream) {
        asked = true
        await new Promise((resolve) => { stream.signal.addEventListener('abort', resolve) })
        stopped = true
        throw new Error('aborted')
      },
      onDisconnect: () => t.fail('onDisconnect was called for a stream that did not open')
    })
    const socket = await connectSocket(t, await listen(app))
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
    await until('the source to start', () => asked)
    socket.destroy()
    await until('the source to be stopped', () => stopped)
    t.equal(app.sse.stats().opened, 0)
  })

  t.test('with openOn: first-event, closing the server before the first item answers 503, even if the source never settles', async (t) => {
    const app = await makeApp(t)
    let asked = 0
    app.sseRoute('/', { openOn: 'first-event', source: () => { asked++; return new Promise<never>(() => {}) } })
    const port = await listen(app)
    const response = fetch(`http://127.0.0.1:${port}/`)
    await until('the source to start', () => asked)
    await app.close()
    t.match(await (await response).json(), { statusCode: 503, code: 'SSE_ERR_CLOSING' })
  })

  t.test('with openOn: first-event, handlerTimeout before the first item answers 503 and stops the source', async (t) => {
    const app = await makeApp(t)
    let stopped = 0
    app.sseRoute('/', {
      openOn: 'first-event',
      handlerTimeout: 50,
      source: () => ({ [Symbol.asyncIterator]: () => ({ next: () => new Promise<never>(() => {}), return: async () => ({ done: true, value: stopped++ }) }) })
    })
    const response = await fetch(`http://127.0.0.1:${await listen(app)}/`)
    t.equal(response.status, 503)
    await until('the source to be stopped', () => stopped === 1)
  })
})
