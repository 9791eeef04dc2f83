import type { AddressInfo } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { idsOf, publishAll, take } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('README.md')

const ID = /\d{13}-\d+/g
const withoutIds = (text: string) => text.replaceAll(ID, 'ID')
const idsIn = (text: string) => text.match(ID) ?? []
const sorted = (ids: string[]) => [...ids].sort(compareEventIds)

test('README: the route in ten lines has ten lines and sends the events shown', async (t) => {
  const [code] = page.codeOf('A route in ten lines', 'ts')
  const [shown] = page.codeOf('A route in ten lines', '')
  t.equal(/^app\.sseRoute\(.*?^\}\)$/ms.exec(code)?.[0].split('\n').length, 10)
  const app = await runApp(t, code.replace('port: 3000', 'port: 0'))
  const client = await open(t, (app.server.address() as AddressInfo).port, '/stocks/ACME')
  await client.until('\n\n', 2)
  const price = /\d+\.\d+/g
  t.equal(client.text.replaceAll(price, 'N'), `${shown}\n`.replaceAll(price, 'N').repeat(2))
})

test('README: the other ways to send do what the text says', async (t) => {
  const model = 'const model = async function * (prompt) { yield * prompt.split(\' \') }'
  const app = await runApp(t, tenLines({ after: [model, ...page.codeOf('More ways to send', 'ts')].join('\n') }))
  t.match((await app.inject('/progress')).body, /^(data: \{"done":\d+\}\n\n){11}$/)
  t.strictSame((await app.inject({ method: 'POST', url: '/v1/words', payload: { stream: false } })).json(), { words: ['one', 'two', 'three'] })
  t.equal((await app.inject({ method: 'POST', url: '/v1/words', payload: { stream: true } })).body, 'event: word\ndata: one\n\nevent: word\ndata: two\n\nevent: word\ndata: three\n\n')
  t.equal((await app.inject({ method: 'POST', url: '/chat', payload: { prompt: 'a b' } })).body, 'event: token\ndata: a\n\nevent: token\ndata: b\n\nevent: done\ndata: \n\n')
  const news = await injectSSE(app, { url: '/news', headers: { 'last-event-id': '7' } })
  t.match(await news.next(), { event: 'hello', data: '{"since":"7"}' })
  news.close()
  const order = await injectSSE(app, { url: '/orders/42' })
  const post = (id: string) => app.inject({ method: 'POST', url: `/orders/${id}/parcels`, payload: { carrier: 'DHL' } })
  await post('41')
  const { id } = (await post('42')).json()
  t.strictSame(await order.next(), { id, event: 'shipped', data: '{"carrier":"DHL"}' })
  order.close()
})

test('README: the resources of a source are released when its response is over', async (t) => {
  const [code] = page.codeOf('reply.sse', 'ts')
  const released = 'const released = []\nconst pool = { connect: async () => ({ rows: async function * () { yield { id: 1 }; yield { id: 2 } }, release () { released.push(true) } }) }'
  const app = await runApp(t, tenLines({ after: `${released}\n${code}\napp.get('/released', () => ({ released }))` }))
  t.equal((await app.inject('/rows')).body, 'data: {"id":1}\n\ndata: {"id":2}\n\ndata: [DONE]\n\n')
  await until('it is released', async () => (await app.inject('/released')).json().released.length === 1)
})

test('README: a generator that waits for events is stopped when its client disconnects', async (t) => {
  const [code] = page.codeOf('Stopping a source', 'ts')
  const app = await runApp(t, tenLines({ after: `${code}\napp.get('/listeners', () => orders.listenerCount('created'))\napp.post('/new-orders', () => { orders.emit('created', { id: 7 }); return {} })` }))
  const listeners = async () => Number((await app.inject('/listeners')).body)
  const stream = await injectSSE(app, { url: '/new-orders' })
  await until('it listens', async () => await listeners() === 1)
  await app.inject({ method: 'POST', url: '/new-orders' })
  t.strictSame(await stream.next(), { id: undefined, event: 'created', data: '{"id":7}' })
  stream.close()
  await until('it listens no more', async () => await listeners() === 0)
})

test('README: a gateway passes on the events of another server', async (t) => {
  const other = await makeApp(t, {}, { forceCloseConnections: true })
  other.sseRoute<{ Body: { prompt: string } }>({
    method: 'POST',
    url: '/',
    items: 'data',
    end: '[DONE]',
    onRequest: async ({ headers }) => { if (headers.authorization !== 'Bearer secret') throw Object.assign(new Error('no key'), { statusCode: 401 }) },
    source: ({ body }) => body.prompt.split(' ').map((word) => ({ choices: [{ delta: { content: word } }] }))
  })
  const url = `http://127.0.0.1:${await listen(other)}/`
  const [code] = page.codeOf('Event streams of other servers', 'ts')
  const gateway = (key: string) => runApp(t, tenLines({ after: `const upstream = ${JSON.stringify({ url, key })}\n${code}` }))
  const request = { method: 'POST', url: '/v1/chat/completions', payload: { prompt: 'a b' } } as const
  t.equal((await (await gateway('secret')).inject(request)).body, 'data: {"choices":[{"delta":{"content":"a"}}]}\n\ndata: {"choices":[{"delta":{"content":"b"}}]}\n\ndata: [DONE]\n\n')
  t.match((await (await gateway('wrong')).inject(request)).json(), { statusCode: 401, code: 'SSE_ERR_UPSTREAM' })
})

