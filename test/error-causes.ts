import swagger from '@fastify/swagger'
import { Registry } from 'prom-client'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import type { Test } from 'tap'
import { sse } from '../lib/client/index.js'
import plugin, { type SSEPluginOptions, type SSERouteOptions } from '../lib/index.js'
import { sseMetrics } from '../lib/metrics.js'
import { type Answer, dies, ends, opens, says, serve } from './client/server.js'
import { makeApp, until } from './helpers/app.js'
import { withoutRedis } from './redis/without.js'

/** Causes an error: rejects with it, or with the response that contains it. */
type Cause = (t: Test) => Promise<unknown>
type RouteOptions = Omit<SSERouteOptions, 'url'>

const byRegister = (options: object): Cause => (t) => makeApp(t, options as SSEPluginOptions)
const bySseRoute = (options: object): Cause => async (t) => (await makeApp(t)).sseRoute('/', options as RouteOptions).ready()
const byPublish = (topic: string, payload: unknown): Cause => async (t) => (await makeApp(t)).sse.publish(topic, payload as string)

/** Rejects with the response of an app to a request for `/`. */
async function requestError (app: FastifyInstance, headers: Record<string, string> = {}): Promise<never> {
  throw (await app.inject({ url: '/', headers })).json()
}

const byRequest = (options: RouteOptions, headers?: Record<string, string>): Cause => async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', options)
  return requestError(app, headers)
}

/** Causes an error by the second request, while the stream of the first one is open. */
const bySecondRequest = (options: SSEPluginOptions): Cause => async (t) => {
  const app = await makeApp(t, options)
  app.sseRoute('/', { topics: [] })
  await app.inject({ url: '/', payloadAsStream: true })
  return requestError(app)
}

/** Causes an error in a handler. */
const byHandler = (handler: (reply: FastifyReply) => unknown): Cause => async (t) => {
  const app = await makeApp(t)
  app.get('/', async (_request, reply) => handler(reply))
  return requestError(app)
}

const first = (source: unknown) => ({ openOn: 'first-event', source: () => source }) as RouteOptions

async function * endless () { await new Promise(() => {}) }

