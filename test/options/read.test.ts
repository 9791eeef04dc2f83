import { EventEmitter } from 'node:events'
import { runInNewContext } from 'node:vm'
import Fastify from 'fastify'
import { test, type Test } from 'tap'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import sse, { type HistorySettings, type SSEPluginOptions, type SSERouteOptions } from '../../lib/index.js'
import { isOptions, readPluginOptions, readReplyOptions, readRouteOptions } from '../../lib/options/read.js'
import { makeApp } from '../helpers/app.js'
import { refusalOf } from '../helpers/refusal.js'

const DEFAULT_HISTORY = { size: 1_000, maxAge: 3_600_000, maxBytes: 67_108_864 }

/** A valid route, to which tests add one more option. */
const fine = { url: '/fine', interval: 1_000, payload: () => {} }

/** Values by name that no number, function, object, boolean or text option takes. */
const never = { null: null, symbol: Symbol('s'), bigint: 1n }
const numbers = { '-1': -1, NaN, Infinity }
const others = { '"text"': 'text', true: true, 'an object': {}, 'an array': [], 'a function': () => {}, 'a number': 1 }
const LONGEST = 2 ** 31 - 1

/** Returns `never` and all of `others` but these. */
function except (...names: Array<keyof typeof others>): Record<string, unknown> {
  return { ...never, ...Object.fromEntries(Object.entries(others).filter(([name]) => !names.some((each) => each === name))) }
}

const notMilliseconds = { ...except('a number'), ...numbers, 'too long': LONGEST + 1, '"5"': '5' }
const notCount = { ...except('a number'), ...numbers, 0.5: 0.5, 'too large': 2 ** 53, '"5"': '5' }
const notFunction = except('a function')

/** Values that an option refuses, and the words of its error for those that it takes. */
interface Refusal {
  takes: string
  refuses: Record<string, unknown>
}

const ofStreams: Record<string, Refusal> = {
  heartbeat: { takes: `ms from 1 to ${LONGEST}, or 0 or false for never`, refuses: { ...notMilliseconds, 0.5: 0.5 } },
  retry: { takes: 'whole ms, 0 or more', refuses: notCount },
  headers: {
    takes: 'an object of header names and their text',
    refuses: {
      ...except('an object'),
      'a number as value': { 'x-a': 1 },
      'a list as value': { 'x-a': ['a', 'b'] },
      'undefined as value': { 'x-a': undefined },
      'no token as name': { 'x a': '1' },
      'an empty name': { '': '1' },
      'a line break in a value': { 'x-a': 'a\r\nx-b: b' },
      'a Map': new Map([['x-a', '1']]),
      'Headers, which have no properties': new Headers({ 'x-a': '1' })
    }
  },
  serializer: { takes: 'a function', refuses: notFunction },
  maxBufferedBytes: { takes: 'a whole number of bytes, 0 or more', refuses: notCount },
  overflow: { takes: "'replay' or 'disconnect' or 'drop'", refuses: { ...except(), '""': '', 'a list': ['drop'], 'no primitive': Object.create(null) } },
  idleTimeout: { takes: `ms from 0 (off) to ${LONGEST}`, refuses: { ...notMilliseconds, false: false } },
  maxLifetime: { takes: `ms from 0 (off) to ${LONGEST}`, refuses: { ...notMilliseconds, false: false } },
  flushInterval: { takes: `ms from 0 (off) to ${LONGEST}`, refuses: { ...notMilliseconds, false: false } },
  stallTimeout: { takes: `ms from 0 (off) to ${LONGEST}`, refuses: { ...notMilliseconds, false: false } }
}

const ofLimits: Record<string, Refusal> = {
  maxStreams: { takes: 'a whole number above 0', refuses: { ...notCount, 0: 0 } },
  maxStreamsPerClient: {
    takes: '{ max: a whole number above 0, key?: a function }, or a list of them',
    refuses: {
      ...except('an array'),
      'max 0': { max: 0 },
      'max 1.5': { max: 1.5 },
      'max "1"': { max: '1' },
      'key alone': { key: () => '' },
      'key "ip"': { max: 1, key: 'ip' },
      'a name that there is not': { max: 1, keys: () => '' },
      'a list with a wrong one': [{ max: 1 }, { max: 0 }],
      'a list of numbers': [1],
      'a list with a hole': Array(1),
      'a list of lists': [[{ max: 1 }]]
    }
  }
}

