import { build } from 'esbuild'
import type { EventEmitter } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { type Client, createClient } from 'graphql-sse'
import { test, type Test } from 'tap'
import { listen, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { join } from 'node:path'
import { pageOf, root } from './document.js'
import { run, toJavaScript } from './run.js'

const page = pageOf('docs/graphql-and-trpc.md')

const [operations] = page.codeOf('GraphQL operations', 'ts')
const [distinct] = page.codeOf('GraphQL: a connection for each operation', 'ts')
const [single] = page.codeOf('GraphQL: one connection for all operations', 'ts')
const [clientCode] = page.codeOf('The client of graphql-sse', 'ts')

const USER_OF = `export function userOf ({ headers }) {
  const [, user] = /(?:Bearer |user=)(\\w+)/.exec([headers.authorization, headers.cookie]) ?? []
  if (user === undefined) throw Object.assign(new Error('Sign in'), { statusCode: 401 })
  return user
}`

/** The routes of the page. `requests` has the method and the url of each request. */
interface Parts { build: () => FastifyInstance, rooms: EventEmitter, connections: Map<string, unknown>, requests: string[] }

/** Runs the routes of the page with a version of graphql-js. */
async function start (t: Test, { version = 'graphql', change = String, last }: { version?: string, change?: (code: string) => string, last?: string } = {}) {
  const files = {
    'graphql-operations.js': `${toJavaScript(change(operations).replace('\'graphql\'', JSON.stringify(import.meta.resolve(version))))}${USER_OF}`,
    'graphql-distinct.js': toJavaScript(distinct),
    'graphql-single.js': toJavaScript(single.replaceAll('10_000', '1_000'))
  }
  const parts = await run<Parts>(t, `import Fastify from 'fastify'
    import sse from 'fastify-sse-routes'
    import { distinct } from './graphql-distinct.js'
    import { rooms } from './graphql-operations.js'
    import { connections, single } from './graphql-single.js'
    const requests = []
    function build () {
      const app = Fastify({ forceCloseConnections: true })
      app.addHook('onRequest', async ({ method, url }) => { requests.push(method + ' ' + url) })
      app.register(sse, { heartbeat: 50, drain: ${JSON.stringify(last === undefined ? {} : { event: { event: last, data: '' } })} })
      app.register(distinct)
      app.register(single)
      app.get('/page', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
      return app
    }
    const parts = { build, rooms, connections, requests }`, 'parts', files)
  const app = parts.build()
  t.teardown(() => app.close())
  const port = await listen(app)
  const clientOf = async (mode: 'distinct' | 'single', token = 'ann') => {
    const code = clientCode.replace('export ', '').replaceAll('1_000', '200').replace('Bearer ann', `Bearer ${token}`)
      .replace('url: \'/graphql\'', mode === 'single' ? `singleConnection: true, url: 'http://127.0.0.1:${port}/graphql/stream'` : `url: 'http://127.0.0.1:${port}/graphql'`)
      .replace('\'graphql-sse\'', JSON.stringify(import.meta.resolve('graphql-sse')))
    const client = await run<Client>(t, code, 'client', files)
    t.teardown(() => client.dispose())
    return client
  }
  return { ...parts, app, port, clientOf }
}

/** Runs an operation, and collects its results. */
function collect (client: Client, query: string) {
  const seen = { data: [] as unknown[], over: undefined as unknown, stop: () => {} }
  seen.stop = client.subscribe({ query }, {
    next: ({ data, errors }) => { seen.data.push(errors === undefined ? { ...data } : errors.map(({ message }) => message)) },
    error: (error) => { seen.over = error },
    complete: () => { seen.over = 'complete' }
  })
  return seen
}

/** Waits until the server runs a subscription to each of these rooms, and to no other. */
function listening ({ rooms }: Parts, ...names: string[]) {
  return until(`subscriptions to ${names}`, () => rooms.eventNames().filter((name) => name !== 'error').sort().join() === names.join())
}

const said = (room: string) => `subscription { said(room: "${room}") }`
/** The versions of graphql-js that run on this version of Node. */
const versions = Number.parseInt(process.versions.node) < 22 ? ['graphql'] : ['graphql', 'graphql-17']
const [PUT, GET, POST] = ['PUT', 'GET', 'POST'].map((method) => `${method} /graphql/stream`)

for (const mode of ['distinct', 'single'] as const) {
  for (const version of versions) {
    test(`graphql-sse, ${mode}, ${version}: results in order, mistakes and failures as results, and the end of each operation`, async (t) => {
      const { clientOf, requests, app, connections } = await start(t, { version, change: (code) => code.replace('yield { countdown: left }', '{ if (left === 6) throw new Error(\'no memory\'); yield { countdown: left === 7 ? \'x\' : left } }') })
      const client = await clientOf(mode)
      for (const [query, data] of [
        ['subscription { countdown(from: 3) }', [3, 2, 1, 0].map((countdown) => ({ countdown }))],
        ['subscription { countdown(from: 8) }', [{ countdown: 8 }, ['Int cannot represent non-integer value: "x"'], ['Internal error']]],
        ['{ hello }', [{ hello: 'Hello ann' }]],
        ['mutation { say(room: "a", text: "x") }', [{ say: false }]],
        ['{ nothing }', [['Cannot query field "nothing" on type "Query".']]],
        ['{', [['Syntax Error: Expected Name, found <EOF>.']]]
      ] as const) {
        const seen = collect(client, query)
        await until('the end', () => seen.over !== undefined)
        t.strictSame(seen, { data, over: 'complete', stop: seen.stop }, query)
      }
      t.equal(requests.length, mode === 'single' ? 6 * 3 : 6, 'none is sent twice')
      await until('the last disconnect', () => app.sse.streams.size === 0)
      t.equal(connections.size, 0)
    })
  }

  test(`graphql-sse, ${mode}: the client stops one operation, and the server ends its generator`, async (t) => {
    const parts = await start(t)
    const { clientOf, rooms, app } = parts
    const client = await clientOf(mode)
    const names = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
    const all = names.map((name) => collect(client, said(name)))
    await listening(parts, ...names)
    t.equal(app.sse.streams.size, mode === 'single' ? 1 : 8)
    for (const text of ['1', '2']) for (const name of names) rooms.emit(name, name + text)
    await until('all results', () => all.every(({ data }) => data.length === 2))
    t.strictSame(all.map(({ data }) => data), names.map((name) => [{ said: `${name}1` }, { said: `${name}2` }]))
    all.shift()?.stop()
    await listening(parts, ...names.slice(1))
    client.dispose()
    await listening(parts)
    await until('the disconnects', () => app.sse.streams.size === 0)
  })

  test(`graphql-sse, ${mode}: after a broken connection and after app.close() the client runs its operations again, and has missed results`, async (t) => {
    const parts = await start(t)
    const { clientOf, rooms, app, port, requests, build, connections } = parts
    const client = await clientOf(mode)
    const [a, b] = [collect(client, said('a')), collect(client, said('b'))]
    await listening(parts, 'a', 'b')
    requests.length = 0
    for (const { request } of app.sse.streams.values()) request.raw.socket.destroy()
    await listening(parts)
    rooms.emit('a', 'missed')
    await listening(parts, 'a', 'b')
    t.equal(app.sse.streams.size, 2)
    if (mode === 'single') t.strictSame(requests.toSorted(), [GET, GET, POST, POST, PUT, PUT], 'each operation opens its own stream')
    rooms.emit('a', 'two')
    await until('the result', () => a.data.length === 1)
    await app.close()
    rooms.emit('a', 'missed')
    const next = build()
    t.teardown(() => next.close())
    await next.listen({ port, host: '127.0.0.1' })
    await listening(parts, 'a', 'b')
    rooms.emit('a', 'three')
    rooms.emit('b', 'four')
    await until('the results', () => a.data.length === 2 && b.data.length === 1)
    t.strictSame([a, b].map(({ data }) => data), [[{ said: 'two' }, { said: 'three' }], [{ said: 'four' }]])
    a.stop()
    b.stop()
    await listening(parts)
    await until('the last disconnect', () => next.sse.streams.size === 0)
    t.equal(connections.size, 0)
  })

  test(`graphql-sse, ${mode}: a user without a session gets an error at once, and a broadcast ends a subscription with an error`, async (t) => {
    const parts = await start(t, { last: 'bye' })
    const refused = collect(await parts.clientOf(mode, ''), said('a'))
    await until('the error', () => refused.over !== undefined)
    t.match(refused.over, { message: 'The server refused with 401' })
    t.equal(parts.requests.length, 1)
    const patient = collect(createClient({ url: `http://127.0.0.1:${parts.port}/graphql`, singleConnection: mode === 'single', retry: async () => {} }), said('a'))
    await until('the error', () => patient.over !== undefined)
    t.equal(parts.requests.length, 1 + 6, 'a client without the function of the page tries again five times')
    for (const event of ['news', undefined]) {
      const open = collect(await parts.clientOf(mode), said('a'))
      await listening(parts, 'a')
      await parts.app.sse.broadcast({ event, data: {} })
      await until('the error', () => open.over !== undefined)
      t.match(open.over, { message: event === undefined ? 'Missing message event' : 'Invalid stream event "news"' })
      await listening(parts)
    }
    const last = collect(await parts.clientOf(mode), said('a'))
    await listening(parts, 'a')
    await parts.app.close()
    await until('the error', () => last.over !== undefined)
    t.match(last.over, { message: 'Invalid stream event "bye"' }, 'drain.event')
  })
}

test('graphql-sse, single: a token belongs to one user and one stream, and expires', async (t) => {
  const { app, connections, port } = await start(t)
  const send = (method: string, user: string, token: string, operationId = '') => fetch(`http://127.0.0.1:${port}/graphql/stream${method === 'DELETE' ? `?operationId=${operationId}` : ''}`, {
    method,
    headers: { authorization: `Bearer ${user}`, 'x-graphql-event-stream-token': token, ...method === 'POST' ? { 'content-type': 'application/json' } : {} },
    ...method === 'POST' ? { body: JSON.stringify({ query: said('a'), extensions: { operationId } }) } : {}
  })
  const reserved = await send('PUT', 'ann', '')
  t.equal(reserved.status, 201)
  const token = await reserved.text()
  t.equal((await send('POST', 'ann', token, '1')).status, 409, 'no stream yet')
  t.equal((await send('GET', 'eve', token)).status, 404)
  const stream = await send('GET', 'ann', token)
  t.equal(stream.status, 200)
  t.equal((await send('GET', 'ann', token)).status, 409)
  for (const [user, status] of [['eve', 404], ['', 401], ['ann', 202]] as const) t.equal((await send('POST', user, token, '1')).status, status, user)
  t.equal((await send('POST', 'ann', token, '1')).status, 409, 'the id is in use')
  for (const [user, status] of [['eve', 404], ['', 401], ['ann', 200]] as const) t.equal((await send('DELETE', user, token, '1')).status, status, user)
  await until('the id is free', async () => (await send('POST', 'ann', token, '1')).status === 202)
  await stream.body?.cancel()
  await until('the disconnect', () => app.sse.streams.size === 0)
  t.equal((await send('GET', 'ann', token)).status, 404, 'a token is for one stream')
  const idle = await (await send('PUT', 'ann', '')).text()
  const empty = await send('GET', 'ann', idle)
  t.equal((await send('POST', 'ann', idle, '2')).status, 202)
  t.equal((await send('DELETE', 'ann', idle, '2')).status, 200)
  t.match(await empty.text(), /^[:\n]*$/, 'a stream without operations is closed')
  t.equal((await send('PUT', 'ann', '')).status, 201)
  await until('the token without a stream expires', () => connections.size === 0)
})

test('graphql-sse, distinct: JSON for requests without the Accept header, and GET for an EventSource', async (t) => {
  const { app } = await start(t)
  const headers = { authorization: 'Bearer ann' }
  const post = async (payload: object) => {
    const { statusCode, body } = await app.inject({ method: 'POST', url: '/graphql', headers, payload })
    return [statusCode, JSON.parse(body)]
  }
  t.strictSame(await post({ query: 'query Q { hello }', operationName: 'Q' }), [200, { data: { hello: 'Hello ann' } }])
  t.match(await post({ query: '{' }), [400, { errors: [{ message: /Syntax Error/ }] }])
  t.match(await post({ query: said('a') }), [400, { errors: [{ message: 'No query or mutation in this request' }] }])
  t.match(await post({ query: '{ hello }', operationName: 'Other' }), [400, { errors: [{ message: 'No query or mutation in this request' }] }])
  t.match(await post({}), [400, { message: 'body must have required property \'query\'' }])
  const get = async (query: Record<string, string>) => {
    const { statusCode, body } = await app.inject({ url: '/graphql', query, headers })
    return [statusCode, body.startsWith('{') ? JSON.parse(body).message : body]
  }
  const query = 'subscription ($from: Int!) { countdown(from: $from) }'
  t.strictSame(await get({ query, variables: '{"from":1}' }), [200, 'event: next\ndata: {"data":{"countdown":1}}\n\nevent: next\ndata: {"data":{"countdown":0}}\n\nevent: complete\ndata: \n\n'])
  t.strictSame(await get({ query, variables: '{' }), [400, 'The variables are not JSON'])
  t.match(await get({ query: 'mutation { say(room: "a", text: "x") }' }), [200, /No query or subscription in this request.*\n\nevent: complete/])
})

/** Opens a page of the app whose user is ann, with the client of the page as `client` and a function that subscribes to the rooms a to h. */
async function openPage (t: Test, port: number, mode: string) {
  const code = `${clientCode.replace('url: \'/graphql\'', mode)}
    Object.assign(globalThis, { client, seen: [], over: [], stops: [], follow () {
      for (const room of 'abcdefgh') {
        const query = 'subscription { said(room: "' + room + '") }'
        stops.push(client.subscribe({ query }, { next: ({ data }) => seen.push(data.said), error: (error) => over.push(String(error)), complete: () => over.push(room) }))
      }
    } })`
  const { outputFiles: [script] } = await build({ stdin: { contents: code, loader: 'ts', resolveDir: join(root, 'test') }, bundle: true, write: false })
  const browser = await launchChromium(t)
  const tab = await browser.newPage()
  await tab.context().addCookies([{ name: 'user', value: 'ann', url: `http://127.0.0.1:${port}` }])
  await tab.goto(`http://127.0.0.1:${port}/page`)
  await tab.addScriptTag({ content: script?.text ?? '' })
  return tab
}

test('graphql-sse, single, Chromium: eight subscriptions share one connection', async (t) => {
  const parts = await start(t)
  const { app, rooms, port } = parts
  const tab = await openPage(t, port, 'singleConnection: true, url: \'/graphql/stream\'')
  await tab.evaluate('follow()')
  await listening(parts, ...'abcdefgh')
  t.equal(app.sse.streams.size, 1)
  for (const name of 'abcdefgh') rooms.emit(name, name)
  await tab.waitForFunction('[...seen].sort().join("") === "abcdefgh"')
  await tab.evaluate('stops[0]()')
  await listening(parts, ...'bcdefgh')
  await tab.evaluate('for (const stop of stops) stop()')
  await until('the disconnect', () => app.sse.streams.size === 0)
  await tab.waitForFunction('over.sort().join("") === "abcdefgh"')
})

test('graphql-sse, distinct, Chromium: six subscriptions run over HTTP/1.1, and an EventSource reads one', async (t) => {
  const parts = await start(t)
  const { app, port } = parts
  const tab = await openPage(t, port, 'url: \'/graphql\'')
  await tab.evaluate('follow()')
  await listening(parts, ...'abcdef')
  await tab.evaluate('stops[0]()')
  await listening(parts, ...'bcdefg')
  t.equal(app.sse.streams.size, 6)
  await tab.evaluate('client.dispose()')
  await until('the disconnects', () => app.sse.streams.size === 0)
  t.strictSame(await tab.evaluate(`new Promise((resolve) => {
    const events = []
    const source = new EventSource('/graphql?query=' + encodeURIComponent('subscription { countdown(from: 1) }'))
    source.addEventListener('next', ({ data }) => events.push(data))
    source.addEventListener('complete', () => { source.close(); resolve(events) })
  })`), ['{"data":{"countdown":1}}', '{"data":{"countdown":0}}'])
})
