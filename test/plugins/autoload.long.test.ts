import Fastify, { type FastifyInstance, type FastifyPluginAsync } from 'fastify'
import { type Test, test } from 'tap'
import { listen, open } from '../helpers/app.js'
import { answerOf } from './orders.js'

const { default: autoloaded }: { default: FastifyPluginAsync<Record<string, unknown>> } = await import(new URL('../frameworks/app/app.js', import.meta.url).href)

/** The app of test/frameworks/app, whose plugins and routes autoload loads, all with the same options. */
async function makeApp (t: Test, options: Record<string, unknown> = {}): Promise<FastifyInstance> {
  const app = Fastify({ forceCloseConnections: true })
  t.teardown(() => app.close())
  await app.register(autoloaded, options)
  return app
}

test('@fastify/autoload', async (t) => {
  await t.test('@fastify/autoload loads the plugin from a folder with its own and common options, and routes from another', async (t) => {
    const port = await listen(await makeApp(t, { heartbeat: 20, database: 'postgres://db' }))
    const byHand = await open(t, port, '/prices/hand')
    await byHand.until('retry: 1234\n')
    await byHand.until(':\n', 3)
    await (await open(t, port, '/prices')).until('event: price\ndata: 100\n', 2)
    await fetch(`http://127.0.0.1:${port}/prices`, { method: 'POST', body: 'new', headers: { 'content-type': 'text/plain' } })
    await byHand.until('data: new')
  })

  await t.test('@fastify/autoload runs the hooks of a folder for the streams of that folder only', async (t) => {
    const port = await listen(await makeApp(t))
    t.match(await answerOf(await open(t, port, '/private')), { status: 401, body: { message: 'who?' } })
    const mine = await open(t, port, '/private', { headers: { authorization: 'x' } })
    t.match(mine.response, { statusCode: 200, headers: { 'content-type': 'text/event-stream', 'x-private': '1' } })
    t.notOk((await open(t, port, '/prices')).response.headers['x-private'])
  })

  await t.test('a common option of @fastify/autoload that this plugin has too is checked: a wrong or misspelt one ends the start', async (t) => {
    await t.rejects(makeApp(t, { heartbeat: -1 }), { code: 'SSE_ERR_OPTION' })
    await t.rejects(makeApp(t, { hartbeat: 20 }), { code: 'SSE_ERR_UNKNOWN_OPTION' })
  })
})
