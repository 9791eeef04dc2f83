import { mock } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { pluginRules, replyRules, routeRules, streamRules } from '../../lib/options/rules.js'
import { readPluginOptions, readRouteOptions } from '../../lib/options/read.js'
import { injectSSE } from '../../lib/testing.js'
import { membersOf } from './compile.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/options.md')

/** Members of a stream, of `app.sse`, of a client limit, of the options of runs and of Fastify's types, which lib/types.ts declares beside the options. */
const notOptions = [
  'id', 'lastEventId', 'signal', 'closed', 'closeReason', 'request', 'send', 'subscribe', 'unsubscribe', 'close',
  'resumed', 'publish', 'broadcast', 'sendTo', 'streams', 'stats', 'max', 'key', 'keep', 'maxBytes', 'maxDuration', 'abandonAfter', 'onBusy', 'transform', 'sse', 'sseRoute'
]

interface Described {
  type: string
  default: string
  givenTo: string
}

/** Returns the first line of each option, by the option's name, in the order of the page. */
function describedOptions (): Map<string, Described> {
  const options = new Map<string, Described>()
  for (const { level, title } of page.headings) {
    const name = /^`(\w+)`$/.exec(title)?.[1]
    if (level !== 3 || name === undefined) continue
    const [, type = '', given = '', givenTo = ''] = /^\nType: (.+) · Default: (.+) · Given to: (.+)\n\n/.exec(page.sectionOf(title)) ?? []
    options.set(name, { type, default: given, givenTo })
  }
  return options
}

/** Runs a block that registers the plugin, and code after it. */
function runPlugin (t: Test, block: string, { before = '', after = '' }: { before?: string, after?: string } = {}): Promise<FastifyInstance> {
  return runApp(t, `import Fastify from 'fastify'\nconst app = Fastify()\n${before}\n${block}\n${after}`)
}

test('each option of the plugin, of routes and of streams has a heading with its type, default and place', (t) => {
  const options = describedOptions()
  const members = membersOf('types.ts').filter((name) => !notOptions.includes(name))
  t.strictSame([...options.keys()].sort(), members.sort())
  for (const [name, { type, default: given, givenTo }] of options) t.ok(type && given && givenTo, name)
  t.end()
})

test('the places in the line of each option are the calls that take it', (t) => {
  for (const [name, { givenTo }] of describedOptions()) {
    const places: string[] = []
    if (name in pluginRules) places.push('plugin')
    if (name in routeRules || name in streamRules || name === 'url' || name === 'method') places.push('route')
    if (name in replyRules || name in streamRules) places.push('`reply.sse`')
    t.equal(givenTo, places.join(', '), name)
  }
  t.end()
})

test('the defaults in the lines of the options are those of the plugin and of routes', (t) => {
  const settings = readPluginOptions({})
  const { stream, drain, history, openapi, maxStreams, maxStreamsPerClient, clientId, backplane, callbacks } = settings
  const { declared, rest } = readRouteOptions(settings, { url: '/', interval: 1, payload: () => {} })
  const options = describedOptions()
  const { heartbeat, maxBufferedBytes, stallTimeout, idleTimeout, maxLifetime, flushInterval } = stream
  const numbers = { heartbeat, maxBufferedBytes, stallTimeout, idleTimeout, maxLifetime, flushInterval, openapi, payloadTimeout: declared.payloadTimeout }
  for (const [name, value] of Object.entries(numbers)) t.equal(options.get(name)?.default, `\`${value}\``, name)
  for (const [name, value] of Object.entries({ overflow: stream.overflow, items: declared.items, method: rest.method })) t.equal(options.get(name)?.default, `\`'${value}'\``, name)
  t.equal(options.get('drain')?.default, `\`{ spread: ${drain.spread}, timeout: ${drain.timeout} }\``)
  t.equal(options.get('history')?.default, `\`{ size: ${history.size}, maxAge: ${history.maxAge}, maxBytes: ${history.maxBytes} }\``)
  t.strictSame([stream.headers, options.get('headers')?.default], [{}, '`{}`'])
  t.strictSame([stream.serializer, options.get('serializer')?.default], [JSON.stringify, '`JSON.stringify`'])
  for (const [name, value] of Object.entries({ retry: stream.retry, maxStreamsPerClient, onConnect: callbacks.onConnect, onDisconnect: callbacks.onDisconnect })) {
    t.strictSame([value, options.get(name)?.default], [undefined, 'none'], name)
  }
  t.strictSame([maxStreams, options.get('maxStreams')?.default], [Infinity, 'none'])
  t.strictSame([clientId, options.get('clientId')?.default], [undefined, 'the stream\'s `id`'])
  t.strictSame([backplane, options.get('backplane')?.default], [undefined, 'in process'])
  t.end()
})