const ofReplies: Record<string, Refusal> = {
  onError: { takes: 'a function', refuses: notFunction },
  onDisconnect: { takes: 'a function', refuses: notFunction },
  openOn: { takes: "'request' or 'first-event'", refuses: { ...except(), '""': '', 'a list': ['first-event'] } },
  items: { takes: "'payload' or 'data'", refuses: { ...except(), '""': '', 'a list': ['data'] } },
  end: {
    takes: 'an event',
    refuses: { ...except('"text"'), 'a field that cannot be written': { event: 'a\nb' }, 'data that cannot be serialized': { data: 1n }, 'an event with nothing in it': { comments: [] } }
  }
}

const ofPlugin: Record<string, Refusal> = {
  ...ofStreams,
  clientId: { takes: 'a function', refuses: notFunction },
  ...ofLimits,
  history: {
    takes: 'false, or { size?: whole events, 0 or more, maxAge?: ms, 0 or more, maxBytes?: whole bytes, 0 or more }',
    refuses: {
      ...except('an object'),
      'a name that there is not': { sise: 1 },
      'size -1': { size: -1 },
      'size 0.5': { size: 0.5 },
      'size Infinity': { size: Infinity },
      'size "1"': { size: '1' },
      'size null': { size: null },
      'maxAge -1': { maxAge: -1 },
      'maxAge NaN': { size: 1, maxAge: NaN },
      'maxAge "1s"': { maxAge: '1s' },
      'maxAge false': { maxAge: false },
      'maxBytes -1': { maxBytes: -1 },
      'maxBytes 0.5': { maxBytes: 0.5 }
    }
  },
  backplane: { takes: 'a function', refuses: notFunction },
  drain: {
    takes: `{ spread?: whole ms, 0 or more, event?: an event, timeout?: ms from 0 to ${LONGEST} }`,
    refuses: {
      ...except('an object'),
      'a name that there is not': { spread: 1, spraed: 1 },
      'spread -1': { spread: -1 },
      'spread 0.5': { spread: 0.5 },
      'spread "1"': { spread: '1' },
      'spread null': { spread: null },
      'timeout -1': { timeout: -1 },
      'timeout Infinity': { timeout: Infinity },
      'timeout "1"': { timeout: '1' },
      'timeout null': { timeout: null }
    }
  },
  openapi: {
    takes: 'true, false or { transform?: a function }',
    refuses: { ...except('true', 'an object'), 'a transform of another type': { transform: true }, 'transform null': { transform: null }, 'a name that there is not': { transfrom: () => {} } }
  }
}

const ofRoutes: Record<string, Refusal> = {
  ...ofStreams,
  ...ofReplies,
  ...ofLimits,
  accept: { takes: "'strict' or 'any'", refuses: { ...except(), '""': '', 'a list': ['any'] } },
  clientId: { takes: 'a function', refuses: notFunction },
  events: {
    takes: 'an object of event names and their schemas, at least one; a schema is an object, as { type: \'string\' }, or a function that follows Standard Schema',
    refuses: { ...except(), 'a schema that is no object': { price: 'number' }, 'a schema that is null': { price: {}, closed: null } }
  },
  interval: { takes: `ms above 0, at most ${LONGEST}`, refuses: { ...notMilliseconds, 0: 0 } },
  payload: { takes: 'a function', refuses: notFunction },
  immediate: { takes: 'true or false', refuses: except('true') },
  shared: { takes: 'true, false or a function', refuses: except('true', 'a function') },
  payloadTimeout: { takes: `ms from 0 (off) to ${LONGEST}`, refuses: { ...notMilliseconds, false: false } },
  source: { takes: 'a function', refuses: notFunction },
  rewind: { takes: "a whole number of events, 0 or more, or 'all'", refuses: { ...except('a number'), '-1': -1, 0.5: 0.5, Infinity } },
  onGap: { takes: 'a function', refuses: notFunction },
  expires: { takes: 'a function', refuses: notFunction },
  topics: {
    takes: 'an array of topics, strings that are not empty or results of defineTopic, or a function',
    refuses: { ...except('a function', 'an array'), '"orders"': 'orders', 'an empty topic': ['orders', ''], 'a number': [42], 'a list of lists': [['orders']], 'a Set': new Set(['orders']) }
  },
  onConnect: { takes: 'a function', refuses: notFunction }
}

