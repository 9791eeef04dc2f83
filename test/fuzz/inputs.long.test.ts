import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import fc from 'fast-check'
import Fastify from 'fastify'
import { test } from 'tap'
import sse, { type SSEPluginOptions, type SSERouteOptions } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { publishAll } from '../helpers/subscriber.js'
import { numRuns, seed } from './runs.js'

const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withSparseArray: true, withTypedArray: true })

/** An object with some of these options and all required ones. Values are valid, or sometimes arbitrary. */
function options (valid: Record<string, fc.Arbitrary<unknown>>, needed: string[] = []): fc.Arbitrary<Record<string, unknown>> {
  const either = Object.entries(valid).map(([name, right]) => [name, fc.oneof({ weight: 30, arbitrary: right }, { weight: 1, arbitrary: anything })] as const)
  return fc.record(Object.fromEntries(either), { requiredKeys: needed })
}

/** A function that returns a value for any arguments. */
const giving = (result: fc.Arbitrary<unknown>) => result.map((value) => Object.assign(() => value, { [fc.toStringMethod]: () => `() => ${fc.stringify(value)}` }))
const aFunction = giving(anything)
const ms = fc.oneof(fc.nat(), fc.double({ min: 0, max: 2 ** 31, noNaN: true }))

const ofStreams = {
  heartbeat: fc.oneof(ms, fc.constant(false)),
  retry: fc.maxSafeNat(),
  headers: fc.dictionary(fc.stringMatching(/^[a-z][a-z-]*$/), fc.stringMatching(/^[ -~]*$/)),
  serializer: aFunction,
  maxBufferedBytes: fc.maxSafeNat(),
  overflow: fc.constantFrom('disconnect', 'drop'),
  idleTimeout: ms,
  maxLifetime: ms,
  flushInterval: ms
}

const perClient = fc.record({ max: fc.integer({ min: 1 }), key: aFunction }, { requiredKeys: ['max'] })
const ofLimits = { maxStreams: fc.integer({ min: 1 }), maxStreamsPerClient: fc.oneof(perClient, fc.array(perClient, { maxLength: 3 })) }
const anEvent = fc.oneof(fc.string(), fc.record({ event: fc.string(), data: fc.string() }))

const ofPlugin = options({
  ...ofStreams,
  clientId: aFunction,
  ...ofLimits,
  history: fc.oneof(fc.constant(false), fc.record({ size: fc.maxSafeNat(), maxAge: ms }, { requiredKeys: [] })),
  drain: fc.record({ spread: fc.nat(), event: anEvent, timeout: ms }, { requiredKeys: [] }),
  openapi: fc.oneof(fc.boolean(), fc.record({ transform: aFunction }, { requiredKeys: [] }))
})

const ofRoutes = {
  ...ofStreams,
  ...ofLimits,
  clientId: aFunction,
  events: fc.dictionary(fc.string(), fc.constantFrom({}, { type: 'string' }, { type: 'object', properties: {} }), { minKeys: 1 }),
  onConnect: aFunction,
  onDisconnect: aFunction
}
const items = fc.constantFrom('payload', 'data')
const timed = { interval: ms, payload: aFunction, payloadTimeout: ms, items, immediate: fc.boolean(), shared: fc.oneof(fc.boolean(), aFunction) }
const streaming = { source: fc.oneof(aFunction, giving(fc.array(anything))), openOn: fc.constantFrom('request', 'first-event'), items, end: anEvent }
const following = { topics: fc.oneof(fc.array(fc.string({ minLength: 1 })), aFunction, giving(fc.array(fc.string()))) }

const ofRoute = fc.oneof(
  options({ ...ofRoutes, ...timed }, ['interval', 'payload']),
  options({ ...ofRoutes, ...streaming }, ['source']),
  options({ ...ofRoutes, ...following }, ['topics']),
  options({ ...ofRoutes, ...timed, ...streaming, ...following })
)