test('the table of all options has the defaults and places of the headings, in their order', (t) => {
  const rows = Array.from(page.sectionOf('All options').matchAll(/^\| \[`(\w+)`\]\(#(\w+)\) \| (.+?) \| (.+?) \| (.+?) \|$/gm), ([, name = '', anchor, given, givenTo]) => ({ name, anchor, given, givenTo }))
  const headings = Array.from(describedOptions(), ([name, { default: given, givenTo }]) => ({ name, anchor: name.toLowerCase(), given: name === 'accept' ? 'by method' : given, givenTo }))
  t.strictSame(rows, headings)
  t.end()
})

test('an option of a route or of reply.sse replaces that of the plugin', async (t) => {
  const [code] = page.codeOf('Where to give an option', 'ts')
  mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  t.teardown(() => mock.timers.reset())
  const app = await runPlugin(t, code, { after: 'app.sseRoute(\'/default\', { onConnect: () => {} })' })
  t.equal((await app.inject('/once')).body, 'retry: 500\ndata: hello\n\n')
  const heartbeats = /^:$/gm
  const [five, ten] = [await injectSSE(app, '/prices'), await injectSSE(app, '/default')]
  for (const stream of [five, ten]) {
    await stream.read()
    t.match(stream.raw, /^retry: 2000\n/)
  }
  mock.timers.tick(5_000)
  await five.read()
  t.equal(five.raw.match(heartbeats)?.length, 1)
  mock.timers.tick(5_000)
  await ten.read()
  t.equal(ten.raw.match(heartbeats)?.length, 1)
  for (const stream of [five, ten]) stream.close()
})

test('streams are limited by user and by tenant, and a refused request takes no place', async (t) => {
  const [code] = page.codeOf('`maxStreamsPerClient`', 'ts')
  const app = await runPlugin(t, code, {
    before: 'const sessionOf = ({ headers: { user, tenant } }) => ({ user, tenant })',
    after: 'app.sseRoute(\'/\', { onConnect: () => {} })'
  })
  const request = (user: string) => ({ url: '/', headers: { user, tenant: 'acme' } })
  for (let i = 0; i < 5; i++) await injectSSE(app, request('ann'))
  await t.rejects(injectSSE(app, request('ann')), { code: 'SSE_ERR_NO_STREAM', statusCode: 429, headers: { 'retry-after': '5' } })
  for (let i = 5; i < 100; i++) await injectSSE(app, request(`user ${i}`))
  await t.rejects(injectSSE(app, request('bob')), { code: 'SSE_ERR_NO_STREAM', statusCode: 429 })
  t.match(app.sse.stats(), { active: 100, rejected: 2 })
})

test('a serializer of the plugin writes data that JSON.stringify refuses', async (t) => {
  const [code] = page.codeOf('`serializer`', 'ts')
  const app = await runPlugin(t, code, { after: 'app.sseRoute(\'/\', { source: () => [{ data: { n: 1n } }] })' })
  t.equal((await app.inject('/')).body, 'data: {"n":"1"}\n\n')
})

test('items of a source are the data of events without a name, and the end follows them', async (t) => {
  const [code] = page.codeOf('`items`', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  t.equal((await app.inject('/v1/numbers')).body, 'data: {"n":1}\n\ndata: {"n":2}\n\ndata: [DONE]\n\n')
})

test('the onDisconnect of the plugin is called for routes and for reply.sse, with the reason', async (t) => {
  const [code] = page.codeOf('`onDisconnect`', 'ts')
  const after = `app.sseRoute('/route', { source: () => ['x'] })
    app.get('/reply', (request, reply) => reply.sse((stream) => stream.close()))
    app.get('/reasons', () => reasons)`
  const app = await runPlugin(t, code, { after })
  await app.inject('/route')
  await app.inject('/reply')
  t.strictSame((await app.inject('/reasons')).json(), ['/route server', '/reply server'])
})