/** Error codes with their status, their message (what was wrong and what is expected) and their causes. */
export const CAUSES: Record<string, [status: number, says: RegExp, ...causes: Cause[]]> = {
  SSE_ERR_PAYLOAD: [500, /is a string or an object .*, got (1|an array|a function|an object \(Object\) with "a")$/, byPublish('a', { a: 1 }), byPublish('a', 1), byPublish('a', []), byRequest(first([() => {}]))],
  SSE_ERR_FIELD: [500, /"(id|event|retry)" of an event takes .*, got ("a\\nb"|-1)$/, byRequest(first([{ id: 'a\nb' }])), byPublish('a', { event: 'a\nb' }), byPublish('a', { retry: -1 })],
  SSE_ERR_SERIALIZATION: [500, /data of event "big" cannot be serialized: .* threw an object \(TypeError\)$/, byPublish('a', { event: 'big', data: 1n })],
  SSE_ERR_PAYLOAD_TIMEOUT: [500, /call of "payload" has not settled within payloadTimeout \(10 ms\)/, async (t) => {
    const app = await makeApp(t)
    let failure: Error | undefined
    app.sseRoute('/', { interval: 1_000, payloadTimeout: 10, payload: () => new Promise(() => {}), onError: (error) => { failure = error } })
    await app.inject({ url: '/', payloadAsStream: true })
    await until('the timeout error', () => failure !== undefined)
    throw failure
  }],
  SSE_ERR_UNKNOWN_EVENT: [500, /event "b" is not declared .* holds a$/, byRequest({ ...first([{ event: 'b' }]), events: { a: { type: 'string' } } })],
  SSE_ERR_CUSTOM_ID: [500, /from the log; got the id "7"$/, byPublish('a', { id: '7', data: 'a' }), byRequest({ ...first([{ id: '7' }]), topics: ['a'] })],
  SSE_ERR_TOPIC: [500, /A topic is a string that is not empty, got (""|1)$/, byPublish('', 'a'), byRequest({ topics: () => [1 as unknown as string] })],
  SSE_ERR_CLIENT_ID: [500, /A client id is a string that is not empty, got ""$/, async (t) => (await makeApp(t)).sse.sendTo('', 'a'), byRequest({ topics: [], clientId: () => '' })],
  SSE_ERR_BACKPLANE: [500, /The backplane failed: it has nothing after .*, though .* came later$/, async (t) => {
    const empty = { newest: '2-0', oldestId: null, open: async () => {}, publish: async () => '', control: () => '', rewind: () => ({ topics: new Map(), others: '' }), read: (after: string) => ({ gap: null, events: [], position: after }), close: async () => {} }
    const said: object[] = []
    const logged = { logger: { level: 'error', stream: { write: (line: string) => { said.push(JSON.parse(line).err) } } } }
    const app = await makeApp(t, { backplane: () => empty }, logged)
    app.sseRoute('/', { topics: ['a'] })
    await app.inject({ url: '/', headers: { 'last-event-id': '1-0' } }).catch(() => {})
    await until('the log line', () => said.length)
    throw Object.assign(new Error(), said[0], { statusCode: 500 })
  }],
  SSE_ERR_NOT_INSTALLED: [500, /^redisBackplane\(\{ url \}\) needs the package "redis" .*: run "npm install redis", or give/, withoutRedis],
  SSE_ERR_OPTION: [500, /option "(heartbeat|interval|retry|backplane|maxStreamsPerClient.key)" takes .*, got (-1|0|1\.5|one that gave undefined.*|one that returned "")$/, bySecondRequest({ maxStreamsPerClient: { max: 1, key: () => '' } }), byRegister({ heartbeat: -1 }), byRegister({ backplane: () => {} }), bySseRoute({ interval: 0, payload: () => 'a' }), byHandler((reply) => reply.sse({ retry: 1.5 }))],
  SSE_ERR_UNKNOWN_OPTION: [500, /takes no option "(heartbeats|history|foo)": (did you mean "heartbeat"\?|it is an option of the plugin, given at register|it takes heartbeat, .*)$/,
    byRegister({ heartbeats: 1 }), bySseRoute({ history: false }), byHandler((reply) => reply.sse(['a'], { foo: 1 } as object))],
  SSE_ERR_ROUTE: [500, /route GET \/: "payload" needs an "interval"$/, bySseRoute({ payload: () => 'a' })],
  SSE_ERR_SCHEMA: [500, /schema of event "a" of GET \/ cannot be compiled$/, bySseRoute({ topics: [], events: { a: { $ref: 'nowhere#' } } })],
  SSE_ERR_OPENAPI: [500, /^The schema "body" of POST \/ is not JSON Schema, .* as the option "openapi": \{ transform \}$/, async (t) => {
    const app = await makeApp(t)
    app.setValidatorCompiler(() => () => true)
    await app.register(swagger)
    return app.sseRoute('/', { method: 'POST', schema: { body: { '~standard': { version: 1, vendor: 'unknown' } } }, topics: [] }).ready()
  }],
  SSE_ERR_SOURCE: [500, /source is an async iterable, .* got (1|an object \(Object\))$/, byRequest(first(1)), byRequest(first({})), byHandler((reply) => reply.sse(1 as never))],
  SSE_ERR_UPSTREAM: [502, /^The server whose event stream is passed on answered with status 304$/, byRequest(first(new Response(null, { status: 304 })))],
  SSE_ERR_NOT_REGISTERED: [500, /^sseMetrics\(\) needs the plugin: await /, async (t) => sseMetrics(Fastify(), { register: new Registry() })],
  SSE_ERR_REGISTERED: [500, /Register it once, in the instance that contains all routes and publishers$/, async (t) => { await (await makeApp(t)).register(async (child) => { await child.register(plugin) }) }],
  SSE_ERR_REPLY_SENT: [500, /can be called once, and only before the reply is sent$/, (t) => new Promise((_resolve, reject) => {
    byHandler((reply) => {
      reply.sse().close()
      try {
        reply.sse()
      } catch (error) {
        reject(error)
      }
    })(t).catch(() => {})
  })],
  SSE_ERR_NOT_OPEN: [500, /opens with the first item of its source; until then only its signal can be used$/, byRequest({ openOn: 'first-event', source: async (_request, stream) => { await stream.send('a'); return [] } })],
  SSE_ERR_NOT_ACCEPTABLE: [406, /answers with text\/event-stream, which the Accept header rules out$/, byRequest({ topics: [] }, { accept: 'application/json' })],
  SSE_ERR_CLOSING: [503, /^The server is closing$/,
    async (t) => {
      const app = await makeApp(t)
      await app.close()
      return app.sse.publish('a', 'a')
    },
    async (t) => {
      const app = await makeApp(t)
      let asked = false
      app.sseRoute('/', { openOn: 'first-event', source: () => { asked = true; return new Promise<never>(() => {}) } })
      const response = app.inject('/')
      await until('the source to start', () => asked)
      app.close()
      throw (await response).json()
    }],
  SSE_ERR_RUN_BUSY: [409, /^A run with the key "a" is going on$/,
    async (t) => {
      const app = await makeApp(t)
      app.sseRoute('/', { resumable: { key: () => 'a', onBusy: 'refuse' }, source: endless })
      await app.inject({ url: '/', payloadAsStream: true })
      return requestError(app)
    },
    async (t) => {
      const app = await makeApp(t)
      await app.sse.start('a', endless)
      return app.sse.start('a', endless, { onBusy: 'refuse' })
    }],
  SSE_ERR_RUN_TOO_LARGE: [500, /^The events of the run have more than maxBytes \(10\) bytes$/, async (t) => {
    const app = await makeApp(t)
    const failure = await new Promise<Error>((resolve) => app.sse.start('a', ['a long event'], { maxBytes: 10, onError: resolve }))
    throw failure
  }],
  SSE_ERR_TOO_MANY_STREAMS: [503, /^Too many event streams are open$/, bySecondRequest({ maxStreams: 1 })],
  SSE_ERR_TOO_MANY_STREAMS_PER_CLIENT: [429, /^Too many event streams are open for this client$/, bySecondRequest({ maxStreamsPerClient: { max: 1 } })]
}