/** Registers the plugin and returns its error, or null without one. */
async function register (options: object): Promise<Error | null> {
  const app = Fastify()
  try {
    await app.register(sse, options as SSEPluginOptions)
    return null
  } catch (error) {
    return error as Error
  } finally {
    await app.close()
  }
}

/** Returns whether an error names the option and the values that it takes. */
function says (t: Test, error: Error & { code?: string } | null, name: string, { takes }: Refusal, given: string): void {
  const { code, message } = error ?? { message: 'no error' }
  const beginning = `The option "${name}" takes ${takes}, got `
  t.strictSame({ code, message: message.slice(0, beginning.length) }, { code: 'SSE_ERR_OPTION', message: beginning }, `${name}: ${given}`)
}

test('a wrong option of the plugin fails at register, with a message that says what the option takes', async (t) => {
  for (const [name, refusal] of Object.entries(ofPlugin)) {
    for (const [given, value] of Object.entries(refusal.refuses)) says(t, await register({ [name]: value }), name, refusal, given)
  }
})

test('a wrong option of a route fails at sseRoute, with a message that says what the option takes', async (t) => {
  const app = await makeApp(t)
  for (const [name, refusal] of Object.entries(ofRoutes)) {
    for (const [given, value] of Object.entries(refusal.refuses)) {
      let error = null
      try {
        app.sseRoute({ ...fine, [name]: value } as SSERouteOptions)
      } catch (thrown) {
        error = thrown as Error
      }
      says(t, error, name, refusal, given)
    }
  }
  t.notOk(app.hasRoute({ method: 'GET', url: '/fine' }), 'no route was added')
})

test('a wrong option of reply.sse() fails there, with a message that says what the option takes', async (t) => {
  const app = await makeApp(t)
  let options: object = {}
  app.get('/', (_request, reply) => { reply.sse(options) })
  app.get('/source', (_request, reply) => reply.sse(['text'], options))
  for (const [name, { takes, refuses }] of Object.entries({ ...ofStreams, ...ofReplies })) {
    options = { [name]: Object.values(refuses)[0] }
    for (const path of name in ofStreams ? ['/', '/source'] : ['/source']) {
      const response = await app.inject(path)
      const got = name === 'end' ? 'one that cannot be sent' : 'null'
      t.match(response.json(), { statusCode: 500, code: 'SSE_ERR_OPTION', message: `The option "${name}" takes ${takes}, got ${got}` }, path)
    }
  }
})

test('an option of reply.sse() that needs a source fails without one', async (t) => {
  const app = await makeApp(t)
  let options: object = {}
  app.get('/', async (_request, reply) => { reply.sse(options) })
  for (options of [{ openOn: 'request' }, { items: 'payload' }, { end: 'end' }]) {
    const [name = ''] = Object.keys(options)
    t.match(await refusalOf(app, '/'), { statusCode: 500, code: 'SSE_ERR_OPTION', message: `The option "${name}" takes a source or a function before it, got neither` })
  }
})

test('the options of reply.sse() take precedence over the plugin\'s', (t) => {
  const { stream } = readPluginOptions({ retry: 1, heartbeat: false })
  const [onError, onDisconnect] = [() => {}, () => {}]
  t.strictSame(readReplyOptions(stream, {}, false), { settings: stream, onError: undefined, onDisconnect: undefined, openOn: undefined, items: 'payload', end: undefined, resumable: undefined })
  t.strictSame(readReplyOptions(stream, { retry: 2, onError, onDisconnect, openOn: 'first-event', items: 'data', end: '' }, true), {
    settings: { ...stream, retry: 2 }, onError, onDisconnect, openOn: 'first-event', items: 'data', end: '', resumable: undefined
  })
  const end = { id: 7, event: 'end', data: 1n }
  t.strictSame(readReplyOptions(stream, { serializer: String, end }, true).end, end, 'the serializer of the stream checks the end')
  t.end()
})

test('options are plain objects, not instances of classes', (t) => {
  for (const value of [{}, Object.create(null), { retry: 5, then: 1 }, runInNewContext('({})')]) t.ok(isOptions(value))
  class Settings { retry = 5 }
  const others = [null, undefined, 'text', 1, [], () => {}, new Settings(), new Map(), new Headers(), new EventEmitter(), new Date(), new Error('x'), Promise.resolve(), Object('text'), runInNewContext('[]'), runInNewContext('new Map()')]
  for (const value of others) t.notOk(isOptions(value), String(value))
  t.end()
})

