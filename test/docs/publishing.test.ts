import { test } from 'tap'
import { compareEventIds } from '../../lib/event/id.js'
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

test('a new client is sent the state, a client that resumes is not', async (t) => {
  const [code] = page.codeOf('Send the state when a stream opens', 'ts')
  const app = await runApp(t, tenLines({ before: 'const stateOf = async (id) => ({ id, state: \'new\' })', after: code }))
  const fresh = await injectSSE(app, { url: '/parcels/7' })
  t.match(await fresh.next(), { event: 'state', data: '{"id":"7","state":"new"}' })
  const [, missed] = [await app.sse.publish('parcel:7', 'first'), await app.sse.publish('parcel:7', 'second')]
  const { id } = await fresh.next() ?? {}
  const resumed = await injectSSE(app, { url: '/parcels/7', headers: { 'last-event-id': String(id) } })
  t.match(await resumed.next(), { id: missed, data: 'second' })
  for (const stream of [fresh, resumed]) stream.close()
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
    SSE_ERR_CLIENT_ID: app.sse.sendTo('', 'x')
  }
  for (const [code, promise] of Object.entries(codes)) {
    await t.rejects(promise, { code })
    t.match(page.sectionOf('Members of app.sse'), `\`${code}\``, code)
  }
  await app.close()
  await t.rejects(app.sse.broadcast('x'), { code: 'SSE_ERR_CLOSING' })
})

test('the page names every member of app.sse and every count of stats()', async (t) => {
  const app = await makeApp(t)
  const members = [...Object.getOwnPropertyNames(Object.getPrototypeOf(app.sse)), ...Object.keys(app.sse)].filter((name) => name !== 'constructor')
  t.strictSame(page.headings.filter(({ line, level }) => level === 3 && line > (page.headings.find(({ title }) => title === 'Members of app.sse')?.line ?? NaN)).map(({ title }) => title).sort(), members.sort())
  for (const name of Object.keys(app.sse.stats())) t.not(page.rowOf(name)[2], undefined, name)
  t.equal(privatePartsOf(app.sse).registry.streams, app.sse.streams)
})
