import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { until } from '../helpers/until.js'
import type { Client, ClientName } from './clients.js'

const BODY = 'data: é\n\n'

/** Statuses that are not a stream, although content type and body are one's. */
const STATUSES = [201, 202, 204, 206, 300, 304, 305, 400, 401, 403, 404, 406, 410, 429, 500, 502, 503, 504]
/** Temporary statuses: our client reconnects after them, an EventSource does not. */
const PASSING = [429, 500, 502, 503, 504]

/** Content types, whether they are a stream, and the clients that deviate. */
const TYPES: Array<[type: string, isStream: boolean, deviates?: ClientName[], because?: string]> = [
  ['text/event-stream', true],
  ['text/event-stream;charset=utf-8', true],
  ['text/event-stream; charset=UTF-8', true],
  ['text/event-stream; charset="utf-8"', true],
  ['TEXT/Event-Stream', true, ['eventsource'], 'the letters have to be small'],
  ['text/event-stream;', true],
  ['text/event-stream ;x=y', true],
  ['text/event-stream;charset=windows-1251', true, ['Chromium'], 'a charset has to be UTF-8'],
  ['text/plain', false],
  ['application/json', false],
  ['text/event-streams', false, ['eventsource'], 'only the beginning is looked at'],
  ['text/event-stream-x', false, ['eventsource'], 'only the beginning is looked at'],
  ['text/x-event-stream', false],
  ['text', false],
  ['', false]
]

const REDIRECTS = [301, 302, 303, 307, 308]

/** Serves each answer at its own path, which ends in the client's name. Returns the number of requests by path. */
export function serveAnswers (app: FastifyInstance): Map<string, number> {
  const asked = new Map<string, number>()
  app.addHook('onRequest', async ({ url }) => { asked.set(url, (asked.get(url) ?? 0) + 1) })
  app.get<{ Params: { status: string } }>('/status/:status/:client', ({ params }, reply) => {
    reply.code(Number(params.status)).type('text/event-stream').send(params.status === '204' ? undefined : BODY)
  })
  app.get<{ Params: { place: string } }>('/type/:place/:client', ({ params }, reply) => {
    const [type = ''] = TYPES[Number(params.place)] ?? []
    reply.hijack().raw.writeHead(200, type === '' ? {} : { 'content-type': type }).end(BODY)
  })
  app.get<{ Params: { status: string, client: string } }>('/redirect/:status/:client', ({ params }, reply) => {
    reply.redirect(`/redirected/${params.status}/${encodeURIComponent(params.client)}`, Number(params.status))
  })
  app.sseRoute('/redirected/:status/:client', { retry: 1, source: () => ['é'] })
  app.sseRoute('/far/:client', { source: () => [{ retry: 10_000_000_000 }] })
  app.sseRoute({ method: 'POST', url: '/post/:client', source: () => ['é'] })
  return asked
}

const at = (path: string, { name }: Client) => `/${path}/${encodeURIComponent(name)}`

/** Asserts that a client gives up at a status other than 200. */
export async function stopsAtStatus (t: Test, client: Client, origin: string, asked: Map<string, number>): Promise<void> {
  for (const status of STATUSES) {
    const path = at(`status/${status}`, client)
    const followed = await client.follow(origin + path)
    const name = `${client.name}: ${status}`
    if (client.name === 'our client' && PASSING.includes(status)) {
      await until(`${name}, a second request`, () => Number(asked.get(path)) > 1)
    } else {
      await until(`${name}, the end`, async () => (await followed.seen()).over)
      t.equal(asked.get(path), 1, name)
    }
    const { events, opened } = await followed.seen()
    t.strictSame([events, opened], [[], 0], `${name}: no event`)
    await followed.close()
  }
}

/** Asserts that a client decides by the content type alone. */
export async function looksAtType (t: Test, client: Client, origin: string): Promise<void> {
  for (const [place, [type, isStream, deviates = [], because]] of TYPES.entries()) {
    const deviation = deviates.includes(client.name) ? `: ${because}` : ''
    const name = `${client.name}: ${type}${deviation}`
    const followed = await client.follow(origin + at(`type/${place}`, client))
    await until(name, async () => {
      const { events, over } = await followed.seen()
      return events.length > 0 || over
    })
    const [event] = (await followed.seen()).events
    t.equal(event?.data, isStream !== (deviation !== '') ? 'é' : undefined, name)
    await followed.close()
  }
}

/** Clients that reconnect to the target of a redirect, because the request of an EventSource keeps that url. The others start again at the first url. */
const STAY_REDIRECTED: ClientName[] = ['Chromium', 'undici']

/** Asserts that a client follows a redirect and reconnects. */
export async function followsRedirects (t: Test, client: Client, origin: string, asked: Map<string, number>): Promise<void> {
  for (const status of REDIRECTS) {
    const path = at(`redirect/${status}`, client)
    const followed = await client.follow(origin + path)
    await until(`${client.name}: ${status} once more`, () => Number(asked.get(at(`redirected/${status}`, client))) > 1)
    t.equal(Number(asked.get(path)) > 1, !STAY_REDIRECTED.includes(client.name), `${client.name}: ${status}, asked for again`)
    const [event] = (await followed.seen()).events
    t.equal(event?.data, 'é', `${client.name}: ${status}`)
    await followed.close()
  }
}

/** Asserts that a client waits for a `retry:` beyond the range of timers. Two deviate and reconnect at once. */
export async function staysAway (t: Test, clients: Client[], origin: string, asked: Map<string, number>): Promise<void> {
  const deviating: ClientName[] = ['eventsource', 'undici']
  const paths = clients.map((client) => at('far', client))
  const followed = await Promise.all(clients.map((client, i) => client.follow(origin + paths[i])))
  for (const [i, { name }] of clients.entries()) {
    if (deviating.includes(name)) await until(`${name} to come back`, () => Number(asked.get(paths[i]!)) > 3)
    else await until(`${name} to be told of the end`, async () => (await followed[i]!.seen()).failed === 1)
  }
  for (const [i, { name }] of clients.entries()) t.equal(Number(asked.get(paths[i]!)) > 1, deviating.includes(name), name)
  await Promise.all(followed.map((one) => one.close()))
}

/** Asserts that a route for POST refuses the GET of a client. */
export async function asksByGet (t: Test, client: Client, origin: string): Promise<void> {
  const followed = await client.follow(origin + at('post', client))
  await until(`${client.name}: the end`, async () => (await followed.seen()).over)
  t.strictSame((await followed.seen()).events, [], client.name)
}