test('the message of a wrong option shows the given value', async (t) => {
  t.match(await register({ heartbeat: '5s' }), { message: /, got "5s"$/ })
  t.match(await register({ heartbeat: -1 }), { message: /, got -1$/ })
  t.match(await register({ heartbeat: true }), { message: /, got true$/ })
  t.match(await register({ headers: null }), { message: /, got null$/ })
  t.match(await register({ headers: ['a'] }), { message: /, got an array$/ })
  t.match(await register({ serializer: new Map() }), { message: /, got an object \(Map\)$/ })
  t.match(await register({ maxStreams: () => 5 }), { message: /, got a function$/ })
})

test('register takes Fastify\'s own options', async (t) => {
  t.equal(await register({ prefix: '/events', logLevel: 'warn', logSerializers: {} }), null)
})

test('every value that an option documents is accepted', async (t) => {
  const takes: Record<string, unknown[]> = {
    heartbeat: [false, 0, 1, 1_000, LONGEST],
    retry: [0, 1_000, Number.MAX_SAFE_INTEGER],
    headers: [{}, { 'X-Feed': 'demo', 'x-empty': '' }],
    serializer: [String],
    maxBufferedBytes: [0, 1],
    overflow: ['replay', 'disconnect', 'drop'],
    idleTimeout: [0, 0.5, LONGEST],
    maxLifetime: [0, 0.5, LONGEST],
    flushInterval: [0, 0.5, LONGEST],
    stallTimeout: [0, 0.5, LONGEST],
    clientId: [() => ''],
    maxStreams: [1],
    maxStreamsPerClient: [{ max: 1 }, { max: 1, key: () => '' }, { max: 1, key: undefined }, [], [{ max: 1 }, { max: 2, key: () => '' }]],
    history: [false, {}, { size: 0 }, { size: 1 }, { maxAge: 0 }, { maxAge: 0.5 }, { size: 5, maxAge: 60_000, maxBytes: 0 }, { maxBytes: 1 }],
    backplane: [(history: HistorySettings) => new MemoryBackplane(history)],
    drain: [{}, { spread: 0 }, { spread: 60_000 }, { event: 'bye' }, { event: { event: 'bye' }, timeout: 0 }, { timeout: LONGEST }],
    openapi: [true, false, {}, { transform: () => {} }, { transform: undefined }],
    events: [{ price: {} }, { price: {}, closed: { type: 'string' } }],
    interval: [0.5, 1, LONGEST],
    payload: [() => {}],
    payloadTimeout: [0, 0.5, LONGEST],
    items: ['payload', 'data'],
    immediate: [true, false],
    shared: [true, false, () => ''],
    topics: [[], ['orders', 'orders'], ['*', 'order:42', 'a b\n'], () => []],
    onGap: [() => null],
    expires: [() => new Date()],
    onConnect: [() => {}],
    onDisconnect: [() => {}],
    onError: [() => {}]
  }
  const app = await makeApp(t)
  let routes = 0
  for (const [name, values] of Object.entries(takes)) {
    for (const value of [...values, undefined]) {
      if (name in ofPlugin) t.equal(await register({ [name]: value }), null, `plugin: ${name}`)
      if (name in ofRoutes && !(name in { interval: 1, payload: 1 } && value === undefined)) {
        t.doesNotThrow(() => app.sseRoute({ ...fine, url: `/${routes++}`, [name]: value } as SSERouteOptions), `route: ${name}`)
      }
    }
  }
  for (const openOn of ['request', 'first-event', undefined] as const) t.doesNotThrow(() => app.sseRoute({ url: `/${routes++}`, source: () => [], openOn }))
  for (const end of ['', '[DONE]', { event: 'done' }, { id: 7, data: null }, { comments: 'end' }, undefined]) t.doesNotThrow(() => app.sseRoute({ url: `/${routes++}`, source: () => [], end }))
  t.doesNotThrow(() => app.sseRoute({ url: `/${routes++}`, source: () => [], items: 'data', serializer: String, end: { data: 1n } }))
  t.doesNotThrow(() => app.sseRoute({ url: `/${routes++}`, source: () => [], items: 'data', events: { message: {}, done: {} }, end: { event: 'done', data: 1n } }), 'the schema of an event may take any data')
  for (const topics of [[], ['orders'], () => []]) {
    for (const rewind of [undefined, 0, 1, 'all'] as const) t.doesNotThrow(() => app.sseRoute({ url: `/${routes++}`, topics, rewind }))
  }
})

