// Symptom: maxStreamsPerClient limits nobody, or all users together.
// Cause: its `key` returned a promise or nothing, and that was used as the key.
import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { injectSSE } from '../../lib/testing.js'
import { makeApp } from '../helpers/app.js'
import { refusalOf } from '../helpers/refusal.js'

/** Values that a `key` callback must not return, by description. */
const invalidKeys: Record<string, () => unknown> = {
  'a promise of a key': async () => 'ann',
  'a promise that rejects': async () => { throw new Error('no session') },
  'a thenable that throws': () => ({ then () { throw new Error('no session') } }),
  'an object': () => ({ user: 'ann' }),
  undefined: () => undefined,
  null: () => null,
  'an empty string': () => '',
  'a number': () => 7,
  'a symbol': () => Symbol('ann')
}

const paths = ['/route', '/reply', '/source']

async function createApp (t: Test, options: object): Promise<FastifyInstance> {
  const app = await makeApp(t, options as SSEPluginOptions)
  app.sseRoute('/route', { onConnect: () => {} })
  app.get('/reply', (_request, reply) => { reply.sse() })
  app.get('/source', (_request, reply) => reply.sse(['x']))
  return app
}

for (const [returned, key] of Object.entries(invalidKeys)) {
  test(`a key of maxStreamsPerClient that returns ${returned} fails the request with SSE_ERR_OPTION`, async (t) => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => { unhandled.push(reason) }
    process.on('unhandledRejection', note)
    t.teardown(() => { process.off('unhandledRejection', note) })
    for (const maxStreamsPerClient of [{ max: 1, key }, [{ max: 5 }, { max: 1, key }]]) {
      const app = await createApp(t, { maxStreamsPerClient })
      for (const url of paths) {
        t.match(await refusalOf(app, url), {
          statusCode: 500,
          code: 'SSE_ERR_OPTION',
          message: /^The option "maxStreamsPerClient.key" takes a function that returns a non-empty string, got one that returned /
        }, url)
      }
      t.match(app.sse.stats(), { opened: 0, rejected: 0 })
    }
    // Node reports unhandled rejections after the microtasks of an event loop turn
    await new Promise(setImmediate)
    t.strictSame(unhandled, [])
  })
}

test('a rejected promise returned by the key of maxStreamsPerClient is logged', async (t) => {
  const lines: Array<{ msg: string, err?: { message: string } }> = []
  const logger = { level: 'error', stream: { write: (line: string) => { lines.push(JSON.parse(line)) } } }
  const key = invalidKeys['a promise that rejects']
  const app = await makeApp(t, { maxStreamsPerClient: { max: 1, key } } as SSEPluginOptions, { logger })
  app.sseRoute('/', { onConnect: () => {} })
  await refusalOf(app, '/')
  t.match(lines.filter(({ msg }) => msg.includes('maxStreamsPerClient.key returned')), [{ err: { message: 'no session' } }])
})

test('a request without a valid key takes no place of the other limits', async (t) => {
  let valid = false
  const app = await createApp(t, { maxStreams: 1, maxStreamsPerClient: [{ max: 1 }, { max: 1, key: () => valid ? 'ann' : '' }] })
  for (const url of [...paths, ...paths]) t.equal((await refusalOf(app, url)).statusCode, 500, url)
  valid = true
  t.equal((await injectSSE(app, { url: '/route' })).statusCode, 200)
  t.equal((await refusalOf(app, '/route')).statusCode, 503)
})
