// Symptom: an option has no effect.
// Cause: a misspelt option was ignored without an error.
import { EventEmitter } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import Fastify, { type FastifyInstance } from 'fastify'
import { test } from 'tap'
import sse, { type SSEPluginOptions, type SSERouteOptions, type SSEStreamOptions } from '../../lib/index.js'
import { readPluginOptions, readRouteOptions } from '../../lib/options/read.js'
import { makeApp } from '../helpers/app.js'
import { refusalOf } from '../helpers/refusal.js'
import { root } from '../docs/document.js'

const streamOptions = ['heartbeat', 'retry', 'headers', 'serializer', 'maxBufferedBytes', 'overflow', 'stallTimeout', 'idleTimeout', 'maxLifetime', 'flushInterval']
const pluginOnlyOptions = ['history', 'drain', 'backplane', 'openapi']
const pluginAndRouteOptions = ['clientId', 'maxStreams', 'maxStreamsPerClient', 'onConnect']
const commonOptions = ['onError', 'onDisconnect']
const replyOptions = [...commonOptions, 'openOn', 'items', 'end']
const routeOnlyOptions = ['interval', 'payload', 'payloadTimeout', 'immediate', 'shared', 'source', 'topics', 'rewind', 'onGap', 'expires', 'events']

const allowed = {
  register: [...streamOptions, ...pluginAndRouteOptions, ...pluginOnlyOptions, ...commonOptions],
  sseRoute: [...streamOptions, ...pluginAndRouteOptions, ...replyOptions, ...routeOnlyOptions],
  'reply.sse()': [...streamOptions, ...replyOptions]
}

type Place = keyof typeof allowed

/** Returns misspellings of each kind, at both ends and in the middle of a name. */
function misspellings (name: string): string[] {
  const middle = name.length >> 1
  const found = [0, middle, name.length].map((at) => `${name.slice(0, at)}x${name.slice(at)}`)
  for (const at of [0, middle, name.length - 1]) found.push(`${name.slice(0, at)}${name.slice(at + 1)}`, `${name.slice(0, at)}_${name.slice(at + 1)}`)
  for (const at of [0, middle, name.length - 2]) found.push(`${name.slice(0, at)}${name[at + 1]}${name[at]}${name.slice(at + 2)}`)
  found.push(name.toUpperCase(), name[0]?.toUpperCase() + name.slice(1), `${name}s`)
  return found.filter((each) => each !== name)
}

async function register (options: object): Promise<void> {
  const app = Fastify()
  try {
    await app.register(sse, options as SSEPluginOptions)
  } finally {
    await app.close()
  }
}

async function declare (app: FastifyInstance, options: object): Promise<void> {
  app.sseRoute({ url: '/declared', onConnect: () => {}, ...options } as SSERouteOptions)
}

/** Returns calls of each place with an option that must be refused. Those of `reply.sse()` reject with the response to a request. */
async function callsOf (app: FastifyInstance): Promise<Record<Place, Array<(options: object) => Promise<unknown>>>> {
  let given: object = {}
  app.get('/reply', (_request, reply) => { reply.sse(given) })
  app.get('/source', (_request, reply) => reply.sse(['text'], given))
  const reply = (url: string) => async (options: object) => {
    given = options
    throw await refusalOf(app, url)
  }
  return { register: [register], sseRoute: [(options) => declare(app, options)], 'reply.sse()': [reply('/reply'), reply('/source')] }
}

for (const [place, names] of Object.entries(allowed) as Array<[Place, string[]]>) {
  test(`a misspelt option at ${place} fails with SSE_ERR_UNKNOWN_OPTION, which suggests the intended option`, async (t) => {
    const calls = (await callsOf(await makeApp(t)))[place]
    for (const name of names) {
      for (const misspelt of misspellings(name)) {
        for (const call of calls) {
          await t.rejects(call({ [misspelt]: 1 }), { code: 'SSE_ERR_UNKNOWN_OPTION', message: `${place} takes no option "${misspelt}": did you mean "${name}"?` }, misspelt)
        }
      }
    }
  })
}