test('options of a route that exclude each other fail at sseRoute, with the reason', async (t) => {
  const app = await makeApp(t)
  const [payload, source, onConnect, handler, topics, events] = [() => {}, () => [], () => {}, () => {}, ['orders'], { gap: {} }]
  const wrong: Array<[options: object, why: string]> = [
    [{}, 'it needs at least one of "payload", "source", "topics", "resume" and "onConnect"'],
    [{ onDisconnect: () => {} }, 'it needs at least one of "payload", "source", "topics", "resume" and "onConnect"'],
    [{ payload, interval: 1, source }, '"payload" and "source" exclude each other'],
    [{ payload }, '"payload" needs an "interval"'],
    [{ payload, interval: undefined }, '"payload" needs an "interval"'],
    [{ interval: 1, source }, '"interval" needs a "payload"'],
    [{ interval: 1, onConnect }, '"interval" needs a "payload"'],
    [{ onConnect, immediate: false }, '"immediate" and "shared" go with "payload"'],
    [{ source, shared: true }, '"immediate" and "shared" go with "payload"'],
    [{ onConnect, rewind: 1 }, '"rewind" goes with "topics"'],
    [{ onConnect, openOn: 'request' }, '"openOn" goes with "source"'],
    [{ payload, interval: 1, openOn: 'first-event' }, '"openOn" goes with "source"'],
    [{ source, payloadTimeout: 1 }, '"payloadTimeout" goes with "payload"'],
    [{ payload, interval: 1, end: 'x' }, '"end" goes with "source"'],
    [{ onConnect, end: 'x' }, '"end" goes with "source"'],
    [{ topics, items: 'data' }, '"items" goes with "source" or "payload"'],
    [{ source, items: 'data', events: { price: {} } }, '"items" of \'data\' are events "message", which "events" does not declare'],
    [{ source, end: { event: 'done' }, events: { price: {} } }, '"end" is an event "done", which "events" does not declare'],
    [{ source, end: '[DONE]', events: { price: {} } }, '"end" is an event "message", which "events" does not declare'],
    [{ source, end: { data: 1 }, events: { price: {} } }, '"end" is an event "message", which "events" does not declare'],
    [{ topics, interval: 1 }, '"interval" needs a "payload"'],
    [{ topics, shared: true }, '"immediate" and "shared" go with "payload"'],
    [{ topics, openOn: 'first-event' }, '"openOn" goes with "source"'],
    [{ topics, events }, 'the event "gap" is the plugin\'s own where there'],
    [{ source, events, overflow: 'drop' }, 'the event "gap" is the plugin\'s own where there'],
    [{ onConnect, handler }, 'it takes no "handler"; use "payload", "source", "topics", "resume" or "onConnect"']
  ]
  for (const [options, why] of wrong) {
    t.throws(() => app.sseRoute({ url: '/stocks', ...options }), { code: 'SSE_ERR_ROUTE', message: `The SSE route GET /stocks: ${why}` }, Object.keys(options).join(', '))
  }
  t.throws(() => app.sseRoute('/stocks', { method: 'POST' }), { code: 'SSE_ERR_ROUTE', message: /^The SSE route POST \/stocks: it needs/ })
  const withIds = await makeApp(t, { clientId: () => 'ann' })
  t.throws(() => withIds.sseRoute('/', { source, events }), { code: 'SSE_ERR_ROUTE', message: /the event "gap" is the plugin's own/ })
})

test('an option that is undefined counts as not given', async (t) => {
  t.equal(await register(Object.fromEntries(Object.keys(ofPlugin).map((name) => [name, undefined]))), null)
  t.strictSame(readPluginOptions(Object.fromEntries(Object.keys(ofPlugin).map((name) => [name, undefined]))), readPluginOptions({}))
  const app = await makeApp(t, { retry: 5 })
  app.sseRoute({ ...Object.fromEntries(Object.keys(ofRoutes).map((name) => [name, undefined])), method: undefined, schema: undefined, url: '/', source: () => ['text'] })
  const response = await app.inject('/')
  t.equal(response.body, 'retry: 5\ndata: text\n\n', 'the plugin\'s options hold')
})

test('without options the plugin has its defaults', async (t) => {
  t.strictSame(readPluginOptions({}), {
    stream: {
      heartbeat: 15_000,
      retry: undefined,
      headers: {},
      serializer: JSON.stringify,
      maxBufferedBytes: 1_048_576,
      overflow: 'replay',
      idleTimeout: 0,
      maxLifetime: 0,
      flushInterval: 0,
      stallTimeout: 60_000
    },
    clientId: undefined,
    maxStreams: Infinity,
    maxStreamsPerClient: undefined,
    history: DEFAULT_HISTORY,
    backplane: undefined,
    drain: { spread: 3_000, event: undefined, timeout: 5_000 },
    openapi: true,
    callbacks: { onConnect: undefined, onDisconnect: undefined, onError: undefined }
  })
  t.equal(readPluginOptions({ heartbeat: false }).stream.heartbeat, 0)
  t.strictSame(readPluginOptions({ history: false }).history, { ...DEFAULT_HISTORY, size: 0 })
  t.strictSame(readPluginOptions({ history: {} }).history, DEFAULT_HISTORY)
  t.strictSame(readPluginOptions({ history: { size: undefined, maxAge: undefined } }).history, DEFAULT_HISTORY)
  t.strictSame(readPluginOptions({ history: { size: 5 } }).history, { ...DEFAULT_HISTORY, size: 5 })
  t.strictSame(readPluginOptions({ history: { maxAge: 60_000, maxBytes: 1_000 } }).history, { size: 1_000, maxAge: 60_000, maxBytes: 1_000 })
})

test('a route has its defaults, and its `end` has no id with topics', (t) => {
  const settings = readPluginOptions({})
  const read = (options: object) => readRouteOptions(settings, { url: '/', source: () => [], ...options }).declared
  t.match(read({}), { payloadTimeout: 30_000, items: 'payload', end: undefined, resumable: undefined })
  t.match(read({ items: 'data', end: 'x' }), { items: 'data', end: 'x' })
  t.throws(() => read({ topics: [], end: { id: 1, data: 'x' } }), { code: 'SSE_ERR_OPTION', message: /^The option "end" takes an event, got one that cannot be sent$/, cause: { message: /from the log; got the id 1$/ } })
  t.end()
})

test('the options of a route and of reply.sse() take precedence over the plugin\'s', async (t) => {
  const app = await makeApp(t, { retry: 1, headers: { 'X-Both': 'plugin', 'x-plugin': '1' }, serializer: (data) => `plugin ${data}` })
  const own = { retry: 2, headers: { 'x-BOTH': 'own', 'x-own': '1' }, serializer: (data: unknown) => `own ${data}` }
  app.sseRoute('/plugin', { source: () => [{ data: 1 }] })
  app.sseRoute('/route', { ...own, source: () => [{ data: 1 }] })
  app.get('/reply', (_request, reply) => reply.sse([{ data: 1 }], own))
  const plain = await app.inject('/plugin')
  t.equal(plain.body, 'retry: 1\ndata: plugin 1\n\n')
  t.match(plain.headers, { 'x-both': 'plugin', 'x-plugin': '1', 'x-own': undefined })
  for (const path of ['/route', '/reply']) {
    const response = await app.inject(path)
    t.equal(response.body, 'retry: 2\ndata: own 1\n\n', path)
    t.match(response.headers, { 'x-both': 'own', 'x-plugin': '1', 'x-own': '1' }, path)
  }
})

test('a route may have the options of other plugins and of Fastify', async (t) => {
  const app = await makeApp(t)
  const seen: object[] = []
  app.addHook('onRoute', (route) => { seen.push(route) })
  app.sseRoute({ ...fine, rateLimit: { max: 1 }, config: { own: 1 }, logLevel: 'silent', bodyLimit: 5, interval: 5 } as SSERouteOptions)
  t.match(seen[0], { url: '/fine', method: 'GET', rateLimit: { max: 1 }, config: { own: 1 }, logLevel: 'silent', bodyLimit: 5 })
  t.notMatch(seen[0], { interval: Number }, 'its own are kept from them')
})

test('the URL may be the first argument of sseRoute', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/first', { source: () => ['text'] })
  app.sseRoute('/post', { method: 'POST', source: () => ['text'] })
  t.equal((await app.inject('/first')).body, 'data: text\n\n')
  t.equal((await app.inject({ method: 'POST', url: '/post' })).body, 'data: text\n\n')
})
