import { setTimeout as wait } from 'node:timers/promises'
import { Cluster } from 'ioredis'
import { createCluster } from 'redis'
import t, { type Test } from 'tap'
import { SSEMessages } from './run-client.js'
import { RedisCluster } from '../helpers/redis-cluster.js'
import { SERVERS, testRedis } from '../helpers/redis-server.js'
import { findRun, readRun, startRun } from '../runs/store.js'
import { type RunProcess, runPath, startRunProcess } from './run-app.js'
import { openStore } from './run-stores.js'

t.setTimeout(300_000)

const CLIENTS = ['node-redis', 'ioredis', 'node-redis']
const RUNS = 20
const ITEMS = 2_000
const READERS = 50

const random = (n: number) => Math.floor(Math.random() * n)

/** Posts to start a run, and leaves. */
async function start (process: RunProcess, path: string): Promise<void> {
  const stream = await SSEMessages.open(process.port, path, { method: 'POST' })
  await stream.next()
  stream.leave()
}

/** Reads a run to its end over several processes. The reader leaves at random, and resumes in another process. Returns the events, and how often it has resumed. */
async function readAtRandom (processes: readonly RunProcess[], key: string, deadline: number): Promise<{ ids: string[], data: string[], events: string[], resumes: number }> {
  const result = { ids: [] as string[], data: [] as string[], events: [] as string[], resumes: -1 }
  while (Date.now() < deadline) {
    result.resumes++
    const { port } = processes[random(processes.length)] as RunProcess
    const stream = await SSEMessages.open(port, `/runs/${key}`, { lastEventId: result.ids.at(-1) }).catch(() => null)
    // a refused request, because Redis is down
    if (stream === null) await wait(100)
    else if (stream.status === 204) return result
    else {
      for (let left = 50 + random(700); left > 0; left--) {
        const message = await stream.next()
        if (message === null) break
        result.ids.push(message.id)
        result.data.push(message.data)
        result.events.push(message.event)
      }
      stream.leave()
      if (result.events.at(-1) === 'end') return result
      await wait(random(100))
    }
  }
  throw new Error(`the reader has ${result.ids.length} events at its deadline`)
}

testRedis(`${READERS} readers leave and resume at random on ${RUNS} runs of ${ITEMS} items over 3 processes, while Redis is killed and restarts: each has all items once, in order`, async (t, server) => {
  const begun = Date.now()
  const processes = await Promise.all(CLIENTS.map((client) => startRunProcess(t, server.url, client)))
  const started = Date.now()
  await Promise.all(Array.from({ length: RUNS }, (_, i) => start(processes[i % 3] as RunProcess, runPath(`run${i}`, { count: ITEMS, pause: 100, batch: 20 }))))
  const readings = Promise.all(Array.from({ length: READERS }, (_, i) => readAtRandom(processes, `run${i % RUNS}`, started + 60_000)))
  await wait(4_000)
  await server.kill()
  await wait(1_000)
  await server.start()
  const results = await readings
  const took = Date.now() - started
  const expected = [...Array.from({ length: ITEMS }, (_, i) => String(i)), '']
  for (const { ids, data } of results) {
    t.strictSame(data, expected)
    t.strictSame(ids.map((id) => Number(id.split('/')[1])), expected.map((_, i) => i + 1))
    t.equal(new Set(ids.map((id) => id.split('/')[0])).size, 1)
  }
  const resumes = results.map((result) => result.resumes)
  t.comment(`${took} ms (and ${started - begun} ms for the start of the processes); each reader resumed ${Math.min(...resumes)} to ${Math.max(...resumes)} times`)
  t.ok(took < 60_000)
})

testRedis('the process of a source is killed under readers in two others: they get what was stored, the error event and the end', async (t, server) => {
  const [producer, ...others] = await Promise.all(CLIENTS.map((client) => startRunProcess(t, server.url, client)))
  if (producer === undefined) throw new Error('no process')
  const times: number[] = []
  for (let round = 0; round < 3; round++) {
    const child = round === 0 ? producer : await startRunProcess(t, server.url)
    const key = `killed${round}`
    await start(child, runPath(key, { count: 1e6, pause: 10 }))
    const readings = [...others, ...others].map(async ({ port }) => {
      const stream = await SSEMessages.open(port, `/runs/${key}`)
      const messages = []
      for (let message = await stream.next(); message !== null; message = await stream.next()) messages.push(message)
      return { messages, at: performance.now() }
    })
    await wait(1_000 + random(2_000))
    child.child.kill('SIGKILL')
    const killed = performance.now()
    const results = await Promise.all(readings)
    const [{ messages: [first] } = { messages: [] }] = results
    const stored = Number(await server.call('XLEN', `{sse}:run:${first?.id.split('/')[0]}:events`))
    for (const { messages } of results) {
      t.equal(messages.length, stored)
      t.strictSame(messages.map(({ id }) => Number(id.split('/')[1])), messages.map((_, i) => i + 1))
      t.strictSame(messages.slice(0, -1).map(({ data }) => data), messages.slice(0, -1).map((_, i) => String(i)))
      t.match(messages.at(-1), { event: 'error', data: '{"message":"The run is lost"}' })
    }
    times.push(...results.map(({ at }) => at - killed))
  }
  t.comment(`lost after ${times.map((time) => Math.round(time)).join(', ')} ms`)
  t.ok(Math.max(...times) < 10_000)
})