test('an option at a place that does not take it fails with SSE_ERR_UNKNOWN_OPTION, which says where it belongs', async (t) => {
  const { sseRoute, 'reply.sse()': reply } = await callsOf(await makeApp(t))
  const plugin = 'it is an option of the plugin, given at register'
  const wrong: Array<[Place, string[], string]> = [
    ['sseRoute', pluginOnlyOptions, plugin],
    ['reply.sse()', pluginOnlyOptions, plugin],
    ['reply.sse()', pluginAndRouteOptions, 'it is an option of the plugin and of routes, given at register or at sseRoute'],
    ['reply.sse()', routeOnlyOptions, 'it is an option of routes, given at sseRoute']
  ]
  for (const [place, names, where] of wrong) {
    for (const call of place === 'sseRoute' ? sseRoute : reply) {
      for (const name of names) await t.rejects(call({ [name]: 1 }), { code: 'SSE_ERR_UNKNOWN_OPTION', message: `${place} takes no option "${name}": ${where}` })
    }
  }
  const message = `sseRoute takes no option "historry": did you mean "history"? That ${plugin.slice(3)}`
  for (const call of sseRoute) await t.rejects(call({ historry: 1 }), { code: 'SSE_ERR_UNKNOWN_OPTION', message })
})

/** Options of plugins that read the options of an app or a route, and of fastify-cli and @fastify/autoload. */
const otherPluginOptions = ['websocket', 'wsHandler', 'compress', 'decompress', 'rateLimit', 'helmet', 'cors', 'csrf', 'sse', 'swagger', 'oauth2', 'jwt', 'session',
  'cookie', 'auth', 'raw', 'rawBody', 'earlyHints', 'name', 'dir', 'options', 'encapsulate', 'ignorePattern', 'ignoreFilter', 'matchFilter', 'autoHooks',
  'maxDepth', 'forceESM', 'indexPattern', 'dirNameRoutePrefix', 'overrideConfig', 'address', 'port', 'socket', 'watch', 'debug', 'debugPort', 'pluginTimeout',
  'closeGraceDelay', 'trustProxy', 'lang', 'includeHooks', 'version', 'path', 'foo', 'hostname', 'tags', 'permissions', 'event', 'timeout', 'secret', 'url', 'data']
const fastifyOptions = ['handler', 'schema', 'config', 'method', 'path', 'prefix', 'routePath', 'constraints', 'version', 'attachValidation', 'exposeHeadRoute',
  'validatorCompiler', 'serializerCompiler', 'schemaErrorFormatter', 'bodyLimit', 'handlerTimeout', 'logLevel', 'logSerializers', 'prefixTrailingSlash',
  'errorHandler', 'childLoggerFactory', 'onRequest', 'preParsing', 'preValidation', 'preHandler', 'preSerialization', 'onSend', 'onResponse', 'onTimeout',
  'onRequestAbort', 'onRoute', 'onRegister', 'onReady', 'onListen', 'preClose', 'onClose']

/** Returns the names of all properties in the type declarations of a package. */
function declaredBy (folder: string): string[] {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.d.ts') && !file.includes('node_modules') && !file.includes('test'))
  const texts = files.map((file) => readFileSync(join(folder, file), 'utf8'))
  return texts.flatMap((text) => Array.from(text.matchAll(/^\s+(?:readonly )?(\w+)\??:/gm), ([, name = '']) => name))
}

