import { PassThrough } from 'node:stream'
import Fastify, { type FastifyInstance, type FastifyReply } from 'fastify'
import { test } from 'tap'
import { mayHaveTrailers, needsFirstByte, requestLoggingOf, setUpSerializerCompiler } from '../../lib/stream/fastify-internals.js'

/** Calls `read` with the reply of a request to an app, in a handler. */
function withReply<Value> (read: (reply: FastifyReply) => Value, payloadAsStream: boolean = false): Promise<Value> {
  return new Promise((resolve, reject) => {
    const app = Fastify()
    app.get('/', (_request, reply) => {
      resolve(read(reply))
      reply.send('')
    })
    app.inject({ url: '/', payloadAsStream }, (error) => { if (error) reject(error) })
  })
}

/** A copy of an object as another version of Fastify could make it: without the symbols that have one of these names. */
function without<Value extends object> (value: Value, ...names: string[]): Value {
  const descriptors = Object.getOwnPropertyDescriptors(value)
  for (const symbol of Object.getOwnPropertySymbols(value)) if (names.includes(String(symbol.description))) Reflect.deleteProperty(descriptors, symbol)
  return Object.create(Object.getPrototypeOf(value), descriptors)
}

// first, because the module keeps the symbol once it has found it
test('a reply without the field for trailers counts as one with trailers', async (t) => {
  for (let call = 0; call < 2; call++) t.equal(await withReply((reply) => mayHaveTrailers(without(reply, 'fastify.reply.trailers'))), true)
})

test('Fastify has a symbol for trailers whose field is null without any', async (t) => {
  t.equal(await withReply((reply) => mayHaveTrailers(reply)), false)
  t.equal(await withReply((reply) => mayHaveTrailers(reply.trailer('x-sum', async () => '1'))), true)
})

test('Fastify has a symbol for its log controller, which knows the requests that are not logged', async (t) => {
  t.ok(symbols(Fastify()).includes('fastify.logController'))
  for (const disableRequestLogging of [true, false]) {
    const app = Fastify({ disableRequestLogging })
    const isDisabled = requestLoggingOf(app)
    app.get('/', async (request) => String(isDisabled(request)))
    t.equal((await app.inject('/')).body, String(disableRequestLogging))
  }
})

test('Fastify has symbols for its schema controller and its options, by which it sets up a serializer compiler', (t) => {
  const app = Fastify({ serializerOpts: { rounding: 'ceil' } })
  app.addSchema({ $id: 'count', type: 'integer' })
  t.equal(app.serializerCompiler, undefined)
  for (const name of ['fastify.schemaController', 'fastify.options']) setUpSerializerCompiler(without(app, name))
  t.equal(app.serializerCompiler, undefined, 'nothing is set up without the symbols')
  setUpSerializerCompiler(app)
  t.equal(app.serializerCompiler?.({ schema: { $ref: 'count#' }, method: 'GET', url: '/', httpStatus: '200' })(1.2), '2')
  t.end()
})

/** Descriptions of the symbols of an instance. */
function symbols (app: FastifyInstance): Array<string | undefined> {
  return Object.getOwnPropertySymbols(app).map(({ description }) => description)
}

test('an app without a log controller has the option in its initial configuration', async (t) => {
  const isQuiet = ({ url }: { url: string }) => url === '/quiet'
  for (const [disableRequestLogging, quiet, loud] of [[true, true, true], [false, false, false], [isQuiet, true, false]] as const) {
    const app = Fastify()
    app.get('/*', async (request) => {
      const isDisabled = requestLoggingOf(Object.assign(without(app, 'fastify.logController'), { initialConfig: { disableRequestLogging } }))
      return String(isDisabled(request))
    })
    t.equal((await app.inject('/quiet')).body, String(quiet))
    t.equal((await app.inject('/loud')).body, String(loud))
  }
})

test('light-my-request has a field that tells `payloadAsStream`', async (t) => {
  t.equal(await withReply(({ raw }) => needsFirstByte(raw, raw), true), true)
  t.equal(await withReply(({ raw }) => needsFirstByte(raw, raw)), false)
})

test('a response without this field needs no first byte, unless a transform is in between', async (t) => {
  const raw = await withReply(({ raw }): typeof raw => Object.create(raw, { _lightMyRequest: { value: undefined } }), true)
  t.equal(needsFirstByte(raw, raw), false)
  t.equal(needsFirstByte(raw, new PassThrough()), true)
})
