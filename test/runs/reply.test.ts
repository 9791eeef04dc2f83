import { type Test, test } from 'tap'
import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import type { SSEReplyOptions, SSEStream } from '../../lib/index.js'
import { type InjectedStream, injectSSE } from '../../lib/testing.js'
import { makeApp, until } from '../helpers/app.js'

async function data (stream: InjectedStream): Promise<string[]> {
  const items: string[] = []
  for await (const { event, data } of stream) items.push(`${event} ${data}`)
  return items
}

/** An app whose handler replies with a run of a slow source. */
async function slow (t: Test, options: Partial<SSEReplyOptions['resumable']> = {}, others: SSEReplyOptions = {}) {
  const app = await makeApp(t)
  const calls = { sources: 0, closed: 0, resolved: 0 }
  async function * source (signal?: AbortSignal) {
    calls.sources++
    for (let i = 0; i < 5 && signal?.aborted !== true; i++) {
      yield String(i)
      await wait(10)
    }
  }
  const resumable = { key: 'answer', ...options }
  app.post('/function', async (_request, reply) => {
    await reply.sse(({ signal }: SSEStream) => source(signal), { end: { event: 'end', data: '' }, resumable, ...others })
    calls.resolved++
  })
  app.post('/source', (_request, reply) => reply.sse(source(), { resumable, ...others }))
  return { app, calls }
}

test('reply.sse() with "resumable" starts a run, and joins it, from its beginning or from an id', async (t) => {
  const { app, calls } = await slow(t)
  const post = (lastEventId?: string) => injectSSE(app, { method: 'POST', url: '/function', headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId } })
  const first = await post()
  const id = (await first.next())?.id
  first.close()
  const all = ['message 0', 'message 1', 'message 2', 'message 3', 'message 4', 'end ']
  const [second, third] = await Promise.all([post(), post(id)])
  t.strictSame(await data(second), all)
  t.strictSame(await data(third), all.slice(1))
  t.equal(calls.sources, 1)
  await until('the promises of the handlers to resolve', () => calls.resolved === 3)
  const run = await app.sse.run('answer')
  t.match(run, { state: 'done', events: 6 })
  t.equal((await app.inject({ method: 'POST', url: '/function', headers: { 'last-event-id': `${run?.id}/6` } })).statusCode, 204)
})

test('a source given to reply.sse() is stopped if its run is going on', async (t) => {
  const { app } = await slow(t)
  const [first, second] = [await injectSSE(app, { method: 'POST', url: '/source' }), await injectSSE(app, { method: 'POST', url: '/source' })]
  const all = ['message 0', 'message 1', 'message 2', 'message 3', 'message 4']
  t.strictSame([await data(first), await data(second)], [all, all])
})

test('reply.sse() with "resumable" refuses requests and wrong options before a stream opens', async (t) => {
  const { app } = await slow(t, { onBusy: 'refuse' })
  const first = await injectSSE(app, { method: 'POST', url: '/source' })
  t.match((await app.inject({ method: 'POST', url: '/source' })).json(), { statusCode: 409, code: 'SSE_ERR_RUN_BUSY' })
  first.close()
  const { app: wrong } = await slow(t, { key: '' })
  t.match((await wrong.inject({ method: 'POST', url: '/function' })).json(), { code: 'SSE_ERR_OPTION', message: /"key"/ })
  const { app: misspelt } = await slow(t, { maxbytes: 1 } as object)
  t.match((await misspelt.inject({ method: 'POST', url: '/function' })).json(), { code: 'SSE_ERR_UNKNOWN_OPTION', message: /"maxbytes"/ })
  const { app: both } = await slow(t, {}, { openOn: 'first-event' })
  t.match((await both.inject({ method: 'POST', url: '/function' })).json(), { code: 'SSE_ERR_OPTION', message: /"openOn"/ })
})

test('the callbacks of a run\'s reply: onDisconnect for each stream, onError with the last event of a failed run', async (t) => {
  const app = await makeApp(t)
  const left: FastifyRequest[] = []
  app.get('/', (_request, reply) => reply.sse(() => { throw new Error('none') }, {
    resumable: { key: 'x', keep: 0 }, onDisconnect (request) { left.push(request) }, onError: ({ message }) => ({ event: 'sorry', data: message })
  }))
  t.strictSame(await data(await injectSSE(app, '/')), ['sorry none'])
  await until('onDisconnect', () => left.length === 1)
})
