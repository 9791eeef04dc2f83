import { readdirSync, readFileSync } from 'node:fs'
import { get, type IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { testRedis } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'
import { pairs, startExample, take } from './program.js'

const folder = fileURLToPath(new URL('../../examples', import.meta.url))
const files = readdirSync(folder).filter((name) => name.endsWith('.ts'))

// most of the time passes while the processes start
t.jobs = 4

t.test('each example has 10 to 40 lines, begins with a comment, is listed in examples/README.md and is started by a test', (t) => {
  const list = readFileSync(join(folder, 'README.md'), 'utf8')
  const tests = ['examples.test.ts', 'recipes.long.test.ts'].map((name) => readFileSync(fileURLToPath(new URL(name, import.meta.url)), 'utf8')).join('')
  for (const file of files) {
    const lines = readFileSync(join(folder, file), 'utf8').trimEnd().split('\n')
    t.ok(lines.length >= 10 && lines.length <= 40, `${file}: ${lines.length} lines`)
    t.match(lines[0], /^\/\/ [A-Z].*/, file)
    t.match(list, `[${file}](${file})`)
    t.match(tests, `startExample(t, '${file.replace('.ts', '')}'`)
  }
  for (const [, file = ''] of list.matchAll(/\]\(([\w-]+\.ts)\)/g)) t.ok(files.includes(file), file)
  t.end()
})

function post (url: string, body: string, type = 'text/plain'): Promise<Response> {
  return fetch(url, { method: 'POST', headers: { 'content-type': type }, body })
}

t.test('hello sends the time once per second', async (t) => {
  const url = await startExample(t, 'hello').url()
  const times = (await take(await fetch(`${url}/time`), 2)).map(({ data }) => Date.parse(data))
  t.ok(Number(times[1]) - Number(times[0]) > 900, `${times}`)
})

t.test('source sends its tokens and ends, and stops when the client disconnects', async (t) => {
  const program = startExample(t, 'source')
  const url = await program.url()
  const tokens = ['Events', ' leave', ' one', ' by', ' one.'].map((token) => ['token', token])
  t.strictSame(pairs(await take(await fetch(`${url}/chat`, { method: 'POST' }), Infinity)), [...tokens, ['done', '']])
  await until('the generator has ended', () => program.output().includes('5 tokens sent'))
  t.strictSame(pairs(await take(await fetch(`${url}/chat`, { method: 'POST' }), 1)), tokens.slice(0, 1))
  await until('the generator was stopped', () => /\n[12] tokens sent/.test(program.output()))
})

t.test('resumable-chat goes on without its reader, and can be read again and stopped', async (t) => {
  const url = `${await startExample(t, 'resumable-chat').url()}/chats/7`
  t.equal((await fetch(url)).status, 204)
  const [first] = await take(await fetch(url, { method: 'POST' }), 1)
  t.match(first, { event: 'token', data: 'This' })
  const text = 'This answer goes on without you. Reload the page, read it on a second device, or stop it for all of them.'
  const tokens = text.split(/(?= )/).map((token) => ['token', token])
  const [whole, rest] = await Promise.all([null, first?.id ?? ''].map(async (id) => take(await fetch(url, id === null ? {} : { headers: { 'last-event-id': id } }), Infinity)))
  t.strictSame(pairs(whole ?? []), [...tokens, ['done', '']])
  t.strictSame(pairs(rest ?? []), [...tokens.slice(1), ['done', '']])
  const again = await fetch(url, { method: 'POST' })
  t.strictSame(await (await fetch(url, { method: 'DELETE' })).json(), { stopped: true })
  t.strictSame((await take(again, Infinity)).at(-1)?.event, 'done')
})

t.test('jobs runs a job without a reader, and sends its progress', async (t) => {
  const url = `${await startExample(t, 'jobs').url()}/imports/books`
  t.equal((await fetch(url)).status, 404)
  const [first, second] = [await fetch(url, { method: 'POST' }), await fetch(url, { method: 'POST' })]
  t.equal(first.status, 202)
  t.equal(Object(await first.json()).id, Object(await second.json()).id, 'one job')
  const rows = [100, 200, 300, 400, 500].map((rows) => ['progress', JSON.stringify({ rows })])
  t.strictSame(pairs(await take(await fetch(`${url}/events`), Infinity)), [...rows, ['done', '']])
  t.match(await (await fetch(url)).json(), { key: 'books', state: 'done', events: 6 })
})

t.test('topics sends published events, and replays missed ones after a reconnect', async (t) => {
  const url = `${await startExample(t, 'topics').url()}/rooms/lobby`
  const say = async (text: string) => (await post(url, JSON.stringify({ text }), 'application/json')).json()
  const stream = await fetch(url)
  const { id } = Object(await say('Hello'))
  t.match(await take(stream, 1), [{ id, event: 'message', data: '{"text":"Hello"}' }])
  await say('Is anybody here?')
  t.strictSame(pairs(await take(await fetch(url, { headers: { 'last-event-id': id } }), 1)), [['message', '{"text":"Is anybody here?"}']])
})

t.test('typed-topics sends the declared events of one order', async (t) => {
  const url = await startExample(t, 'typed-topics').url()
  const [stream, other] = [await fetch(`${url}/orders/7`), await fetch(`${url}/orders/8`)]
  const events = [['packed', '{"parcels":2}'], ['shipped', '{"carrier":"DHL"}']]
  for (const order of [7, 8]) t.equal((await fetch(`${url}/orders/${order}/packed`, { method: 'POST' })).status, 200)
  t.strictSame(pairs(await take(stream, 2)), events)
  t.strictSame(pairs(await take(other, 2)), events)
})