/** Registers the plugin, declares a route and requests it. Mistakes have to show as an error of the plugin or a status with its code. */
async function tryOptions (plugin: object, route: object, names: string[]): Promise<'refused' | 'answered'> {
  const app = Fastify()
  try {
    try {
      // values that the types refuse
      await app.register(sse, plugin as SSEPluginOptions)
      app.sseRoute({ url: '/', onError: () => {}, ...route } as SSERouteOptions)
      await app.ready()
    } catch (error) {
      const { code, message } = error as Error & { code?: string }
      match(String(code), /^SSE_ERR_(OPTION|UNKNOWN_OPTION|ROUTE|SCHEMA|TOPIC)$/, message)
      ok(names.some((name) => message.includes(`"${name}"`) || message.includes(`"${name}.`)) || code === 'SSE_ERR_ROUTE' || code === 'SSE_ERR_SCHEMA', message)
      return 'refused'
    }
    const response = await app.inject({ method: 'HEAD', url: '/' })
    if (response.statusCode !== 200) ok(response.statusCode === 500 || response.statusCode === 503, String(response.statusCode))
    try {
      const stream = await injectSSE(app, { url: '/' })
      match(String(stream.headers['content-type']), /^text\/event-stream/)
      stream.close()
    } catch (error) {
      // a callback returned a value that is not allowed
      match((error as Error & { body: string }).body, /"code":"SSE_ERR_/)
    }
    return 'answered'
  } finally {
    await app.close()
  }
}

test(`random options are accepted, or refused by name: ${numRuns(300)} of the plugin, as many of a route`, async (t) => {
  t.comment(`seed ${seed}`)
  const count = { refused: 0, answered: 0 }
  const warnings: Error[] = []
  const warned = (warning: Error) => { warnings.push(warning) }
  process.on('warning', warned)
  t.teardown(() => { process.off('warning', warned) })
  const source = () => [{ data: { one: 1 } }]
  await fc.assert(fc.asyncProperty(ofPlugin, async (plugin) => {
    count[await tryOptions(plugin, { source }, Object.keys(plugin))]++
  }), { seed, numRuns: numRuns(300) })
  await fc.assert(fc.asyncProperty(ofRoute, async (route) => {
    count[await tryOptions({}, route, Object.keys(route))]++
  }), { seed, numRuns: numRuns(300) })
  ok(count.refused > 100 && count.answered > 100, JSON.stringify(count))
  t.comment(JSON.stringify(count))
  t.strictSame(warnings, [])
})

test(`topics of any name get exactly their events, once: ${numRuns(100)} sets of names`, async (t) => {
  t.comment(`seed ${seed}`)
  const name = fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.constantFrom('__proto__', 'constructor', 'toString', ' ', '\0', '\ud800', 'a'.repeat(10_000)))
  const app = await makeApp(t)
  let all: string[] = []
  app.sseRoute<{ Params: { index: number } }>('/:index', { topics: ({ params }) => [all[params.index] ?? 'none'] })
  await fc.assert(fc.asyncProperty(fc.uniqueArray(name, { minLength: 1, maxLength: 6 }), async (names) => {
    all = names
    const streams = await Promise.all(names.map((_, index) => injectSSE(app, { url: `/${index}` })))
    for (const [index, name] of names.entries()) await app.sse.publish(name, String(index))
    await app.sse.broadcast('last')
    for (const [index, stream] of streams.entries()) {
      deepStrictEqual([(await stream.next())?.data, (await stream.next())?.data], [String(index), 'last'])
      stream.close()
    }
  }), { seed, numRuns: numRuns(100) })
})

/** All bytes except those that end a header. */
const bytes = (maxLength: number) => fc.uint8Array({ maxLength }).map((array) => Buffer.from(array.filter((byte) => byte !== 10 && byte !== 13)))

/** Header values that Node's parser refuses. */
const forbidden = (value: Buffer) => value.some((byte) => (byte < 32 && byte !== 9) || byte === 127)

test(`the server answers requests with random headers: ${numRuns(150)} of each`, async (t) => {
  t.comment(`seed ${seed}`)
  const app = await makeApp(t, { history: { size: 20 } }, { forceCloseConnections: true })
  let lastEventId: string | null = null
  app.sseRoute('/', { topics: ['mine'], onConnect: (_request, stream) => { lastEventId = stream.lastEventId } })
  const port = await listen(app)
  await publishAll(app, 'mine', 'one')
  const ids = [...await publishAll(app, 'secret', 'secret', 'secret'), ...await publishAll(app, 'mine', 'two')]

  /** Sends a request with a header. Resolves to the response up to an event that is published afterwards. */
  async function ask (name: string, value: Buffer): Promise<{ status: number, text: string }> {
    const socket = connect({ host: '127.0.0.1', port })
    let text = ''
    let over = false
    socket.on('data', (data) => { text += data.toString('latin1') }).on('close', () => { over = true }).on('error', () => {})
    await once(socket, 'connect')
    socket.write(Buffer.concat([Buffer.from(`GET / HTTP/1.1\r\nhost: x\r\n${name}: `), value, Buffer.from('\r\n\r\n')]))
    await until('an answer', () => over || text.includes('\r\n\r\n'))
    const status = Number(text.slice(9, 12))
    if (status === 200) {
      const id = await app.sse.publish('mine', 'end')
      await until('what is published then', () => text.includes(id))
      await app.sse.publish('secret', 'secret')
    }
    socket.destroy()
    return { status, text }
  }

  await fc.assert(fc.asyncProperty(bytes(200), async (value) => {
    const { status } = await ask('accept', value)
    ok(forbidden(value) ? status === 400 : status === 200 || status === 406, `${status}`)
  }), { seed, numRuns: numRuns(150) })

  const near = fc.constantFrom(...ids).chain((id) => fc.tuple(fc.nat({ max: id.length }), bytes(3)).map(([at, some]) => Buffer.concat([Buffer.from(id.slice(0, at)), some, Buffer.from(id.slice(at))])))
  await fc.assert(fc.asyncProperty(fc.oneof(bytes(200), bytes(17_000), near), async (value) => {
    const { status, text } = await ask('last-event-id', value)
    if (forbidden(value)) {
      strictEqual(status, 400)
    } else if (value.length > 16_000) {
      ok(status === 200 || status === 431, `${status}`)
    } else {
      strictEqual(status, 200)
      const sent = value.toString('latin1').replace(/^[ \t]+|[ \t]+$/g, '')
      const decoded = Buffer.from(sent, 'latin1').toString()
      strictEqual(lastEventId, (decoded.includes('\uFFFD') && !value.includes('\uFFFD') ? sent : decoded) || null)
    }
    ok(!text.includes('secret'), 'nothing of other topics')
  }), { seed, numRuns: numRuns(150) })
  await until('all are gone', () => app.sse.streams.size === 0)
  t.match(app.sse.stats(), { active: 0, closed: { error: 0 } })
})
