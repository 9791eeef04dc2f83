import { appendFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { EventSourceMessage } from 'eventsource-parser/stream'
import t from 'tap'
import { testRedis } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'
import { readEvents } from '../integration/read-events.js'
import { pairs, startExample, take } from './program.js'

// most of the time passes while the processes start
t.jobs = 4

function as (name: string, lastEventId = ''): RequestInit {
  return { headers: { authorization: `Bearer ${name}-token`, ...(lastEventId === '' ? {} : { 'last-event-id': lastEventId }) } }
}

function post (url: string, { headers, body }: RequestInit = {}): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': 'text/plain', ...headers }, body })
}

/** Notes the events of a response while it is open. */
function follow (response: Response): { events: EventSourceMessage[], ended: Promise<void> } {
  const events: EventSourceMessage[] = []
  const ended = (async () => { for await (const event of readEvents(response)) events.push(event) })()
  ended.catch(() => {})
  return { events, ended }
}

t.test('live-dashboard sends each tenant its numbers and orders, and refuses strangers', async (t) => {
  const url = await startExample(t, 'live-dashboard').url()
  t.equal((await fetch(`${url}/dashboard`)).status, 401)
  const [ann, amy, bob] = (await Promise.all(['ann', 'amy', 'bob'].map((name) => fetch(`${url}/dashboard`, as(name))))).map(follow)
  t.equal((await post(`${url}/orders/250`, as('amy', ''))).status, 200)
  await until('the new numbers', () => ann?.events.at(-1)?.data.includes('250') && ann.events.length > 2 && amy?.events.at(-1)?.data === ann.events.at(-1)?.data)
  t.strictSame(ann?.events.filter(({ event }) => event === 'order').map(({ data }) => data), ['{"euros":250}'])
  await until('numbers of the other tenant', () => Number(bob?.events.length) > 1)
  t.ok(bob?.events.every(({ event, data }) => event === 'numbers' && data.includes('"revenue":0')))
  const [calls = [], others = []] = [ann, amy].map((stream) => stream?.events.filter(({ event }) => event === 'numbers').map(({ data }) => data))
  const both = Math.min(calls.length, others.length)
  t.strictSame(calls.slice(0, both), others.slice(0, both), 'streams of a tenant share each call')
})

t.test('order-tracking sends a snapshot to new clients, missed changes to others, and a snapshot in place of lost changes', async (t) => {
  const url = `${await startExample(t, 'order-tracking').url()}/orders`
  t.equal((await fetch(`${url}/8`)).status, 404)
  const stream = follow(await fetch(`${url}/7`))
  await until('the snapshot', () => stream.events.length === 1)
  for (const status of ['packed', 'shipped']) await post(`${url}/7/${status}`)
  await until('the changes', () => stream.events.length === 3)
  const changes = [['changed', '{"version":2,"status":"packed"}'], ['changed', '{"version":3,"status":"shipped"}']]
  t.strictSame(pairs(stream.events), [['snapshot', '{"version":1,"status":"paid"}'], ...changes])
  const packed = stream.events[1]?.id ?? ''
  t.strictSame(pairs(await take(await fetch(`${url}/7`, { headers: { 'last-event-id': packed } }), 1)), changes.slice(1))
  for (const status of ['near', 'nearer', 'delivered']) await post(`${url}/7/${status}`)
  const events = await take(await fetch(`${url}/7`, { headers: { 'last-event-id': packed } }), 4)
  t.strictSame(events.map(({ event, data }) => [event, JSON.parse(data).version]), [['snapshot', 6], ['changed', 4], ['changed', 5], ['changed', 6]])
})

