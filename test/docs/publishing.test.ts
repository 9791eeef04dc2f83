import { test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
import { readPluginOptions } from '../../lib/options/read.js'
import { injectSSE } from '../../lib/testing.js'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { follow, idsOf, privatePartsOf, publishAll, serveTopics, take } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { runApp, tenLines } from './run.js'

const page = pageOf('docs/publishing.md')

const ID = /\d{13}-\d+/g
const withoutIds = (text: string) => text.replaceAll(ID, 'ID')
const idsIn = (text: string) => text.match(ID) ?? []

test('an order\'s stream gets the events of its topic, and after a reconnect the missed ones', async (t) => {
  const [code] = page.codeOf('To a topic', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  const post = (id: string) => app.inject({ method: 'POST', url: `/orders/${id}/parcels`, payload: { carrier: 'DHL' } })
  const order = await injectSSE(app, { url: '/orders/42' })
  await post('41')
  const { id } = (await post('42')).json()
  t.strictSame(await order.next(), { id, event: 'shipped', data: '{"carrier":"DHL"}' })
  order.close()
  const missed = (await post('42')).json().id
  const back = await injectSSE(app, { url: '/orders/42', headers: { 'last-event-id': id } })
  t.strictSame(await back.next(), { id: missed, event: 'shipped', data: '{"carrier":"DHL"}' })
  back.close()
})

test('a broadcast reaches the clients of a route with an empty list of topics, also after a reconnect', async (t) => {
  const [code] = page.codeOf('To all streams', 'ts')
  const app = await runApp(t, tenLines({ after: `${code}\napp.post('/announce', async () => { await announce('x'); return {} })` }))
  const client = await open(t, await listen(app), '/news')
  await client.until('event: hello')
  t.match(client.text, /^id: .*\n\nevent: hello\ndata: \{"since":null\}\n\n$/)
  const [id = ''] = idsOf(client.text)
  client.disconnect()
  await app.inject({ method: 'POST', url: '/announce' })
  const news = await injectSSE(app, { url: '/news', headers: { 'last-event-id': id } })
  t.match(await take(news, 2), [{ event: 'hello', data: JSON.stringify({ since: id }) }, { event: 'news', data: 'x' }])
  news.close()
})

test('events for a user reach all tabs, also after a reconnect, until the user signs out; after that the user is refused', async (t) => {
  const sessions = 'const ended = new Set(); const endSession = async ({ headers }) => { ended.add(headers.user) }; const userOf = ({ headers }) => { if (!headers.user || ended.has(headers.user)) throw Object.assign(new Error(\'sign in\'), { statusCode: 401 }); return headers.user }'
  const [code] = page.codeOf('To one user', 'ts')
  const app = await runApp(t, tenLines({ after: `${sessions}\n${code}` }))
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
  for (const user of ['', 'ann']) await t.rejects(inbox(user), { code: 'SSE_ERR_NO_STREAM', statusCode: 401 }, `"${user}" has no session`)
  bob.close()
})

test('an event for several topics reaches a stream once', async (t) => {
  const [code] = page.codeOf('To several topics', 'ts')
  const app = await runApp(t, tenLines({ after: `${code}\napp.post('/reassign', async () => { await reassign('42', 'ann', 'bob'); return {} })` }))
  serveTopics(app)
  const streams = await Promise.all(['order:42,driver:bob', 'driver:ann', 'driver:bob', 'driver:eve'].map((topics) => follow(app, topics)))
  await app.inject({ method: 'POST', url: '/reassign' })
  await app.sse.broadcast('end')
  const reassigned = [{ event: 'reassigned', data: '{"id":"42","to":"bob"}' }, { data: 'end' }]
  for (const stream of streams.slice(0, 3)) t.match(await take(stream, 2), reassigned)
  t.match(await streams[3]?.next(), { data: 'end' }, 'another topic')
  for (const stream of streams) stream.close()
})

test('an event with except does not reach the streams of its sender, also not in a replay', async (t) => {
  const [code] = page.codeOf('To everyone except the sender', 'ts')
  const app = await runApp(t, tenLines({ after: `${code}\napp.post('/say', async () => { await say('ann', 'Hello'); return {} })` }))
  app.sseRoute<{ Querystring: { user: string } }>('/room', { topics: ['room'], clientId: ({ query }) => query.user })
  const start = app.sse.lastEventId
  const connect = (user: string, lastEventId?: string) => follow(app, `/room?user=${user}`, lastEventId)
  const live = [await connect('ann'), await connect('bob')] as const
  await app.inject({ method: 'POST', url: '/say' })
  await app.sse.publish('room', 'end')
  for (const [ann, bob] of [live, [await connect('ann', start), await connect('bob', start)] as const]) {
    t.match(await ann.next(), { data: 'end' })
    t.match(await take(bob, 2), [{ event: 'said', data: '{"user":"ann","text":"Hello"}' }, { data: 'end' }])
    for (const stream of [ann, bob]) stream.close()
  }
})

test('unsubscribe removes a topic from the streams of a client id, which stay open', async (t) => {
  const app = await makeApp(t, { clientId: ({ headers }) => String(headers.user) })
  serveTopics(app)
  const [ann, bob] = await Promise.all(['ann', 'bob'].map((user) => injectSSE(app, { url: '/on/a,b', headers: { user } })))
  await app.sse.unsubscribe('ann', 'a')
  await publishAll(app, 'a', '1')
  await publishAll(app, 'b', '2')
  t.match(await ann?.next(), { data: '2' })
  t.match(await bob?.next(), { data: '1' })
  for (const stream of [ann, bob]) stream?.close()
})

test('close ends the streams of a client id after earlier events, and later streams stay open', async (t) => {
  const app = await makeApp(t, { clientId: ({ headers }) => String(headers.user) })
  serveTopics(app)
  const connect = () => injectSSE(app, { url: '/on/a', headers: { user: 'ann' } })
  const stream = await connect()
  await publishAll(app, 'a', 'before')
  await app.sse.close('ann')
  t.match(await stream.next(), { data: 'before' })
  t.equal(await stream.next(), undefined)
  const later = await connect()
  await publishAll(app, 'a', 'after')
  t.match(await later.next(), { data: 'after' })
  later.close()
})

test('a page that starts from its data misses no event', async (t) => {
  const [code] = page.codeOf('Start a page from its data', 'ts')
  const [route] = page.codeOf('To a topic', 'ts')
  // an event is published while the data is loaded
  const loading = 'const orderOf = async (id) => { await app.sse.publish(\'order:\' + id, \'while loading\'); return { id } }'
  const app = await runApp(t, tenLines({ after: `${loading}\n${route}\n${code}` }))
  await app.sse.publish('order:42', 'earlier')
  const { order, events } = (await app.inject('/orders/42/page')).json()
  t.strictSame(order, { id: '42' })
  const stream = await injectSSE(app, { url: events })
  t.match(await stream.next(), { data: 'while loading' })
  stream.close()
})

test('a busy topic does not shorten the replay of a quiet one, and the defaults of history are those of the page', async (t) => {
  const app = await makeApp(t, { history: { size: 5 }, heartbeat: false })
  serveTopics(app)
  const start = app.sse.lastEventId
  const [quiet] = await publishAll(app, 'quiet', 'x')
  await publishAll(app, 'busy', ...Array.from({ length: 50 }, String))
  const stream = await follow(app, 'quiet', start)
  t.match(await stream.next(), { id: quiet, data: 'x' })
  t.equal(app.sse.stats().gaps, 0)
  stream.close()
  t.strictSame(readPluginOptions({}).history, { size: 1_000, maxAge: 3_600_000, maxBytes: 64 * 2 ** 20 })
})

test('a gap comes at the place of the missing events', async (t) => {
  const app = await makeApp(t, { history: { size: 2 } })
  serveTopics(app)
  const start = app.sse.lastEventId
  const [quiet] = await publishAll(app, 'quiet', 'x')
  const busy = await publishAll(app, 'busy', '1', '2', '3', '4')
  const stream = await follow(app, 'busy,quiet', start)
  t.match(await take(stream, 4), [{ id: quiet, data: 'x' }, { id: busy[1], event: 'gap' }, { data: '3' }, { data: '4' }])
  stream.close()
})

test('with rewind a new client gets the last events of the topic first, without a gap', async (t) => {
  const [code] = page.codeOf('Send past events to new clients', 'ts')
  const app = await runApp(t, tenLines({ after: code }))
  await publishAll(app, 'chat', ...Array.from({ length: 25 }, (_, i) => `${i}`))
  await app.sse.broadcast('past broadcast')
  const fresh = await follow(app, '/chat')
  const [last = ''] = await publishAll(app, 'chat', 'new')
  const events = await take(fresh, 21)
  t.strictSame(events.map(({ data }) => data), [...Array.from({ length: 20 }, (_, i) => `${i + 5}`), 'new'])
  const back = await follow(app, '/chat', last)
  await publishAll(app, 'chat', 'newer')
  t.match(await back.next(), { data: 'newer' })
  t.equal(app.sse.stats().gaps, 0)
  for (const stream of [fresh, back]) stream.close()
})

test('onGap sends its event with the id of the gap, nothing for null, and the gap for undefined; an error aborts the stream', async (t) => {
  const app = await makeApp(t, { history: { size: 1 } })
  const errors: Error[] = []
  app.sseRoute('/event', { topics: ['a'], onGap: () => 'instead' })
  app.sseRoute('/null', { topics: ['a'], onGap: () => null })
  app.sseRoute('/undefined', { topics: ['a'], onGap: () => undefined })
  app.sseRoute('/error', { topics: ['a'], onGap: () => { throw new Error('x') }, onError: (error) => { errors.push(error) } })
  const ids = await publishAll(app, 'a', '0', '1', '2')
  const first = async (url: string) => (await follow(app, url, ids[0])).next()
  t.strictSame(await first('/event'), { id: ids[1], event: 'message', data: 'instead' })
  t.match(await first('/null'), { id: ids[2], data: '2' })
  t.match(await first('/undefined'), { id: ids[1], event: 'gap' })
  const client = await open(t, await listen(app), '/error', { headers: { 'last-event-id': ids[0] } })
  t.equal(await client.finished(), false)
  t.match(errors, [{ message: 'x' }])
})

test('the id 0-0 in the URL asks for a gap and then for all retained events of the stream', async (t) => {
  const app = await makeApp(t)
  serveTopics(app)
  const [first, second] = await publishAll(app, 'a', '1', '2')
  await app.sse.publish('b', 'of another topic')
  const stream = await injectSSE(app, { url: '/on/a?lastEventId=0-0' })
  t.match(await take(stream, 3), [{ event: 'gap', data: JSON.stringify({ lastEventId: '0-0', oldestId: first }) }, { id: first, data: '1' }, { id: second, data: '2' }])
  stream.close()
})

test('an id without the form of the log leads to no replay and no gap', async (t) => {
  const app = await makeApp(t)
  serveTopics(app)
  await publishAll(app, 'a', 'missed')
  const stream = await follow(app, 'a', '7')
  await app.sse.publish('a', 'new')
  t.match(await stream.next(), { event: 'message', data: 'new' })
  stream.close()
})

test('the bytes of a gap are those shown, and the table says what its fields are', async (t) => {
  const [shown] = page.codeOf('Gaps', '')
  const app = await makeApp(t, { history: { size: 1 } })
  app.sseRoute('/', { topics: ['a'] })
  const [seen = '', missed = '', retained = ''] = await publishAll(app, 'a', '0', '1', '2')
  const port = await listen(app)
  const client = await open(t, port, '/', { headers: { 'last-event-id': seen } })
  await client.until('data: 2\n\n')
  const [opening, gap = '', event] = client.text.split('\n\n')
  t.equal(withoutIds(gap), withoutIds(shown).trimEnd())
  t.strictSame(idsIn(gap), [missed, seen, retained])
  t.strictSame([opening, event], [`id: ${seen}`, `id: ${retained}\ndata: 2`])
  const [shownMissed = '', shownSeen = '', shownRetained = ''] = idsIn(shown)
  t.strictSame([shownSeen, shownMissed, shownRetained], [...idsIn(shown)].sort(compareEventIds))
  for (const name of ['lastEventId', 'oldestId']) t.ok(page.rowOf(name).length > 0, name)

  const again = await open(t, port, '/', { headers: { 'last-event-id': missed } })
  await again.until('data: 2\n\n')
  t.notMatch(again.text, 'event: gap', 'the same gap is not sent twice')
})

test('with history: false a new client gets a gap for events published while its onConnect is awaited', async (t) => {
  const app = await makeApp(t, { history: false })
  app.sseRoute('/', { topics: ['a'], onConnect: async () => { await app.sse.publish('a', 'x') } })
  const stream = await injectSSE(app, { url: '/' })
  t.match(await stream.next(), { event: 'gap', data: /"oldestId":null/ })
  stream.close()
})

test('a new client is sent the state, a client that resumes is not, and a client that has missed events gets the state in place of the gap', async (t) => {
  const [code] = page.codeOf('Send the state when a stream opens', 'ts')
  const app = await runApp(t, tenLines({ before: 'const stateOf = async (id) => ({ id, state: \'new\' })', after: code }))
  const fresh = await injectSSE(app, { url: '/parcels/7' })
  t.match(await fresh.next(), { event: 'state', data: '{"id":"7","state":"new"}' })
  const [, missed] = [await app.sse.publish('parcel:7', 'first'), await app.sse.publish('parcel:7', 'second')]
  const { id } = await fresh.next() ?? {}
  const resumed = await injectSSE(app, { url: '/parcels/7', headers: { 'last-event-id': String(id) } })
  t.match(await resumed.next(), { id: missed, data: 'second' })
  await publishAll(app, 'parcel:7', ...Array<string>(1_001).fill('x'))
  const behind = await injectSSE(app, { url: '/parcels/7', headers: { 'last-event-id': String(id) } })
  t.match(await take(behind, 2), [{ event: 'state', data: '{"id":"7","state":"new"}' }, { data: 'x' }], 'the state in place of the gap')
  for (const stream of [fresh, resumed, behind]) stream.close()
})

test('the schema of a route shapes what it sends, and not what is published', async (t) => {
  const app = await makeApp(t)
  const price = { type: 'object', properties: { price: { type: 'number' } } } as const
  app.sseRoute('/', { topics: ['a'], events: { price }, onConnect: (_request, stream) => stream.send({ event: 'price', data: { price: 1, secret: 2 } }) })
  const stream = await injectSSE(app, { url: '/' })
  await app.sse.publish('a', { event: 'price', data: { price: 1, secret: 2 } })
  t.match(await take(stream, 2), [{ data: '{"price":1}' }, { data: '{"price":1,"secret":2}' }])
  stream.close()
})

test('publish, broadcast and sendTo reject with the error codes of the page', async (t) => {
  const app = await makeApp(t, { serializer: (data) => { if (data === 1) throw new Error('x'); return JSON.stringify(data) } })
  const codes = {
    SSE_ERR_TOPIC: app.sse.publish('', 'x'),
    SSE_ERR_PAYLOAD: app.sse.publish('a', {}),
    SSE_ERR_FIELD: app.sse.publish('a', { event: 'a\nb' }),
    SSE_ERR_SERIALIZATION: app.sse.publish('a', { data: 1 }),
    SSE_ERR_CUSTOM_ID: app.sse.publish('a', { id: 1, data: 'x' } as object),
    SSE_ERR_CLIENT_ID: app.sse.publish('a', 'x', { except: '' }),
    SSE_ERR_OPTION: app.sse.publish('a', 'x', { other: 1 } as object)
  }
  for (const [code, promise] of Object.entries(codes)) {
    await t.rejects(promise, { code })
    t.match(page.sectionOf('Members of app.sse'), `\`${code}\``, code)
  }
  await t.rejects(app.sse.sendTo('', 'x'), { code: 'SSE_ERR_CLIENT_ID' })
  await t.rejects(app.sse.publish([], 'x'), { code: 'SSE_ERR_TOPIC' })
  await app.close()
  await t.rejects(app.sse.broadcast('x'), { code: 'SSE_ERR_CLOSING' })
})

test('the page names every member of app.sse', async (t) => {
  const app = await makeApp(t)
  const members = [...Object.getOwnPropertyNames(Object.getPrototypeOf(app.sse)), ...Object.keys(app.sse)].filter((name) => name !== 'constructor')
  t.strictSame(page.headings.filter(({ line, level }) => level === 3 && line > (page.headings.find(({ title }) => title === 'Members of app.sse')?.line ?? NaN)).map(({ title }) => title).sort(), members.sort())
  t.equal(privatePartsOf(app.sse).registry.streams, app.sse.streams)
})
