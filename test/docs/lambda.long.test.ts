import { PassThrough, type Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import awsLambdaFastify from '@fastify/aws-lambda'
import Fastify from 'fastify'
import { type Test, test } from 'tap'
import sse from '../../lib/index.js'
import { until } from '../helpers/app.js'
import { eventsOf } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { run } from './run.js'

const page = pageOf('docs/deployment.md')
const [code] = page.codeOf('AWS Lambda', 'js')

type Handler = (event: unknown, responseStream: Writable, context: object) => Promise<void>

/** Keeps the process alive, as the connection of Lambda's runtime does, because the timers of streams do not. */
function keepAlive (t: Test): void {
  const timer = setInterval(() => {}, 1_000)
  t.teardown(() => clearInterval(timer))
}

/** Returns the event of a request to the URL of a function. */
function eventFor (rawPath: string): unknown {
  return { version: '2.0', rawPath, rawQueryString: '', headers: { accept: 'text/event-stream' }, requestContext: { http: { method: 'GET', path: rawPath } } }
}

/** Loads the handler of the page with a replacement for the global of Lambda's runtime. */
async function load (t: Test, change: (code: string) => string): Promise<{ handler: Handler, metas: unknown[] }> {
  keepAlive(t)
  const metas: unknown[] = []
  Reflect.set(globalThis, 'awslambda', {
    streamifyResponse: (handler: Handler) => handler,
    HttpResponseStream: { from: (stream: Writable, meta: unknown) => { metas.push(meta); return stream } }
  })
  t.teardown(() => Reflect.deleteProperty(globalThis, 'awslambda'))
  const source = change(code).replace('export const handler', 'const handler').replace('\'@fastify/aws-lambda\'', JSON.stringify(import.meta.resolve('@fastify/aws-lambda')))
  return { handler: await run<Handler>(t, source, 'handler'), metas }
}

/** Calls a handler, and records the text of the response. */
function call (handler: Handler, path: string) {
  const response = new PassThrough()
  const result = { response, text: '', done: handler(eventFor(path), response, {}).then(() => 'finished', (error: Error) => error) }
  response.setEncoding('utf8').on('data', (text: string) => { result.text += text }).on('error', () => {})
  return result
}

test('on Lambda each event arrives at once, and maxLifetime ends the stream', async (t) => {
  const { handler, metas } = await load(t, (code) => code.replace('50_000', '700').replace('1_000', '300'))
  const started = performance.now()
  const result = call(handler, '/time')
  await until('the first event', () => eventsOf(result.text).length === 1)
  t.ok(performance.now() - started < 300)
  await until('the second event', () => eventsOf(result.text).length === 2)
  t.equal(await result.done, 'finished')
  const took = performance.now() - started
  t.ok(took > 500 && took < 1_500, `${took} ms`)
  t.match(metas, [{ statusCode: 200, headers: { 'content-type': 'text/event-stream' } }])
})

test('on Lambda the handler rejects if a source fails', async (t) => {
  const { handler } = await load(t, (code) => code.replace('await app.ready()', 'app.sseRoute({ url: \'/fails\', onError () {}, source: async function * () { yield \'one\'; throw new Error(\'on purpose\') } })\n$&'))
  const result = call(handler, '/fails')
  t.ok(await result.done instanceof Error)
  t.match(eventsOf(result.text), [{ data: 'one' }])
})

test('on Lambda a response stream that is destroyed ends the stream of the app, and without the block `finally` it does not', async (t) => {
  for (const [pattern, ends] of [[/(?!)/, 1], [/ {4}for .*\n/, 0]] as const) {
    let closed = 0
    Reflect.set(globalThis, 'onEnd', () => { closed++ })
    t.teardown(() => Reflect.deleteProperty(globalThis, 'onEnd'))
    const { handler } = await load(t, (code) => code.replace('interval: 1_000', 'interval: 50, onDisconnect: onEnd').replace(pattern, ''))
    const result = call(handler, '/time')
    await until('an event', () => eventsOf(result.text).length === 1)
    result.response.destroy()
    t.ok(await result.done instanceof Error)
    await delay(500)
    t.equal(closed, ends)
  }
})

test('without payloadAsStream @fastify/aws-lambda answers at the end of a stream', async (t) => {
  keepAlive(t)
  const app = Fastify()
  t.teardown(() => app.close())
  const handler = awsLambdaFastify(app, { payloadAsStream: false })
  await app.register(sse)
  app.sseRoute('/endless', { interval: 100, payload: () => 'x' })
  app.sseRoute('/ends', { interval: 100, maxLifetime: 500, payload: () => 'x' })
  const { body } = await handler(eventFor('/ends'), {})
  t.ok(eventsOf(body).length >= 3, body)
  t.equal(await Promise.race([handler(eventFor('/endless'), {}), delay(1_000, 'no answer')]), 'no answer')
})