t.test('revoked ends streams at sign-out and at the end of a session, and a topic at the end of a membership', async (t) => {
  const url = await startExample(t, 'revoked', { SESSION_MS: '3000' }).url()
  const open = (name: string) => fetch(`${url}/news`, as(name))
  const [ann, bob] = (await Promise.all([open('ann'), open('bob')])).map(follow)
  await post(`${url}/news`)
  await until('the news', () => ann?.events.length === 1 && bob?.events.length === 1)
  await fetch(`${url}/members/ann`, { method: 'DELETE' })
  await post(`${url}/news`)
  await until('the second news', () => bob?.events.length === 2)
  const again = follow(await fetch(`${url}/news`, as('ann', ann?.events[0]?.id)))
  await until('the replay', () => again.events.length === 1)
  await fetch(`${url}/sessions/ann`, { method: 'DELETE' })
  await Promise.all([ann?.ended, again.ended])
  t.strictSame(pairs(again.events), [['removed', 'from the members']], 'a reconnect replays no news')
  t.strictSame(pairs(ann?.events ?? []), [['news', 'for members'], ['removed', 'from the members']])
  t.equal((await open('ann')).status, 401)
  await bob?.ended
  t.equal((await open('bob')).status, 401)
})

t.test('tickets opens one stream for each ticket, and logs no ticket', async (t) => {
  const program = startExample(t, 'tickets')
  const url = await program.url()
  t.equal((await post(`${url}/tickets`)).status, 401)
  const ticketOf = async (name: string): Promise<string> => Object(await (await post(`${url}/tickets`, as(name))).json()).ticket
  const [ann, bob] = [await ticketOf('ann'), await ticketOf('bob')]
  const inbox = follow(await fetch(`${url}/inbox?ticket=${ann}`))
  const others = follow(await fetch(`${url}/inbox?ticket=${bob}`))
  for (const query of [`?ticket=${ann}`, '?ticket=guess', '']) t.equal((await fetch(`${url}/inbox${query}`)).status, 401, query)
  await post(`${url}/users/ann`)
  await until('the notice', () => inbox.events.length === 1)
  t.strictSame([pairs(inbox.events), others.events], [[['notice', 'Tea is ready']], []])
  const { id = '' } = inbox.events[0] ?? {}
  await post(`${url}/users/ann`)
  const again = await fetch(`${url}/inbox?ticket=${await ticketOf('ann')}&lastEventId=${id}`)
  t.strictSame(pairs(await take(again, 1)), [['notice', 'Tea is ready']], 'the missed notice')
  t.match(program.output(), '"url":"/inbox"')
  for (const ticket of [ann, bob, 'guess']) t.notMatch(program.output(), ticket)
  t.match(await (await fetch(url)).text(), 'EventSource')
})

t.test('log-viewer sends the lines of a level and above, the last ones first, and missed ones after a reconnect', async (t) => {
  const line = (level: number, msg: string) => JSON.stringify({ level, msg })
  const file = join(t.testdir({ 'app.log': `${line(30, 'one')}\n${line(50, 'two')}\n` }), 'app.log')
  const url = `${await startExample(t, 'log-viewer', { LOG_FILE: file }).url()}/logs`
  const [all, errors] = await Promise.all([fetch(url), fetch(`${url}?level=50`)]).then((responses) => responses.map(follow))
  await until('the last lines', () => all?.events.length === 2 && errors?.events.length === 1)
  await appendFile(file, `no JSON\n${line(20, 'three')}\n${line(30, 'four')}\n${line(50, 'five')}\n`)
  await until('the new lines', () => all?.events.length === 4 && errors?.events.length === 2)
  const lines = [line(30, 'one'), line(50, 'two'), line(30, 'four'), line(50, 'five')]
  t.strictSame(all?.events.map(({ data }) => data), lines)
  t.strictSame(errors?.events.map(({ data }) => data), [lines[1], lines[3]])
  const missed = await take(await fetch(url, { headers: { 'last-event-id': all?.events[1]?.id ?? '' } }), 2)
  t.strictSame(missed.map(({ data }) => data), lines.slice(2))
  // after a restart the ids are new
  const restarted = `${await startExample(t, 'log-viewer', { LOG_FILE: file }).url()}/logs`
  const again = await take(await fetch(restarted, { headers: { 'last-event-id': all?.events[1]?.id ?? '' } }), 5)
  t.strictSame([again[0]?.event, ...again.slice(1).map(({ data }) => data)], ['gap', ...lines])
})