test('an unknown option at register and sseRoute is passed on to Fastify and other plugins', async (t) => {
  const packages = join(root, 'node_modules/@fastify')
  const names = new Set([...otherPluginOptions, ...fastifyOptions, ...declaredBy(join(root, 'node_modules/fastify')), ...readdirSync(packages).flatMap((name) => declaredBy(join(packages, name)))])
  // removes the own options of the plugin and the names that differ from a route option by one letter
  for (const name of [...Object.values(allowed).flat(), 'event', 'events', 'serializers', 'serialize', 'Headers', 'handler']) names.delete(name)
  t.ok(names.size > 400 && names.has('onTimeout'), `${names.size} names`)
  const given = Object.fromEntries(Array.from(names, (name) => [name, Symbol(name)]))
  const settings = readPluginOptions(given)
  t.strictSame(settings, readPluginOptions({}))
  const { rest } = readRouteOptions(settings, { ...given, url: '/', method: 'GET', onConnect: () => {}, handler: undefined } as unknown as SSERouteOptions)
  t.strictSame(rest, { ...given, url: '/', method: 'GET' })
})

test('an app starts with the options that fastify-cli and @fastify/autoload pass to every plugin', async (t) => {
  const app = await makeApp(t, { prefix: '/api', port: 3000, pluginTimeout: 10_000, foo: { bar: 1 }, interval: 5 } as SSEPluginOptions)
  app.sseRoute({ url: '/', source: () => ['text'], rateLimit: { max: 1 }, compress: false, websocket: false, version: '1' } as unknown as SSERouteOptions)
  t.equal((await app.inject('/')).body, 'data: text\n\n')
})

test('an option that is undefined counts as not given, also if its name is unknown', async (t) => {
  const options = { hartbeat: undefined, history: undefined, foo: undefined }
  await t.resolves(register({ ...options, interval: undefined }))
  const app = await makeApp(t)
  await t.resolves(declare(app, options))
  app.get('/', (_request, reply) => reply.sse(['text'], options as SSEStreamOptions))
  t.equal((await app.inject('/')).body, 'data: text\n\n')
})

test('an unknown option of reply.sse(source) fails with SSE_ERR_UNKNOWN_OPTION, which lists the options', async (t) => {
  const [, call] = (await callsOf(await makeApp(t)))['reply.sse()']
  const message = `reply.sse() takes no option "foo": it takes ${allowed['reply.sse()'].join(', ')}`
  await t.rejects(Promise.resolve(call?.({ foo: 1 })), { code: 'SSE_ERR_UNKNOWN_OPTION', message })
  for (const [options, got] of [[null, 'null'], ['text', '"text"'], [new Map([['retry', 1]]), 'an object (Map)'], [['retry'], 'an array'], [() => {}, 'a function']] as const) {
    await t.rejects(Promise.resolve(call?.(options as object)), { code: 'SSE_ERR_OPTION', message: `The option "options" takes an object of options, got ${got}` })
  }
})

class Observable { subscribe () {} }
class Settings { retry = 5 }

const noOptions: Record<string, object> = {
  'an object with "id", which is no option': { id: 1, data: 'x' },
  'an object with "event", which is no option': { retry: 5, event: 'x', data: 'x' },
  'an object with "toString", which is no option': { toString: () => 'x' },
  'an object (EventEmitter)': new EventEmitter(),
  'an object (Observable)': new Observable(),
  'an object (Settings)': new Settings(),
  'an object (Date)': new Date(),
  'an object (Error)': new Error('x')
}

for (const [got, value] of Object.entries(noOptions)) {
  test(`reply.sse() with ${got} as its only argument fails with SSE_ERR_SOURCE`, async (t) => {
    const app = await makeApp(t)
    app.get('/', async (_request, reply) => { reply.sse(value) })
    const { statusCode, code, message } = await refusalOf(app, '/')
    t.strictSame({ statusCode, code }, { statusCode: 500, code: 'SSE_ERR_SOURCE' })
    t.equal(message?.slice(message.lastIndexOf(', got ')), `, got ${got}`)
  })
}

test('reply.sse() accepts options from another realm and without a prototype', async (t) => {
  const app = await makeApp(t)
  const objects: object[] = [runInNewContext('({ retry: 5 })'), Object.assign(Object.create(null), { retry: 5 })]
  app.get('/', async (_request, reply) => { reply.sse(objects.shift()).close() })
  for (let left = objects.length; left > 0; left--) t.equal((await app.inject('/')).body, 'retry: 5\n')
})