/** Returns the memory of a process after garbage collection, bytes. */
async function memoryOf (t: Test, { child }: RunProcess): Promise<number> {
  const answer = new Promise<NodeJS.MemoryUsage>((resolve) => { child.once('message', resolve) })
  child.send('memory')
  const { heapUsed, external } = await answer
  return heapUsed + external
}

testRedis('a reader that reads nothing of a run of 100 MB costs no more than its buffer, and delays nobody', async (t, server) => {
  const [producer, readers] = await Promise.all(['node-redis', 'ioredis'].map((client) => startRunProcess(t, server.url, client, ['--expose-gc'])))
  if (producer === undefined || readers === undefined) throw new Error('no process')
  await start(producer, runPath('warm', { count: 1_000, size: 1_000 }))
  const warm = await SSEMessages.open(readers.port, '/runs/warm')
  while (await warm.next() !== null);
  const before = [await memoryOf(t, producer), await memoryOf(t, readers)]
  await start(producer, runPath('large', { count: 10_000, size: 10_000, pause: 1, batch: 50 }))
  const idle = await Promise.all(Array.from({ length: 10 }, () => SSEMessages.open(readers.port, '/runs/large', { reads: false })))
  const begun = performance.now()
  const reader = await SSEMessages.open(readers.port, '/runs/large')
  let [count, bytes] = [0, 0]
  for (let message = await reader.next(); message !== null; message = await reader.next()) {
    count++
    bytes += message.data.length
  }
  const took = performance.now() - begun
  t.equal(count, 10_001)
  const after = [await memoryOf(t, producer), await memoryOf(t, readers)]
  const [ofProducer = 0, ofReaders = 0] = after.map((memory, i) => (memory - (before[i] ?? 0)) / 1_048_576)
  t.comment(`${(bytes / 1e6).toFixed(0)} MB read in ${Math.round(took)} ms beside 10 idle readers; memory of the process of the readers +${ofReaders.toFixed(1)} MiB, of the producer +${ofProducer.toFixed(1)} MiB`)
  t.ok(ofReaders < 10, 'ten idle readers, each with its buffer')
  t.ok(ofProducer < 10)
  const started = performance.now()
  let rest = 0
  const [slow] = idle
  slow?.resume()
  for (let message = await slow?.next(); message; message = await slow?.next()) rest++
  t.equal(rest, 10_001, 'the idle reader can still read the whole run')
  t.comment(`an idle reader then reads the run in ${Math.round(performance.now() - started)} ms`)
  for (const stream of idle) stream.leave()
})

for (const command of SERVERS) {
  t.test(`${command}: runs in a cluster, whose slot moves to another node in mid-run`, async (t) => {
    const cluster = await RedisCluster.start(t, command, 0)
    const [url = ''] = cluster.urls
    const [here, there] = [openStore(t, { client: createCluster({ rootNodes: [{ url }] }) }), openStore(t, { client: new Cluster([url], { lazyConnect: true }) })]
    const writer = await startRun(here, 'a')
    const reading = readRun(await findRun(there, 'a'))
    const append = async (from: number) => {
      for (let i = from; i < from + 100; i++) {
        await writer.append(String(i))
        await wait(10)
      }
    }
    await append(0)
    const { owner, others: [next] } = await cluster.owner()
    if (next === undefined) throw new Error('no other node')
    await Promise.all([append(100), cluster.moveSlot(owner, next, 20)])
    await append(200)
    await writer.end('done', 'end')
    t.strictSame(await reading, [...Array.from({ length: 300 }, (_, i) => String(i)), 'end'])
  })
}

testRedis('no key of a run is left in Redis after its time', async (t, server) => {
  const store = openStore(t, { url: server.url })
  const writer = await startRun(store, 'gone', { keep: 0 })
  writer.append('1')
  await writer.end('done', 'end')
  await wait(65_000)
  t.strictSame(await server.call('KEYS', '{sse}:run*'), [])
})
