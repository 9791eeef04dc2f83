import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { connect } from 'node:http2'
import { get as getSecurely } from 'node:https'
import t, { type Test } from 'tap'
import { cert, key } from '../helpers/certificate.js'
import { Client, open, until } from '../helpers/app.js'
import { build, findRuntimes, runProgram, type Runtime } from './runtimes.js'

interface State {
  calls: string[]
  /** Items that the endless source gave. */
  produced: number
  streams: number
  rss: number
}

/** The apps of app.js, in a process of their own. */
interface Server {
  ports: Record<'http' | 'https' | 'http2', number>
  state: () => Promise<State>
  publish: (topic: string, data: string) => Promise<string>
  /** Has the apps close; resolves to how the process ends. */
  close: () => Promise<unknown[]>
}

const plugin = await build()

async function start (t: Test, runtime: Runtime): Promise<Server> {
  const program = runProgram(t, runtime, 'app.js', { PLUGIN: plugin, CERTIFICATE: JSON.stringify({ key, cert }) })
  await until('the ports', () => program.text.endsWith('\n'), 30_000)
  const ports = JSON.parse(program.text)
  const url = `http://127.0.0.1:${ports.http}`
  return {
    ports,
    state: async () => (await fetch(`${url}/state`)).json() as Promise<State>,
    publish: async (topic, data) => {
      const response = await fetch(`${url}/publish/${topic}`, { method: 'POST', body: data, headers: { 'content-type': 'text/plain' } })
      return (await response.json() as { id: string }).id
    },
    close: async () => {
      await fetch(`${url}/close`, { method: 'POST', headers: { connection: 'close' } })
      return program.ended
    }
  }
}

/** Waits until the server has made a call. */
function called (server: Server, ...calls: string[]): Promise<void> {
  return until(`${calls}`, async () => {
    const { calls: made } = await server.state()
    return calls.every((call) => made.includes(call))
  })
}

async function post (port: number, body: string): Promise<{ status: number, text: string }> {
  const response = await fetch(`http://127.0.0.1:${port}/posted`, { method: 'POST', body, headers: { 'content-type': 'text/plain' } })
  return { status: response.status, text: await response.text() }
}

/** Waits until a number has not changed for a while; it. */
async function atRest (what: string, read: () => Promise<number>): Promise<number> {
  let [last, times] = [NaN, 0]
  await until(`${what} at rest`, async () => {
    const now = await read()
    times = now === last ? times + 1 : 0
    last = now
    return times === 20
  })
  return last
}

