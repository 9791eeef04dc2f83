import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { get, type IncomingMessage } from 'node:http'
import { connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { test } from 'tap'
import { type Random, randomFrom } from '../integration/random.js'
import { until } from '../helpers/app.js'
import { eventsOf } from '../helpers/subscriber.js'
import type { ServerState } from './churn-server.js'

const VISITS = 4_000
const AT_ONCE = 48
const BODY = '{"a":1}'
const REQUESTS = [
  ...['/interval', '/shared', '/source', '/topics', '/first', '/reply'].map((path) => `GET ${path} HTTP/1.1\r\nhost: x\r\n\r\n`),
  `POST /post HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: ${BODY.length}\r\n\r\n${BODY}`
]

/** Connects, writes a request or a part of it, and disconnects: at once, some turns later, or at the first bytes of the response. */
function visit (port: number, n: number, random: Random): Promise<void> {
  const request = REQUESTS[n % REQUESTS.length] ?? ''
  const part = random(5) === 0 ? request.slice(0, random(request.length)) : request
  const resets = random(2) === 0
  const socket = connect({ host: '127.0.0.1', port })
  const leave = () => {
    if (resets) socket.resetAndDestroy()
    else socket.destroy()
  }
  socket.on('error', () => {})
  socket.on('connect', async () => {
    socket.write(part)
    if (part === request && random(5) < 3) {
      socket.once('data', leave)
    } else {
      for (let turns = random(4); turns > 0; turns--) await turn()
      leave()
    }
  })
  return new Promise((resolve) => { socket.on('close', () => resolve()) })
}

async function churn (port: number, visits: number, random: Random): Promise<number> {
  const start = performance.now()
  let next = 0
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    while (next < visits) await visit(port, next++, random)
  }))
  return visits / (performance.now() - start) * 1_000
}

async function measure (child: ChildProcess): Promise<ServerState> {
  child.send('measure')
  const [left] = await once(child, 'message') as [ServerState]
  return left
}

test(`after ${VISITS} connects and disconnects nothing remains, and a client that stays misses nothing`, async (t) => {
  const { PATH, HOME } = process.env
  const child = fork(fileURLToPath(new URL('churn-server.ts', import.meta.url)), {
    execArgv: ['--import=./test/typescript.mjs', '--expose-gc'],
    // collects no coverage, because that takes time and the tests reach every line themselves
    env: { PATH, HOME, _TAPJS_PROCESSINFO_COVERAGE_: '0' }
  })
  const ended = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const [port] = await once(child, 'message') as [number]
  const request = get({ host: '127.0.0.1', port, path: '/witness', agent: false })
  const [response] = await once(request, 'response') as [IncomingMessage]
  let text = ''
  response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk })

  const random = randomFrom(1)
  await churn(port, 1_000, random)
  await until('the first clients to be gone', async () => (await measure(child)).stats.active === 1)
  const before = await measure(child)
  const rate = await churn(port, VISITS, random)
  await until('all clients to be gone', async () => (await measure(child)).stats.active === 1)
  await until('their file descriptors to be closed', async () => (await measure(child)).files === before.files, 2_000).catch(() => {})
  const after = await measure(child)

  t.strictSame(after.kept, { streams: 1, topics: ['feed'], clients: 1, timerLists: 1 })
  const { opened, closed } = after.stats
  const over = Object.values(closed).reduce((sum, n) => sum + n)
  t.ok(opened - before.stats.opened > VISITS / 4, `${opened - before.stats.opened} of them had a stream`)
  t.strictSame([over, after.disconnectCalls], [opened - 1, opened - 1], `onDisconnect was called once for each: ${JSON.stringify(closed)}`)
  t.equal(after.files, before.files, `${after.files} files are open, as before`)
  const grown = after.heap - before.heap
  // the limit corresponds to an object of less than 1 KB that each stream would leave
  t.ok(grown < 3_000_000, `the heap grew by ${Math.round(grown / 1_000)} KB`)
  const data = eventsOf(text).map((event) => Number(event.data))
  t.ok(data.length > 50)
  t.strictSame(data, data.map((_, i) => (data[0] ?? 0) + i))
  t.comment(`${Math.round(rate)} connects and disconnects per second`)
  request.destroy()
})