/** Causes an error by the response of a server. */
const byServer = (answer: Answer, options: object = {}): Cause => async (t) => {
  const { url } = await serve(t, answer)
  return sse(url, { reconnect: false, ...options }).next()
}

/** Error codes of the client with their message and their causes. */
export const CLIENT_CAUSES: Record<string, [says: RegExp, ...causes: Cause[]]> = {
  SSE_ERR_CONNECTION: [/^The connection failed: ./, byServer(dies), byServer(opens('data: 1\n\n'), { headers: () => { throw new Error('no token') } })],
  SSE_ERR_INACTIVITY_TIMEOUT: [/^Nothing came for 20 ms$/, byServer(opens(), { inactivityTimeout: 20 })],
  SSE_ERR_NO_STREAM: [/no event stream: status (404|200), content-type (text\/html|null)$|^The response has no readable body; the option "fetch" takes a function whose responses have one$/,
    byServer(says(404)), byServer(says(200, 'a', { 'content-type': 'text/html' })), byServer(ends('data: 1\n\n'), { method: 'HEAD' })],
  SSE_ERR_DATA: [/data of the event "token" is not JSON; the options "text", "end" and "onInvalid" are for text$/, byServer(ends('event: token\ndata: a\n\n'))],
  SSE_ERR_LAST_EVENT_ID: [/^The last event's id "a\\u0001" cannot be sent back: a header takes text of at most 16384 bytes, without control characters$/, byServer(ends('id: a\x01\n\n'), { reconnect: true })],
  SSE_ERR_OPTION: [/^The (option "(inactivityTimeout|lastEventId|fetch)" takes (a number from 0 on, got -1|text of at most 16384 bytes, without control characters, got "a\\n"|a function, got string|a function that resolves to a Response, got undefined)$|request is not valid: .*body)/,
    byServer(dies, { inactivityTimeout: -1 }), byServer(dies, { lastEventId: 'a\n' }), byServer(dies, { fetch: 'fetch' }), byServer(dies, { fetch: async () => {} }), byServer(dies, { body: 'x' })]
}