for (const [name, runtime] of Object.entries(await findRuntimes())) {
  t.test(name, async (t) => {
    const server = await start(t, runtime)
    const { http, https, http2 } = server.ports

    await t.test('intervals run in the context of their request, and end when the client leaves', async (t) => {
      const clients = await Promise.all(['/interval?user=ann', '/interval?user=bob', '/shared?user=cid'].map((path) => open(t, http, path)))
      for (const client of clients) await client.until('data: ', 4)
      t.strictSame(clients.map(({ text }) => [...new Set(text.match(/(?<=data: )\w+/g))]), [['ann'], ['bob'], ['tick']])
      t.match(clients[0]?.response.headers, { 'content-type': 'text/event-stream', 'transfer-encoding': 'chunked' })
      for (const client of clients) client.disconnect()
      await called(server, '/interval signal ann', '/interval client ann', '/interval client bob', '/shared client cid')
      t.equal((await server.state()).streams, 0)
    })

    await t.test('topics are replayed', async (t) => {
      const live = await open(t, http, '/topics')
      const id = await server.publish('a', 'one')
      await server.publish('a', 'two')
      await live.until('data: two')
      const later = await open(t, http, '/topics', { headers: { 'last-event-id': id } })
      await later.until('data: two')
      t.notMatch(later.text, 'data: one')
      const lost = await open(t, http, '/topics', { headers: { 'last-event-id': '1-1' } })
      await lost.until('event: gap')
      for (const client of [live, later, lost]) client.disconnect()
      await until('they have left', async () => (await server.state()).streams === 0)
    })

    await t.test('sources, streams by hand, POST, lifetimes and failures end as they should', async (t) => {
      for (const [path, ended, text] of [
        ['/words?user=ann', true, 'data: one\n\ndata: two\n\n'],
        ['/hand', true, [0, 1, 2].map((n) => `id: ${n}\nevent: count\ndata: {"n":${n}}\n\n`).join('')],
        ['/failing', false, 'data: one\n\n']
      ] as const) {
        const client = await open(t, http, path)
        t.strictSame([await client.finished(), client.text], [ended, text], path)
      }
      await called(server, '/words finally ann')
      t.ok(await (await open(t, http, '/lifetime?user=ann')).finished())
      await called(server, '/lifetime lifetime ann')
      const waiting = await open(t, http, '/words?wait&user=bob')
      await waiting.until('data: two')
      waiting.disconnect()
      await called(server, '/words finally bob')
      t.strictSame(await post(http, 'body'), { status: 200, text: 'data: body\n\n' })
      t.match(await post(http, 'refuse'), { status: 422 })
      const head = await open(t, http, '/topics', { method: 'HEAD' })
      t.ok(await head.finished())
      t.match(head.response.headers, { 'content-type': 'text/event-stream' })
      t.strictSame(await (await fetch(`http://127.0.0.1:${http}/injected`)).json(), { data: '{"n":0}' })
    })

    await t.test('a source waits for a client that reads no further', async (t) => {
      const before = await server.state()
      const client = await open(t, http, '/endless')
      client.pause()
      const waiting = await atRest('the source', async () => (await server.state()).produced)
      t.ok(waiting - before.produced < 2_000, `${waiting} items of 10 KB`)
      t.ok((await server.state()).rss - before.rss < 50_000_000)
      client.resume()
      await until('the source to go on', async () => (await server.state()).produced > waiting + 100)
      client.disconnect()
      await called(server, '/endless client undefined')
    })

    await t.test('a client that falls behind is disconnected, or loses events and gets a gap', async (t) => {
      const flooded = await open(t, http, '/flooded')
      const dropped = await open(t, http, '/dropped')
      for (const client of [flooded, dropped]) client.pause()
      await fetch(`http://127.0.0.1:${http}/flood`, { method: 'POST' })
      await called(server, '/flooded overflow undefined')
      for (const client of [flooded, dropped]) client.resume()
      t.notOk(await flooded.finished())
      await until('the gap', async () => {
        await server.publish('flood', 'y')
        return dropped.text.includes('event: gap')
      })
      dropped.disconnect()
    })

    await t.test('HTTPS and HTTP/2 carry streams, and app.close() ends all of them and the process', async (t) => {
      const plain = await open(t, http, '/interval?user=ann')
      const request = getSecurely({ host: '127.0.0.1', port: https, path: '/interval?user=bob', ca: cert, servername: 'localhost', agent: false })
      t.teardown(() => request.destroy())
      const [response] = await once(request, 'response') as [IncomingMessage]
      const secure = new Client(request, response)
      const session = connect(`http://127.0.0.1:${http2}`)
      t.teardown(() => session.destroy())
      const stream = Object.assign(session.request({ ':path': '/interval?user=cid' }).setEncoding('utf8'), { text: '' })
      stream.on('data', (text: string) => { stream.text += text })
      const ended = once(stream, 'end')
      await until('the events', () => plain.text.includes('ann') && secure.text.includes('bob') && stream.text.includes('cid'))
      t.strictSame(await server.close(), [0, null])
      for (const client of [plain, secure]) t.ok(await client.finished())
      await ended
      for (const { text } of [plain, secure, stream]) t.match(text, /retry: \d+\n$/)
    })
  })
}