t.test('rewind sends new clients the last goal, and the score in place of lost goals', async (t) => {
  const url = await startExample(t, 'rewind').url()
  const goal = async (team: string) => Object(await (await fetch(`${url}/goals/${team}`, { method: 'POST' })).json()).id
  const first = await goal('home')
  for (const team of ['home', 'home', 'guests', 'home']) await goal(team)
  t.strictSame(pairs(await take(await fetch(`${url}/score`), 1)), [['goal', '{"home":4,"guests":1}']])
  const events = await take(await fetch(`${url}/score`, { headers: { 'last-event-id': first } }), 4)
  t.strictSame(events.map(({ event }) => event), ['snapshot', 'goal', 'goal', 'goal'])
  t.equal(events[0]?.data, '{"home":4,"guests":1}')
})

t.test('by-hand counts down and closes its stream', async (t) => {
  const url = await startExample(t, 'by-hand').url()
  t.strictSame(pairs(await take(await fetch(`${url}/countdown?from=2`), Infinity)), [['left', '2'], ['left', '1'], ['start', '']])
})

t.test('reply-source answers with a stream or with 404', async (t) => {
  const url = await startExample(t, 'reply-source').url()
  const events = await take(await fetch(`${url}/reports/1`), Infinity)
  t.strictSame(pairs(events), [['row', '{"name":"Kettles"}'], ['row', '{"name":"Teapots"}'], ['end', '{"rows":2}']])
  t.equal((await fetch(`${url}/reports/9`)).status, 404)
})

t.test('typed-events sends its events and documents them', async (t) => {
  const url = await startExample(t, 'typed-events').url()
  const events = await take(await fetch(`${url}/orders/7`), Infinity)
  t.strictSame(pairs(events), [['packed', '{"order":7,"parcels":2}'], ['shipped', '{"order":7,"carrier":"DHL"}']])
  const document = await (await fetch(`${url}/openapi.json`)).text()
  t.match(document, '"text/event-stream"')
  t.match(document, '"carrier"')
})

t.test('shared-interval gives all clients of a city the same payload', async (t) => {
  const url = `${await startExample(t, 'shared-interval').url()}/weather/oslo`
  const [one, other] = await Promise.all([fetch(url), fetch(url)])
  const [ours, theirs] = await Promise.all([take(one, 2), take(other, 3)])
  const data = ({ data }: { data: string }) => data
  t.ok(theirs.map(data).includes(String(ours[1]?.data)), 'the second payload of one is one of the other')
  t.match(ours[1]?.data, '"city":"oslo"')
})

t.test('slow-clients drops events for a client that does not read, and sends it a gap', async (t) => {
  const url = await startExample(t, 'slow-clients').url()
  const response = await new Promise<IncomingMessage>((resolve, reject) => get(`${url}/frames`, resolve).on('error', reject))
  t.teardown(() => response.destroy())
  await until('events were dropped', async () => Object(await (await fetch(`${url}/stats`)).json()).dropped > 0, 30_000)
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) {
    text = text.slice(-20) + chunk
    if (text.includes('event: gap')) break
  }
  t.match(text, 'event: gap')
})

t.test('client reconnects once and misses no event', async (t) => {
  const program = startExample(t, 'client')
  t.equal(await program.ended, 0)
  const lines = program.output().trim().split('\n').slice(1)
  t.match(lines, ['attempt 1, after nothing', 'tick 1', 'tick 2', 'tick 3', /^reconnects in \d+ ms$/, 'attempt 2, after an event', 'tick 4', 'tick 5', 'tick 6'])
  t.equal(lines.length, 9)
})

testRedis('redis: one process sends what another publishes', async (t, { url: REDIS_URL }) => {
  const programs = [startExample(t, 'redis', { REDIS_URL }), startExample(t, 'redis', { REDIS_URL })]
  const [one, other] = await Promise.all(programs.map(({ url }) => url()))
  const stream = await fetch(`${one}/news`)
  t.equal((await post(`${other}/news`, 'Hello')).status, 200)
  t.match(pairs(await take(stream, 1)), [['message', /^\{"text":"Hello","from":\d+\}$/]])
})

t.test('metrics counts open streams and sent events', async (t) => {
  const url = await startExample(t, 'metrics').url()
  await take(await fetch(`${url}/time`), 1)
  const sent = 'sse_events_sent_total{service="time",route="/time"} 1'
  await t.resolves(until('the event is counted', async () => (await (await fetch(`${url}/metrics`)).text()).includes(sent)))
})

t.test('testing passes its own tests', async (t) => {
  const program = startExample(t, 'testing')
  t.equal(await program.ended, 0, program.output())
  t.match(program.output(), /(#|ℹ) pass 2/)
})

t.test('limits-and-sign-in refuses strangers and a third stream, and sends to one user', async (t) => {
  const url = await startExample(t, 'limits-and-sign-in').url()
  const open = (name: string) => fetch(`${url}/inbox`, { headers: { authorization: `Bearer ${name}-token` } })
  t.equal((await open('eve')).status, 401)
  const [one, , bob] = [await open('ada'), await open('ada'), await open('bob')]
  const third = await open('ada')
  t.equal(third.status, 429)
  t.ok(third.headers.has('retry-after'))
  await post(`${url}/users/ada`, 'Tea is ready')
  await post(`${url}/users/bob`, 'Coffee too')
  t.strictSame(pairs(await take(one, 1)), [['notice', 'Tea is ready']])
  t.strictSame(pairs(await take(bob, 1)), [['notice', 'Coffee too']])
})
