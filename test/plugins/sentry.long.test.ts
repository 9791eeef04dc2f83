import * as Sentry from '@sentry/node'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import { type Client, open, until } from '../helpers/app.js'
import { answerOf, inBothOrders, openAll, reach } from './orders.js'

interface Captured {
  message: string
  exception: { values: { value: string, mechanism: unknown }[] }
  contexts: { trace: { trace_id: string } }
  tags: Record<string, string>
}

interface SentSpan {
  name: string
  trace_id: string
  is_segment: boolean
  status: string
}

/** Envelopes that would have been sent to Sentry. */
const sent: { events: Captured[], spans: SentSpan[] } = { events: [], spans: [] }

/** Reads an envelope: a line of JSON, then two for each item, its header and itself. */
function keep (body: string | Uint8Array): void {
  const [, ...lines] = String(typeof body === 'string' ? body : Buffer.from(body)).split('\n').filter(Boolean).map((line) => JSON.parse(line))
  for (let n = 0; n < lines.length; n += 2) {
    if (lines[n].type === 'event') sent.events.push(lines[n + 1])
    if (lines[n].type === 'span') sent.spans.push(...lines[n + 1].items)
  }
}

Sentry.init({
  dsn: 'http://key@127.0.0.1:9/1',
  tracesSampleRate: 1,
  // the clients run in the same process, so that one trace would contain all of them
  tracePropagationTargets: [],
  transport: (options) => Sentry.createTransport(options, async ({ body }) => {
    keep(body)
    return { statusCode: 200 }
  })
})

const user = () => String(Sentry.getIsolationScope().getScopeData().tags.user)
const capture = (error: Error) => { Sentry.captureException(error) }
const traceOf = ({ response }: Client) => String(response.headers['x-trace'])

function declare (app: FastifyInstance): void {
  app.addHook('onRequest', async (request, reply) => {
    Sentry.setTag('user', (request.query as { user?: string }).user)
    reply.header('x-trace', Sentry.getActiveSpan()?.spanContext().traceId)
  })
  app.sseRoute('/interval', { interval: 10, payload: user, onDisconnect: () => { Sentry.captureMessage(`${user()} left`) } })
  const source = async function * () { yield user(); throw new Error('source') }
  app.sseRoute('/failing', { source, onError: capture })
  app.sseRoute('/logged', { source })
  app.sseRoute('/refused', { topics: () => { throw new Error('topics') } })
  app.get('/by-hand', async (request, reply) => {
    await reply.sse({ onError: capture }).send(user())
    throw new Error('hand')
  })
}

/** Returns the events of a client's request. */
const eventsOf = (client: Client) => sent.events.filter(({ contexts }) => contexts.trace.trace_id === traceOf(client))

/** Resolves to the span of a request when it has ended. */
async function spanOf (client: Client): Promise<SentSpan | undefined> {
  await Sentry.flush()
  return sent.spans.find((span) => span.is_segment && span.trace_id === traceOf(client))
}

test('@sentry/node', async (t) => {
  const apps = await inBothOrders(t, (app) => Sentry.setupFastifyErrorHandler(app), { routes: declare })

  await t.test('@sentry/node ends the span of a request with its stream', async (t) => {
    const clients = await openAll(t, apps)
    await reach(apps, clients, 'on')
    for (const client of clients) t.equal(await spanOf(client), undefined)
    for (const client of clients) client.disconnect()
    for (const client of clients) {
      await until('the end', () => spanOf(client))
      t.match(await spanOf(client), { name: /^GET \/(route|hand)$/, status: 'ok' })
    }
  })

  for (const { port } of apps) {
    await t.test('callbacks run in the scope of their request', async (t) => {
      const clients = await Promise.all(['ann', 'bob'].map((name) => open(t, port, `/interval?user=${name}`)))
      for (const client of clients) await client.until('data: ', 4)
      t.strictSame(clients.map(({ text }) => [...new Set(text.match(/(?<=data: )\w+/g))]), [['ann'], ['bob']])
      for (const client of clients) client.disconnect()
      for (const [client, name] of [[clients[0], 'ann'], [clients[1], 'bob']] as [Client, string][]) {
        await until('its message', () => eventsOf(client).length > 0)
        t.match(eventsOf(client), [{ message: `${name} left`, tags: { user: name } }])
      }
    })

    await t.test('@sentry/node captures a failure before a stream opens, and one of an open stream if onError reports it', async (t) => {
      const [failing, byHand, logged, refused] = await Promise.all(['/failing', '/by-hand', '/logged', '/refused'].map((path) => open(t, port, `${path}?user=ann`))) as [Client, Client, Client, Client]
      for (const client of [failing, byHand, logged]) t.notOk(await client.finished())
      t.match(await answerOf(refused), { status: 500 })
      for (const client of [failing, byHand, refused]) await until('its event', () => eventsOf(client).length > 0)
      t.match(eventsOf(failing), [{ exception: { values: [{ value: 'source' }] }, tags: { user: 'ann' } }])
      t.match(eventsOf(byHand), [{ exception: { values: [{ value: 'hand' }] }, tags: { user: 'ann' } }])
      t.match(eventsOf(refused), [{ exception: { values: [{ value: 'topics', mechanism: { type: 'auto.function.fastify' } }] } }])
      t.strictSame(eventsOf(logged), [])
    })
  }
})
