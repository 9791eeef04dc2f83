import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { type Test, test } from 'tap'
import type { SSEPluginOptions } from '../../lib/index.js'
import { until } from '../helpers/app.js'
import type { Measured, Order, Report } from './stalled-server.js'
import { Subscriber } from './subscriber.js'

const CLIENTS = 50
const EVENTS = 10_000
const BYTES = 10_000
// a replay is larger than the buffers of the kernel, which take up to about 10 MB
const HISTORY = 1_500
const MAX_BUFFERED = 256 * 1024
const MB = 1_000_000
/** Limit of the memory for slow clients, and for clients that reconnect. */
const HELD = CLIENTS * MAX_BUFFERED + HISTORY * BYTES

/** Keeps the heap small, because V8 collects garbage only when it needs room. The process is then about as large as its live data. */
const SMALL = ['--max-old-space-size=96', '--max-semi-space-size=2']

/** Client that stops reading after the first bytes. */
class Staller extends Subscriber {
  #reads = false

  stall (): Promise<void> {
    return this.visit((text, response) => {
      if (!this.#reads) response.pause()
      return text
    })
  }

  readOn (): void {
    this.#reads = true
    this.response?.resume()
  }
}

class Server {
  readonly port: number
  /** Called with the path of each stream that was closed because of a slow client. */
  onClosed: (path: string) => void = () => {}
  readonly #child: ChildProcess
  #measured: (measured: Measured) => void = () => {}

  constructor (child: ChildProcess, port: number) {
    this.#child = child
    this.port = port
    child.on('message', (report: Report) => {
      if ('closed' in report) this.onClosed(report.closed)
      else if ('stats' in report) this.#measured(report)
    })
  }

  publish (events: number): Promise<Measured> {
    return new Promise((resolve, reject) => {
      this.#measured = resolve
      this.#child.once('exit', (code, signal) => reject(new Error(`the server ended with ${signal ?? code}`)))
      const order: Order = { events, bytes: BYTES }
      this.#child.send(order)
    })
  }
}

async function startServer (t: Test, options: SSEPluginOptions): Promise<Server> {
  const { PATH, HOME } = process.env
  const child = fork(fileURLToPath(new URL('stalled-server.ts', import.meta.url)), [JSON.stringify({ maxBufferedBytes: MAX_BUFFERED, history: { size: HISTORY }, ...options })], {
    execArgv: ['--import=./test/typescript.mjs', '--expose-gc', ...SMALL],
    // collects no coverage, because that takes time and the tests reach every line themselves
    env: { PATH, HOME, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const [{ port }] = await once(child, 'message')
  return new Server(child, port)
}

/** Client that reads all the time. The publisher waits for it. */
async function stayHealthy (t: Test, { port }: Server): Promise<Subscriber> {
  const healthy = new Subscriber(port, '/healthy')
  t.teardown(() => healthy.leave())
  healthy.visit()
  await until('it is open', () => healthy.lastEventId)
  return healthy
}

async function stallMany (t: Test, { port }: Server): Promise<Staller[]> {
  const clients = Array.from({ length: CLIENTS }, (_, i) => new Staller(port, `/stalled/${i}`))
  t.teardown(() => { for (const client of clients) client.leave() })
  for (const client of clients) client.stall()
  await until('all have begun', () => clients.every(({ lastEventId }) => lastEventId !== null))
  return clients
}

function checkMemory (t: Test, { rss, heap, kept }: Measured): void {
  const [resident, all, used] = [rss, heap, kept].map((bytes) => `${Math.round(bytes / MB)} MB`)
  t.ok(rss < HELD + 60 * MB && heap < HELD + 60 * MB, `at most ${resident} more resident, ${all} more of heap and buffers`)
  t.ok(kept < HELD + 10 * MB, `at the end ${used} more in use`)
}

/** Lets the clients read on, then publishes some more events. No client may miss an event without a gap. */
async function checkEvents (t: Test, server: Server, healthy: Subscriber, clients: readonly Staller[]): Promise<void> {
  const allAreThere = () => clients.every(({ lastEventId }) => lastEventId === healthy.lastEventId)
  for (const client of clients) client.readOn()
  await until('all have caught up', allAreThere, 30_000)
  await server.publish(10)
  await until('all are live', allAreThere)
  const { received } = healthy
  t.strictSame(received.map(({ data }) => data), received.map((_, i) => String(i)), 'the healthy client got everything')
  t.ok(received.length > EVENTS)
  t.strictSame(healthy.account(received).faults, [], 'in order')
  for (const [i, client] of clients.entries()) {
    t.strictSame(client.account(received).faults.slice(0, 5), [], `client ${i}`)
    t.strictSame(client.received.slice(-10).map(({ data }) => data), received.slice(-10).map(({ data }) => data), 'and is live')
  }
}

function gapsOf ({ received }: Subscriber): number {
  return received.filter(({ event }) => event === 'gap').length
}

test('clients that stop reading are disconnected, reconnect and stop again, in bounded memory', async (t) => {
  const server = await startServer(t, { overflow: 'disconnect' })
  const healthy = await stayHealthy(t, server)
  const clients = await stallMany(t, server)
  let closed = 0
  server.onClosed = (path) => {
    const n = Number(path.slice('/stalled/'.length))
    clients[n]?.leave()
    // every other client reconnects without an id and falls behind again; the others reconnect with an id and do not read the replay
    const client = ++closed % 2 === 0 ? clients[n] : clients[n] = new Staller(server.port, path)
    client?.stall()
  }
  checkMemory(t, await server.publish(EVENTS))
  t.ok(closed > 1.2 * CLIENTS, `${closed} were sent away`)
  await checkEvents(t, server, healthy, clients)
})

test('clients that stop reading have events dropped, and get a gap', async (t) => {
  const server = await startServer(t, { overflow: 'drop' })
  const healthy = await stayHealthy(t, server)
  const clients = await stallMany(t, server)
  const measured = await server.publish(EVENTS)
  checkMemory(t, measured)
  t.ok(measured.stats.dropped > 0.5 * CLIENTS * EVENTS, `${measured.stats.dropped} events were left out`)
  t.equal(measured.stats.active, CLIENTS + 1, 'nobody was sent away')
  await checkEvents(t, server, healthy, clients)
  t.ok(clients.every((client) => gapsOf(client) > 0), 'each gap is told')
})

test('clients that stop reading during a replay cost no memory but their position', async (t) => {
  const server = await startServer(t, { overflow: 'disconnect' })
  const healthy = await stayHealthy(t, server)
  await server.publish(2 * HISTORY)
  const clients: Staller[] = []
  t.teardown(() => { for (const client of clients) client.leave() })
  for (let i = 0; i < CLIENTS; i++) {
    // the oldest event, so that all others are replayed
    const client = new Staller(server.port, `/stalled/${i}`, healthy.received.at(-HISTORY)?.id)
    clients.push(client)
    client.stall()
    await until('it has begun', () => client.response)
    await server.publish(100)
  }
  const measured = await server.publish(EVENTS - 2 * HISTORY - 100 * CLIENTS)
  checkMemory(t, measured)
  const { replayed, active } = measured.stats
  t.ok(replayed > 0 && replayed < 0.95 * CLIENTS * HISTORY, `${replayed} events were replayed`)
  t.equal(active, CLIENTS + 1, 'a replay is no overflow')
  await checkEvents(t, server, healthy, clients)
  t.ok(clients.every((client) => gapsOf(client) > 0), 'what the log lost meanwhile is told')
})
