import type { FastifyInstance } from 'fastify'
import { test, type Test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { listen, open, until } from '../helpers/app.js'
import { membersOf } from './compile.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/by-hand.md')

function runBlocks (t: Test, before: string, ...blocks: string[]): Promise<FastifyInstance> {
  return runApp(t, tenLines({ after: [before, ...blocks].join('\n') }))
}

test('a handler writes to its stream and closes it', async (t) => {
  const [code] = page.codeOf('Write to the stream', 'ts')
  const app = await runBlocks(t, '', code)
  t.equal((await app.inject('/countdown')).body, [3, 2, 1].map((left) => `event: left\ndata: ${left}\n\n`).join(''))
  t.match(app.sse.stats(), { closed: { server: 1 } })
})

test('a stream closes when its function has resolved', async (t) => {
  const [code] = page.codeOf('Run a function on the open stream', 'ts')
  t.equal((await (await runBlocks(t, '', code)).inject('/import')).body, ['read', 'checked', 'stored'].map((step) => `event: step\ndata: ${step}\n\n`).join(''))
})

test('resources of a source are released when its response is over', async (t) => {
  const [code] = page.codeOf('Release resources after the response', 'ts')
  const pool = 'const released = []\nconst pool = { connect: async () => ({ rows: async function * () { yield { id: 1 }; yield { id: 2 } }, release () { released.push(true) } }) }'
  const app = await runBlocks(t, pool, code, 'app.get(\'/released\', () => ({ released }))')
  t.equal((await app.inject('/rows')).body, 'data: {"id":1}\n\ndata: {"id":2}\n\ndata: [DONE]\n\n')
  await until('it is released', async () => (await app.inject('/released')).json().released.length === 1)
})

test('a route with config.sse streams as every other', async (t) => {
  const [code] = page.codeOf('Save memory per stream', 'ts')
  t.equal((await (await runBlocks(t, '', code)).inject('/updates')).body, 'data: a\n\ndata: b\n\n')
})

test('subscribe() in the tick of reply.sse() includes missed events', async (t) => {
  const [code] = page.codeOf('`subscribe(...topics)`', 'ts')
  const app = await runBlocks(t, 'const sessionOf = async (cookie) => ({ user: cookie })', code)
  const seen = await app.sse.publish('mails:ann', 'a')
  const missed = await app.sse.publish('mails:ann', 'b')
  await app.sse.publish('mails:bob', 'c')
  const stream = await injectSSE(app, { url: '/mails', headers: { cookie: 'ann', 'last-event-id': seen } })
  t.match(await stream.next(), { id: missed, data: 'b' })
  stream.close()
})

test('a reply is kept with its status, is sent once, and its handler\'s error aborts the stream', async (t) => {
  const app = await runBlocks(t, '', `app.get('/accepted', (request, reply) => reply.code(202).sse(['a']))
app.get('/twice', async (request, reply) => { reply.sse(['a']); try { reply.sse() } catch ({ code }) { twice = code } })
app.get('/fails', async (request, reply) => { const stream = reply.sse({ onError: (error) => { failed = error.message } }); await stream.send('a'); throw new Error('broken') })
app.get('/event', (request, reply) => reply.sse({ event: 'a', data: 'b' }))
app.get('/unknown', (request, reply) => reply.sse(['a'], { heartBeat: 1 }))
app.get('/errors', () => ({ twice, failed }))
let twice, failed`)
  const accepted = await app.inject({ url: '/accepted', headers: { accept: 'application/json' } })
  t.match(accepted, { statusCode: 202, body: 'data: a\n\n' })
  await app.inject('/twice')
  t.match((await app.inject('/event')).json(), { code: 'SSE_ERR_SOURCE' })
  t.match((await app.inject('/unknown')).json(), { code: 'SSE_ERR_UNKNOWN_OPTION' })
  const client = await open(t, await listen(app), '/fails')
  t.notOk(await client.finished())
  t.equal(client.text, 'data: a\n\n')
  t.strictSame((await app.inject('/errors')).json(), { twice: 'SSE_ERR_REPLY_SENT', failed: 'broken' })
})

test('the page has every member of a stream', (t) => {
  const names = membersOf('types.ts')
  for (const name of ['id', 'clientId', 'lastEventId', 'resumed', 'topics', 'signal', 'closed', 'closeReason', 'request', 'send', 'subscribe', 'unsubscribe', 'close']) {
    t.ok(names.includes(name), name)
    t.match(page.sectionOf('Members of a stream'), new RegExp(`^\\| \`${name}[\`(]`, 'm'), name)
  }
  t.end()
})
