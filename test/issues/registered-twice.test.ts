// Symptom: published events reach only some of the streams.
// Cause: the plugin was registered twice in one instance, so that there were two logs.
import Fastify, { type FastifyInstance } from 'fastify'
import { fastifyPlugin } from 'fastify-plugin'
import { test, type Test } from 'tap'
import sse from '../../lib/index.js'

const withSSE = async (app: FastifyInstance) => { await app.register(sse) }
const nothing = async () => {}

function createApp (t: Test): FastifyInstance {
  const app = Fastify()
  t.teardown(() => app.close())
  return app
}

/** Registrations that give one instance two logs, by description. */
const registrations: Record<string, (app: FastifyInstance) => unknown> = {
  'in one instance': (app) => app.register(sse).register(sse),
  'in an instance and its child': (app) => app.register(sse).register(withSSE),
  'in a child, then in its parent': (app) => app.register(withSSE).register(sse),
  'in an instance and its grandchild': (app) => app.register(sse).register(async (child) => { child.register(withSSE) }),
  'in a grandchild, then in the root': (app) => app.register(async (child) => { child.register(withSSE) }).register(sse),
  'in a child and a child of that': (app) => app.register(async (child) => { await child.register(sse); child.register(withSSE) }),
  'by two plugins without encapsulation': (app) => app.register(fastifyPlugin(withSSE)).register(fastifyPlugin(withSSE))
}

for (const [where, register] of Object.entries(registrations)) {
  test(`the plugin registered ${where} fails with SSE_ERR_REGISTERED`, async (t) => {
    const app = createApp(t)
    register(app)
    await t.rejects(async () => { await app.ready() }, { code: 'SSE_ERR_REGISTERED', message: / Register it once, / })
  })
}

test('the plugin can be registered in sibling instances, each with its own log', async (t) => {
  const app = createApp(t)
  const streams: unknown[] = []
  for (const prefix of ['/a', '/b']) {
    app.register(async (child) => {
      await child.register(sse)
      child.sseRoute('/stream', { source: () => [prefix] })
      streams.push(child.sse)
    }, { prefix })
  }
  app.register(nothing)
  await app.ready()
  for (const prefix of ['/a', '/b']) t.equal((await app.inject(`${prefix}/stream`)).body, `data: ${prefix}\n\n`)
  t.equal(new Set(streams).size, 2)
})

test('the plugin can be registered in two apps of one process', async (t) => {
  const apps = [createApp(t), createApp(t)]
  for (const app of apps) await t.resolves(async () => { await app.register(sse).ready() })
})

test('the plugin can be registered after a failed registration', async (t) => {
  const app = createApp(t)
  await t.rejects(async () => { await app.register(sse, { heartbeat: -1 }) }, { code: 'SSE_ERR_OPTION' })
  t.notOk(app.hasDecorator('sse'))
})