t.test('presence counts a user with two tabs once, and does not show a reload', async (t) => {
  const url = `${await startExample(t, 'presence').url()}/room`
  const lists = ({ events }: { events: EventSourceMessage[] }) => events.map(({ event, data }) => `${event} ${data}`)
  const ann = follow(await fetch(url, as('ann')))
  const [tab, other] = [new AbortController(), new AbortController()]
  const bob = follow(await fetch(url, { ...as('bob'), signal: tab.signal }))
  await until('both', () => ann.events.length === 2)
  const second = follow(await fetch(url, { ...as('bob'), signal: other.signal }))
  await until('the list in the second tab', () => second.events.length === 1)
  t.strictSame(lists(second), ['online ["ann","bob"]'])
  t.strictSame(lists(bob).at(-1), 'online ["ann","bob"]')
  tab.abort()
  other.abort()
  // the reload
  const reload = new AbortController()
  const again = follow(await fetch(url, { ...as('bob', bob.events.at(-1)?.id), signal: reload.signal }))
  reload.abort()
  await until('one', () => lists(ann).at(-1) === 'online ["ann"]' && ann.events.length > 2)
  t.equal(again.events.length, 0, 'the reload has not changed the list')
  t.strictSame(lists(ann), ['online ["ann"]', 'online ["ann","bob"]', 'online ["ann"]'])
})

testRedis('presence-redis: users of all processes are online, until their process dies', async (t, { url: REDIS_URL }) => {
  const programs = [startExample(t, 'presence-redis', { REDIS_URL }), startExample(t, 'presence-redis', { REDIS_URL })]
  const [one, other] = await Promise.all(programs.map(({ url }) => url()))
  const ann = follow(await fetch(`${one}/room`, as('ann')))
  const bob = follow(await fetch(`${other}/room`, as('bob')))
  const last = () => ann.events.at(-1)?.data
  await until('both', () => last() === '["ann","bob"]')
  await until('both in the other process', () => bob.events.at(-1)?.data === last())
  programs[1]?.kill()
  await until('one', () => last() === '["ann"]')
})

t.test('llm-gateway passes on the events of the model, its refusal, and the disconnect of a client', async (t) => {
  const requests: Array<{ authorization: string | undefined, body: string, closed: boolean }> = []
  const model = createServer(async (request, response) => {
    const seen = { authorization: request.headers.authorization, body: '', closed: false }
    requests.push(seen)
    response.on('close', () => { seen.closed = true })
    for await (const part of request) seen.body += String(part)
    if (seen.body.includes('too often')) return response.writeHead(429).end('secret')
    response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: {"choices":[]}\n\n')
    if (!seen.body.includes('wait')) response.end('data: [DONE]\n\n')
  }).listen(0, '127.0.0.1')
  await once(model, 'listening')
  t.teardown(() => { model.close().closeAllConnections() })
  const MODEL_URL = `http://127.0.0.1:${(model.address() as AddressInfo).port}/`
  const url = `${await startExample(t, 'llm-gateway', { MODEL_URL, MODEL_KEY: 'sk-1' }).url()}/answers`
  const ask = (name: string, prompt: string, signal?: AbortSignal) => fetch(url, { method: 'POST', signal, headers: { ...as(name).headers, 'content-type': 'application/json' }, body: JSON.stringify({ prompt }) })
  t.equal((await ask('eve', 'Hello')).status, 401)
  t.strictSame(pairs(await take(await ask('ann', 'Hello'), Infinity)), [['message', '{"choices":[]}'], ['message', '[DONE]']])
  t.match(requests, [{ authorization: 'Bearer sk-1', body: '"stream":true' }])
  const refused = await ask('ann', 'too often')
  t.match([refused.status, await refused.json()], [429, { code: 'SSE_ERR_UPSTREAM' }])
  const [one, two] = [new AbortController(), new AbortController()]
  const responses = await Promise.all([ask('bob', 'wait', one.signal), ask('bob', 'wait', two.signal)])
  t.strictSame(responses.map(({ status }) => status), [200, 200])
  t.match([(await ask('bob', 'wait')).status, (await ask('ann', 'Hello')).status], [429, 200])
  one.abort()
  await until('the model is disconnected', () => requests.filter(({ body, closed }) => body.includes('wait') && closed).length === 1)
})