test('README: a route without a type provider sends events of its types', async (t) => {
  const [, code = ''] = page.codeOf('TypeScript', 'ts')
  const app = await runApp(t, code)
  t.equal((await app.inject('/orders/42')).body, 'event: order\ndata: {"id":"42"}\n\n')
})

test('README: events for a user reach all tabs, also after a reconnect, until the user signs out', async (t) => {
  const userOf = 'const userOf = ({ headers }) => { if (!headers.user) throw Object.assign(new Error(\'sign in\'), { statusCode: 401 }); return headers.user }'
  const [code] = page.codeOf('Who gets what', 'ts')
  const app = await runApp(t, tenLines({ after: `${userOf}\n${code}` }))
  const inbox = (user: string, lastEventId?: string) => injectSSE(app, { url: '/inbox', headers: { user, ...lastEventId !== undefined && { 'last-event-id': lastEventId } } })
  const tabs = [await inbox('ann'), await inbox('ann')]
  const bob = await inbox('bob')

  const ids: string[] = []
  for (let i = 0; i < 2; i++) ids.push((await app.inject({ method: 'POST', url: '/greetings' })).body)
  const mails = ids.map((id) => ({ id, event: 'mail', data: '{"from":"Bob","text":"Hello"}' }))
  for (const tab of tabs) t.strictSame(await take(tab, 2), mails)
  const back = await inbox('ann', ids[0])
  t.strictSame(await back.next(), mails[1])

  await app.inject({ method: 'POST', url: '/sign-out', headers: { user: 'ann' } })
  for (const tab of [...tabs, back]) t.equal(await tab.next(), undefined)
  await until('one stream', () => app.sse.streams.size === 1)
  t.match(app.sse.stats(), { active: 1, sent: 5, closed: { server: 3 } }, 'nothing was another\'s')
  await t.rejects(inbox(''), { code: 'SSE_ERR_NO_STREAM', statusCode: 401 })
  bob.close()
})

test('README: the bytes of a stream with topics are those shown, from the opening to the id line of a heartbeat', async (t) => {
  const [shown] = page.codeOf('Ids', '')
  const app = await makeApp(t, { heartbeat: 50 })
  const published: string[] = []
  app.sseRoute('/', {
    topics: ['order:42'],
    onConnect: async () => {
      published.push(await app.sse.publish('order:42', { event: 'shipped', data: { carrier: 'DHL' } }), ...await publishAll(app, 'order:41', 'a', 'b', 'c'))
    }
  })
  const client = await open(t, await listen(app), '/')
  await client.until('\n\n', 3)
  const text = client.text.slice(0, shown.length + 100)
  t.equal(withoutIds(text.split('\n\n', 3).join('\n\n')), withoutIds(shown).trimEnd())
  t.strictSame(idsOf(text).slice(1, 3), [published[0], published[3]])
  t.strictSame(idsOf(shown), sorted(idsOf(shown)))
})

test('README, Gaps: the bytes of a gap are those shown', async (t) => {
  const [shown] = page.codeOf('Gaps', '')
  const app = await makeApp(t, { history: { size: 1 } })
  app.sseRoute('/', { topics: ['a'] })
  const [seen = '', left = '', held = ''] = await publishAll(app, 'a', '0', '1', '2')
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': seen } })
  await client.until('data: 2\n\n')
  const [opening, gap = '', event] = client.text.split('\n\n')
  t.equal(withoutIds(gap), withoutIds(shown).trimEnd())
  t.strictSame(idsIn(gap), [left, seen, held])
  t.strictSame([opening, event], [`id: ${seen}`, `id: ${held}\ndata: 2`])
  const [shownLeft = '', shownSeen = '', shownHeld = ''] = idsIn(shown)
  t.strictSame([shownSeen, shownLeft, shownHeld], sorted(idsIn(shown)))
})

test('README, Slow clients: the bytes for a slow client with overflow: drop are those shown', async (t) => {
  const [shown] = page.codeOf('Slow clients', '')
  const app = await makeApp(t, { overflow: 'drop', maxBufferedBytes: 50_000 })
  app.get('/', async (request, reply) => {
    const stream = reply.sse()
    for (; app.sse.stats().dropped === 0; await turn()) stream.send('x'.repeat(50_000))
  })
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': '7' } })
  client.pause()
  await until('an event to be left out', () => app.sse.stats().dropped > 0)
  client.resume()
  await client.until('event: gap')
  await client.until(`${shown}\n`)
})
