import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { rename, stat, truncate } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { startDemoServer } from '../helpers/demo-server.js'
import { readEvents } from './read-events.js'
import { until } from '../helpers/until.js'

/** Creates an AbortController that the end of the test aborts. */
function leaving (t: Test): AbortController {
  const controller = new AbortController()
  t.teardown(() => controller.abort())
  return controller
}

function ask (url: string, prompt: string, signal?: AbortSignal, chat: string = randomUUID()): Promise<Response> {
  return fetch(`${url}/chats/${chat}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ prompt }),
    signal
  })
}

t.test('the demo server', async (t) => {
  const server = await startDemoServer(t)

  t.test('GET /stocks answers 404 in JSON for an unknown symbol', async (t) => {
    const response = await fetch(`${server.url}/stocks/NOPE`)
    t.equal(response.status, 404)
    t.match(response.headers.get('content-type'), /^application\/json/)
    t.strictSame(await response.json(), { statusCode: 404, code: 'UNKNOWN_SYMBOL', error: 'Not Found', message: 'No company is listed as NOPE' })
  })

  t.test('GET /logs answers 400 in JSON for an unknown level', async (t) => {
    const response = await fetch(`${server.url}/logs?level=loud`)
    t.equal(response.status, 400)
    t.match(await response.json(), { code: 'FST_ERR_VALIDATION' })
  })

  t.test('GET /stocks sends all clients of a symbol the same quotes', async (t) => {
    const { signal } = leaving(t)
    const quotes = async () => {
      const seen: string[] = []
      for await (const { event, data } of readEvents(await fetch(`${server.url}/stocks/DUNE`, { signal }))) {
        if (event === 'quote' && seen.push(data) === 3) break
      }
      return seen
    }
    const begun = performance.now()
    const [one, other] = await Promise.all([quotes(), quotes()])
    t.strictSame(one, other)
    // measured with the clock of the test, because a late tick may have the second of the next one
    t.ok(performance.now() - begun > 1_800, 'one a second')
  })

  t.test('GET /ticker sends the newest prices at once, then each second’s, and a client that reconnects misses none', async (t) => {
    const { signal } = leaving(t)
    const seconds = async (count: number, headers: Record<string, string> = {}) => {
      const seen: Array<{ id: string | undefined, time: number }> = []
      for await (const { id, data } of readEvents(await fetch(`${server.url}/ticker`, { headers, signal }))) {
        if (seen.push({ id, time: JSON.parse(data).time }) === count) break
      }
      return seen
    }
    const [first] = await seconds(1)
    const begun = performance.now()
    t.same((await seconds(1)).map(({ time }) => time - (first?.time ?? 0) <= 1_000), [true])
    t.ok(performance.now() - begun < 500, 'without waiting for the next second')
    await until('a second is missed', async () => (await seconds(1))[0]?.time !== first?.time)
    const times = (await seconds(3, { 'last-event-id': first?.id ?? '' })).map(({ time }) => time - (first?.time ?? 0))
    t.same(times, [1_000, 2_000, 3_000])
    const past: Array<{ time: number }> = JSON.parse(await (await fetch(`${server.url}/prices`)).text())
    t.equal(past.length, 120)
    t.ok((past.at(-1)?.time ?? 0) >= (first?.time ?? 0) + 3_000, 'the page loads the seconds before')
  })

  t.test('GET /fragments/:library sends the prices as HTML in the form of each library', async (t) => {
    const { signal } = leaving(t)
    const first = async (library: string) => {
      const { value } = await readEvents(await fetch(`${server.url}/fragments/${library}`, { signal }))[Symbol.asyncIterator]().next()
      return { event: value?.event, data: value?.data ?? '' }
    }
    const list = /^<ul id="prices" [^]*<b>DUNE<\/b>[^]*\n<\/ul>$/
    t.match(await first('htmx'), { event: undefined, data: list })
    for (const [library, event, name] of [['datastar', 'datastar-patch-elements', 'elements'], ['datastar-beta', 'datastar-merge-fragments', 'fragments']] as const) {
      const { event: sent, data } = await first(library)
      t.equal(sent, event)
      t.match(data.split('\n').map((line) => line.replace(`${name} `, '')).join('\n'), list)
    }
    t.match(await first('turbo'), { event: undefined, data: /^<turbo-stream action="replace" target="prices"><template><ul id="prices" [^]*<\/ul><\/template><\/turbo-stream>$/ })
    t.equal((await fetch(`${server.url}/fragments/jquery`)).status, 400)
  })

  t.test('GET /logs continues through rotation and truncation of the log file', async (t) => {
    const client = leaving(t)
    const lines: Array<{ msg: string, req?: { url: string } }> = []
    const read = async () => {
      for await (const { data } of readEvents(await fetch(`${server.url}/logs`, { signal: client.signal }))) lines.push(JSON.parse(data))
    }
    const reading = t.rejects(read(), { name: 'AbortError' }, 'the stream goes on until the client leaves')
    const logged = (path: string) => until(`${path} is in the stream`, () => lines.some(({ req }) => req?.url === path))

    await fetch(`${server.url}/before`)
    await logged('/before')

    await fetch(`${server.url}/just-before-rotation`)
    await rename(server.logFile, `${server.logFile}.1`)
    server.signal('SIGUSR2')
    await until('there is a new log file', () => existsSync(server.logFile))
    await fetch(`${server.url}/after-rotation`)
    await logged('/just-before-rotation')
    await logged('/after-rotation')

    for (let number = 0; number < 20; number++) await fetch(`${server.url}/filling/${number}`)
    await logged('/filling/19')
    const { size } = await stat(server.logFile)
    await truncate(server.logFile, 0)
    await fetch(`${server.url}/after-truncation`)
    await logged('/after-truncation')
    t.ok((await stat(server.logFile)).size < size)

    const paths = lines.filter(({ msg }) => msg === 'incoming request').map(({ req }) => req?.url ?? '').filter((path) => /before|after|filling/.test(path))
    t.strictSame(paths, ['/before', '/just-before-rotation', '/after-rotation', ...Array.from({ length: 20 }, (_, number) => `/filling/${number}`), '/after-truncation'], 'each line once, in order')
    client.abort()
    await reading
  })

  t.test('GET /logs sends the lines of a level and above', async (t) => {
    const { signal } = leaving(t)
    await fetch(`${server.url}/refused`)
    for await (const { data } of readEvents(await fetch(`${server.url}/logs?level=warn`, { signal }))) {
      const line = JSON.parse(data)
      if (line.level < 40) t.fail(`a line of level ${line.level}`)
      if (line.req?.url === '/refused') break
    }
    t.pass('and the one that was asked for')
  })

  t.test('POST /chats/:chat answers with a text of the project without OPENAI_BASE_URL', async (t) => {
    let answer = ''
    let last = ''
    let tokens = 0
    for await (const { event = '', data } of readEvents(await ask(server.url, 'Hello'))) {
      if (event === 'token') {
        answer += data
        tokens++
      }
      last = event
    }
    t.match(answer, /^No language model is connected/)
    t.match(answer, /OPENAI_MODEL\.$/)
    t.ok(tokens > 100, 'word by word')
    t.equal(last, 'done')
  })

  t.test('POST /chats/:chat answers 400 in JSON without a prompt', async (t) => {
    const response = await ask(server.url, '')
    t.equal(response.status, 400)
    t.match(await response.json(), { code: 'FST_ERR_VALIDATION' })
  })

  t.test('POST /jobs starts an import that runs without a reader, and fails, is stopped or is done', async (t) => {
    const { signal } = leaving(t)
    const start = async (file: string): Promise<string> => {
      const response = await fetch(`${server.url}/jobs`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ file }) })
      if (response.status !== 202) throw new Error(`status ${response.status}`)
      return Object(await response.json()).id
    }
    const read = async (id: string, until = '') => {
      const events: Array<[string | undefined, string]> = []
      for await (const { event, data } of readEvents(await fetch(`${server.url}/jobs/${id}`, { signal }))) {
        events.push([event, data])
        if (data === until) break
      }
      return events
    }
    const stop = async (id: string) => Object(await (await fetch(`${server.url}/jobs/${id}`, { method: 'DELETE' })).json())
    const [broken, running, waiting] = [await start('broken.csv'), await start('customers.csv'), await start('orders.csv')]
    t.strictSame(await stop(waiting), { stopped: true })
    t.strictSame(await read(waiting), [['progress', '{"rows":0,"of":6000}'], ['done', '']], 'a job that waits for another one can be stopped')
    const failed = await read(broken)
    t.match(failed.slice(0, 2), [['progress', '{"rows":0,"of":1000}'], ['progress', '{"rows":50,"of":1000}']])
    t.strictSame(failed.slice(-2), [['progress', '{"rows":500,"of":1000}'], ['error', '{"message":"Row 531 has 3 columns in place of 4"}']])
    await read(running, '{"rows":100,"of":4000}')
    t.strictSame(await stop(running), { stopped: true })
    const stopped = await read(running)
    t.strictSame(stopped.at(-1), ['done', ''])
    t.notMatch(stopped, [['progress', '{"rows":4000,"of":4000}']], 'the next reader gets the events so far')
    t.strictSame(await stop(running), { stopped: false })

    const listed: string[] = []
    for await (const { data } of readEvents(await fetch(`${server.url}/jobs`, { signal }))) {
      if (listed.push(JSON.parse(data).id) === 3) break
    }
    t.strictSame(listed, [broken, running, waiting], 'the list has all jobs')
    t.equal((await fetch(`${server.url}/jobs/${randomUUID()}`)).status, 204)
    t.equal((await fetch(`${server.url}/jobs/7`)).status, 400)
    await t.rejects(start('unknown.csv'), { message: 'status 400' })
  })

  t.test('GET /ai/chat sends a text character by character', async (t) => {
    const { signal } = leaving(t)
    let answer = ''
    for await (const { data } of readEvents(await fetch(`${server.url}/ai/chat`, { signal }))) {
      t.equal(data.length, 1)
      answer += data
      if (answer.length === 20) break
    }
    t.equal(answer, 'No language model is')
  })

  t.test('GET /metrics has the number of open streams per route', async (t) => {
    const client = leaving(t)
    const metrics = async () => (await fetch(`${server.url}/metrics`)).text()
    t.match((await fetch(`${server.url}/metrics`)).headers.get('content-type'), /^text\/plain; version=/)
    await Promise.all(['/trades/BOLT', '/trades/DUNE', '/rooms/lobby'].map((path) => fetch(server.url + path, { signal: client.signal })))
    const text = await metrics()
    t.match(text, '\nsse_streams_open{route="/trades/:symbol"} 2\n')
    t.match(text, '\nsse_streams_open{route="/rooms/:room"} 1\n')
    client.abort()
    await until('the streams are closed', async () => (await metrics()).includes('\nsse_streams_closed_total{route="/trades/:symbol",reason="client"} 2\n'))
    t.match(await metrics(), '\nsse_streams_open{route="/trades/:symbol"} 0\n')
  })

  t.test('the demo server exits with code 0 on SIGTERM, with open streams of every kind and an unused connection', async (t) => {
    const order = await fetch(`${server.url}/orders`, { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{"item":"a kettle"}' })
    const { id } = Object(await order.json())
    const streams = await Promise.all([
      ...['/time', '/dashboard', '/logs', '/stocks/ACRE', '/fragments/turbo', '/ai/chat', `/orders/${id}`, '/rooms/lobby?lastEventId=0-0', '/jobs'].map((path) => fetch(server.url + path)),
      ask(server.url, 'Hello')
    ])
    const begun = new Set<Response>()
    const ends = streams.map(async (response) => {
      for await (const { data } of readEvents(response)) if (data) begun.add(response)
    })
    await until('every stream has sent an event', () => begun.size === streams.length)
    const unused = connect(Number(new URL(server.url).port), '127.0.0.1')
    t.teardown(() => unused.destroy())
    await once(unused, 'connect')
    const start = performance.now()
    server.signal('SIGTERM')
    t.strictSame(await server.ended, { code: 0, signal: null })
    t.ok(performance.now() - start < 2_000, 'within two seconds')
    await t.resolves(Promise.all(ends), 'and every stream ended cleanly')
  })
})

t.test('the chat of the demo with an OpenAI-compatible server', async (t) => {
  const asked: Array<{ request: IncomingMessage, body: unknown, response: ServerResponse }> = []
  const model = createServer(async (request, response) => {
    const body = JSON.parse(await text(request))
    asked.push({ request, body, response })
    if (body.messages[0].content === 'fail') {
      response.writeHead(429).end('busy')
      return
    }
    const send = (chunk: object) => response.write(`data: ${JSON.stringify(chunk)}\n\n`)
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    send({ choices: [{ delta: { role: 'assistant', content: '' } }] })
    for (const content of ['Two\n', 'lines', ' – ja']) send({ choices: [{ delta: { content } }] })
    if (body.messages[0].content === 'go on') return
    send({ choices: [{ delta: {}, finish_reason: 'stop' }] })
    response.end('data: [DONE]\n\n')
  }).listen(0, '127.0.0.1')
  t.teardown(() => {
    model.closeAllConnections()
    model.close()
  })
  await once(model, 'listening')
  const { port } = model.address() as AddressInfo
  const server = await startDemoServer(t, { OPENAI_BASE_URL: `http://127.0.0.1:${port}/v1`, OPENAI_API_KEY: 'a-key', OPENAI_MODEL: 'a-model' })

  t.test('POST /chats/:chat passes the tokens of the model on', async (t) => {
    const events: Array<[string | undefined, string]> = []
    for await (const { event, data } of readEvents(await ask(server.url, 'answer'))) events.push([event, data])
    t.strictSame(events, [['question', 'answer'], ['token', 'Two\n'], ['token', 'lines'], ['token', ' – ja'], ['complete', '3'], ['done', '']])
    t.match(asked.at(-1), {
      request: { method: 'POST', url: '/v1/chat/completions', headers: { authorization: 'Bearer a-key' } },
      body: { model: 'a-model', stream: true, messages: [{ role: 'user', content: 'answer' }] }
    })
  })

  t.test('POST /chats/:chat: the model goes on when the client disconnects, others read the whole answer, and DELETE aborts the request to the model', async (t) => {
    const chat = randomUUID()
    const leave = new AbortController()
    const response = await ask(server.url, 'go on', leave.signal, chat)
    t.equal(response.status, 200)
    await until('the model is asked', () => Object(asked.at(-1)?.body).messages[0].content === 'go on')
    const upstream = asked.at(-1)?.response
    if (!upstream) return t.fail('the model was not asked')
    leave.abort()
    const busy = await ask(server.url, 'another', undefined, chat)
    t.equal(busy.status, 409)
    t.match(await busy.json(), { code: 'SSE_ERR_RUN_BUSY' })

    const readers = await Promise.all([1, 2].map(() => fetch(`${server.url}/chats/${chat}`)))
    const whole = Promise.all(readers.map(async (response) => {
      const events: Array<[string | undefined, string]> = []
      for await (const { event, data } of readEvents(response)) {
        if (events.push([event, data]) === 4) await fetch(`${server.url}/chats/${chat}`, { method: 'DELETE' })
      }
      return events
    }))
    t.equal(upstream.closed, false)
    for (const events of await whole) t.strictSame(events, [['question', 'go on'], ['token', 'Two\n'], ['token', 'lines'], ['token', ' – ja'], ['done', '']])
    if (!upstream.closed) await once(upstream, 'close')
    t.equal(upstream.writableEnded, false, 'closed by the other side')
    t.strictSame(await (await fetch(`${server.url}/chats/${chat}`, { method: 'DELETE' })).json(), { stopped: false })
  })

  t.test('POST /chats/:chat sends the event `error` when the model fails', async (t) => {
    const events: Array<[string | undefined, string]> = []
    for await (const { event, data } of readEvents(await ask(server.url, 'fail'))) events.push([event, data])
    t.strictSame(events, [['question', 'fail'], ['error', '{"message":"The language model answered 429: busy"}']])
  })

  t.test('GET /chats/:chat answers 204 for a chat without an answer', async (t) => {
    t.equal((await fetch(`${server.url}/chats/${randomUUID()}`)).status, 204)
  })

  t.test('GET /chats/:chat/questions sends the newest question, then each one as it is asked', async (t) => {
    const { signal } = leaving(t)
    const chat = randomUUID()
    for (const prompt of ['one', 'two']) await (await ask(server.url, prompt, undefined, chat)).text()
    const questions: string[] = []
    let answer: Promise<string> | undefined
    for await (const { data } of readEvents(await fetch(`${server.url}/chats/${chat}/questions`, { signal }))) {
      if (questions.push(data) === 2) break
      answer = ask(server.url, 'three', undefined, chat).then((response) => response.text())
    }
    await answer
    t.strictSame(questions, ['two', 'three'])
  })
})