t.test('llm-gateway answers itself without MODEL_URL', async (t) => {
  const url = `${await startExample(t, 'llm-gateway').url()}/answers`
  const response = await fetch(url, { method: 'POST', headers: { ...as('ann').headers, 'content-type': 'application/json' }, body: '{"prompt":"Hello"}' })
  const data = (await take(response, Infinity)).map(({ data }) => data)
  t.equal(data.pop(), '[DONE]')
  t.equal(data.map((chunk) => JSON.parse(chunk).choices[0].delta.content).join(''), 'This is an answer.')
})

testRedis('worker publishes to the streams of an app, and goes on without Redis', async (t, { url: REDIS_URL }) => {
  const stream = follow(await fetch(`${await startExample(t, 'redis', { REDIS_URL }).url()}/news`))
  const worker = startExample(t, 'worker', { REDIS_URL })
  t.equal(await worker.ended, 0)
  await until('the events', () => stream.events.length === 3)
  t.strictSame(pairs(stream.events), [1, 2, 3].map((page) => ['rendered', JSON.stringify({ page, pages: 3 })]))
  const alone = startExample(t, 'worker', { REDIS_URL: 'redis://127.0.0.1:1' })
  t.equal(await alone.ended, 0)
  t.match(alone.output(), 'All pages are rendered')
})

testRedis('notifications reach all tabs of one user in all processes, and a client that reconnects to another process', async (t, { url: REDIS_URL }) => {
  const programs = [startExample(t, 'notifications', { REDIS_URL }), startExample(t, 'notifications', { REDIS_URL })]
  const [one = '', other = ''] = await Promise.all(programs.map(({ url }) => url()))
  t.equal((await fetch(`${one}/notifications`)).status, 401)
  const open = async (url: string, name: string) => follow(await fetch(`${url}/notifications`, as(name)))
  const [tab, tablet, bob] = [await open(one, 'ann'), await open(other, 'ann'), await open(one, 'bob')]
  const send = (name: string, text: string) => post(`${other}/users/${name}`, { body: text })
  await send('ann', 'Tea is ready')
  await send('bob', 'Coffee too')
  await until('the notifications', () => tab.events.length + tablet.events.length + bob.events.length === 3)
  t.strictSame([tab, tablet, bob].map(({ events }) => pairs(events)), [...Array(2).fill([['notification', '{"text":"Tea is ready"}']]), [['notification', '{"text":"Coffee too"}']]])
  await send('ann', 'It gets cold')
  const again = await fetch(`${other}/notifications`, as('ann', tab.events[0]?.id))
  t.strictSame(pairs(await take(again, 1)), [['notification', '{"text":"It gets cold"}']])
})

t.test('tabs serves a page and the script that shares the connection', async (t) => {
  const url = await startExample(t, 'tabs').url()
  t.match(await (await fetch(url)).text(), '<script type="module" src="/tabs.js">')
  const script = await (await fetch(`${url}/tabs.js`)).text()
  t.match(script, 'events of ')
  const stream = follow(await fetch(`${url}/events`))
  await post(`${url}/news`, { body: 'Tea is ready' })
  await until('the news', () => stream.events.length === 1)
  t.strictSame(await (await fetch(`${url}/streams`)).json(), { open: 1 })
})
