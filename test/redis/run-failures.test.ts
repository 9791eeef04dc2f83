import { setTimeout as wait } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { createClient } from 'redis'
import { Connection } from '../../lib/redis/connection.js'
import { LOST, RunCommands } from '../../lib/redis/run-commands.js'
import { freePort } from '../helpers/free-port.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'
import { until } from '../helpers/until.js'
import { findRun, LIMITS, readRun, startRun } from '../runs/store.js'
import { openStore } from './run-stores.js'
import type { RunWriter } from '../../lib/index.js'

// most tests wait
t.jobs = 6

function testFailure (name: string, run: (t: Test, server: RedisServer) => Promise<void>): void {
  for (const command of SERVERS) t.test(`${command}: ${name}`, { buffered: true }, async (t) => run(t, await RedisServer.start(t, command)))
}

const BACKPLANE = { code: 'SSE_ERR_BACKPLANE' }
const CLOSING = { code: 'SSE_ERR_CLOSING' }

/** Waits until a writer has failed, and returns the error with which it rejects. */
async function failureOf (writer: RunWriter): Promise<unknown> {
  let error: unknown
  await until('the failure', async () => {
    await wait(5)
    await writer.append('x')?.catch((reason) => { error = reason })
    return error !== undefined
  })
  return error
}

/** Returns the keys of a run in Redis. */
const keysOf = (id: string) => ({ run: `{sse}:run:${id}`, events: `{sse}:run:${id}:events` })

testFailure('Redis refuses an append: it rejects, and the end of the run is tried until Redis takes it', async (t, server) => {
  const lines: Array<{ level: number, msg: string }> = []
  const [here, there] = [openStore(t, { url: server.url }), openStore(t, { url: server.url }, 'sse', 5_000, lines)]
  const writer = await startRun(here, 'a')
  const { events } = keysOf(writer.info.id)
  await server.call('SET', events, 'no stream')
  t.match(await failureOf(writer), { ...BACKPLANE, message: 'The backplane failed: Redis: a command failed', cause: { message: /^WRONGTYPE/ } })
  await t.rejects(Promise.resolve(writer.end('done', 'end')), BACKPLANE)
  const end = writer.end('failed', 'error')
  const reading = readRun(await findRun(there, 'a'))
  await wait(200)
  await server.call('DEL', events)
  await end
  t.strictSame(await reading, ['error'])
  t.match((await findRun(there, 'a')).info, { state: 'failed', events: 1 })
})

testFailure('Redis loses all runs: the readers get the error event, and the source is stopped', async (t, server) => {
  const [here, there] = [openStore(t, { url: server.url }), openStore(t, { url: server.url })]
  let stops = 0
  const [writer, silent] = [await startRun(here, 'a', {}, () => { stops++ }), await startRun(here, 'b', {}, () => { stops++ })]
  // known before the event, so that the process keeps the text of the event in memory
  const log = await findRun(there, 'a')
  await writer.append('1')
  await until('the event', () => log.info.events === 1)
  const readings = [writer, log, silent].map((run) => readRun(run))
  await server.call('FLUSHALL')
  t.equal(await there.find('a'), null)
  await until('the stops', () => stops >= 2)
  t.strictSame(await Promise.all(readings), [['1', LOST], ['1', LOST], [LOST]])
  t.match(writer.info, { state: 'lost', events: 2, endedAt: Date })
  t.match(await failureOf(writer), { ...BACKPLANE, cause: { message: /lost events of the run/ } })
  await writer.end('failed', 'error')
  t.equal(writer.info.state, 'lost')
})

testFailure('Redis loses events of a run that it had stored: the run fails, and all its readers end', async (t, server) => {
  const [here, there] = [openStore(t, { url: server.url }), openStore(t, { url: server.url })]
  const writer = await startRun(here, 'a')
  const log = await findRun(there, 'a')
  const [mine, others] = [readRun(writer), readRun(log)]
  for (const event of ['1', '2', '3']) writer.append(event)
  await until('the events', () => writer.info.events === 3 && log.info.events === 3)
  const { run, events } = keysOf(writer.info.id)
  await server.call('DEL', events)
  await server.call('HSET', run, 'events', '0')
  t.match(await failureOf(writer), BACKPLANE)
  await writer.end('failed', 'error')
  t.strictSame(await mine, ['1', '2', '3'])
  t.strictSame(await others, ['1', '2', '3'])
  t.strictSame(await readRun(await findRun(there, 'a')), ['error'])
})

testFailure('events that are no longer in Redis cannot be read', async (t, server) => {
  const store = openStore(t, { url: server.url })
  const writer = await startRun(store, 'a')
  await writer.append('1')
  await writer.end('done', 'end')
  await server.call('DEL', keysOf(writer.info.id).events)
  await t.rejects(readRun(await findRun(openStore(t, { url: server.url }), 'a')), { ...BACKPLANE, cause: { message: `Redis no longer has the event 1 of the run ${writer.info.id}` } })
})

testFailure('a message that a process has missed is found by the next one, or by the next check', async (t, server) => {
  const [here, there] = [openStore(t, { url: server.url }), openStore(t, { url: server.url })]
  const writer = await startRun(here, 'a')
  const log = await findRun(there, 'a')
  const reading = readRun(log)
  await writer.append('1')
  await until('the event', () => log.info.events === 1)
  const { run, events } = keysOf(writer.info.id)
  const add = async (n: number) => {
    await server.call('XADD', events, `${n}-0`, 'text', String(n))
    await server.call('HSET', run, 'events', String(n))
  }
  await add(2)
  await until('the check', () => log.info.events === 2)
  await add(3)
  await server.call('EVAL', "for i = 1, 100 do redis.call('XADD', KEYS[1], '*', 'stop', 'unknown') end", '1', '{sse}:runs')
  await server.call('XADD', '{sse}:runs', '*', 'run', writer.info.id, 'from', '4', 'to', '4', 'text', '4')
  await add(4)
  await until('the message', () => log.info.events === 4)
  t.equal(await there.stop('a'), true)
  await here.endRun(writer.info.id, 'done', 'end', Infinity)
  t.strictSame(await reading, ['1', '2', '3', '4', 'end'])
})

testFailure('a run whose lease has expired is lost for all, and its source is stopped', async (t, server) => {
  const [here, there] = [openStore(t, { url: server.url }), openStore(t, { url: server.url })]
  let stops = 0
  const writer = await startRun(here, 'a', {}, () => { stops++ })
  await writer.append('1')
  const [lease = ''] = await server.call('KEYS', '{sse}:run-producer:*') as string[]
  // again and again, because the process renews it
  await until('the loss', async () => {
    await server.call('DEL', lease)
    return (await findRun(there, 'a')).info.state === 'lost'
  }, 30_000)
  t.equal(await there.stop('a'), false)
  const { log, writer: next } = await there.start('a', LIMITS, () => {}, false)
  t.not(next, null, 'the next run of the key can start')
  await until('the stop', () => stops > 0)
  t.match(writer.info, { state: 'lost', events: 2 })
  t.strictSame(await readRun(writer), ['1', LOST])
  await writer.end('done', 'end')
  t.match(writer.info, { state: 'lost', events: 2 })
  t.equal(log.info.state, 'running')
})

for (const [what, interrupt, resume] of [
  ['Redis is down', (server: RedisServer) => server.kill(), (server: RedisServer) => server.start()],
  ['Redis does not answer', (server: RedisServer) => server.pause(), (server: RedisServer) => server.resume()]
] as const) {
  testFailure(`${what} for longer than a lease: no run is lost`, async (t, server) => {
    const [here, there] = [openStore(t, { url: server.url }), openStore(t, { url: server.url })]
    const [writer, silent] = [await startRun(here, 'a'), await startRun(here, 'b')]
    const readings = [readRun(await findRun(there, 'a')), readRun(await findRun(there, 'b')), readRun(writer)]
    writer.append('1')
    await until('the event', () => writer.info.events === 1)
    await interrupt(server)
    writer.append('2')
    await wait(500)
    writer.append('3')
    await wait(7_000)
    await resume(server)
    for (const run of [writer, silent]) await run.end('done', 'end')
    t.strictSame(await Promise.all(readings), [['1', '2', '3', 'end'], ['end'], ['1', '2', '3', 'end']])
    t.match((await findRun(there, 'b')).info, { state: 'done', events: 1 })
  })
}

testFailure('append makes the source wait while Redis does not store its events', async (t, server) => {
  const store = openStore(t, { url: server.url }, 'sse', 1_000)
  const [writer, short] = [await startRun(store, 'a'), await startRun(store, 'b', { maxDuration: 100 })]
  const text = 'x'.repeat(400_000)
  server.pause()
  t.equal(writer.append(text), undefined)
  t.equal(writer.append(text), undefined)
  const [full, alsoFull] = [writer.append(text), writer.append(text)]
  t.notSame(full, undefined)
  for (let i = 0; i < 2; i++) short.append(text)
  await t.rejects(Promise.resolve(short.append(text)), BACKPLANE, 'after maxDuration')
  server.resume()
  await Promise.all([full, alsoFull])
  for (let i = 0; i < 1_200; i++) writer.append('y')
  await writer.end('done', 'end')
  t.equal(writer.info.events, 4 + 1_200 + 1)
  t.strictSame(await readRun(await findRun(openStore(t, { url: server.url }), 'a'), 0, 1_000), [...Array(4).fill(text), ...Array(1_200).fill('y'), 'end'])
})

testFailure('a run whose start had no answer ends at once', async (t, server) => {
  const [here, there] = [openStore(t, { url: server.url }, 'sse', 1_000), openStore(t, { url: server.url })]
  t.equal(await here.find('a'), null)
  server.pause()
  await t.rejects(here.start('a', LIMITS, () => {}, false), { ...BACKPLANE, message: 'The backplane failed: Redis: no answer within 1000 ms' })
  server.resume()
  await until('the end', async () => {
    const log = await there.find('a')
    return log === null || log.info.state !== 'running'
  })
  const connection = new Connection(createClient({ url: server.url }))
  t.teardown(() => connection.close())
  const commands = new RunCommands('sse', 'p')
  const start = (id: string) => connection.run({ timeout: 5_000 }, () => commands.start(connection, 'b', id, 0, false, 0))
  const [first, again, other] = [await start('x'), await start('x'), await start('y')]
  t.strictSame([first.created, again.created, other.created], [true, true, false], 'a repeated start is the same run')
  t.strictSame([again.run, other.run], [first.run, first.run])
})

t.test('Redis is not there: calls reject, and work later', { buffered: true }, async (t) => {
  const [command = ''] = SERVERS
  const server = await RedisServer.start(t, command)
  await server.kill()
  const store = openStore(t, { url: server.url }, 'sse', 1_000)
  await t.rejects(store.find('a'), { ...BACKPLANE, cause: { message: /ECONNREFUSED/ } })
  await t.rejects(store.start('a', LIMITS, () => {}, false), BACKPLANE)
  await server.start()
  t.equal(await store.find('b'), null)
  const writer = await startRun(store, 'b')
  await writer.end('done', 'end')
})

t.test('calls of a store that has closed, or closes, reject', { buffered: true }, async (t) => {
  const [command = ''] = SERVERS
  const server = await RedisServer.start(t, command)
  const unused = openStore(t, { url: server.url })
  await unused.close()
  await t.rejects(unused.find('a'), CLOSING)
  const early = openStore(t, { url: server.url })
  const found = early.find('a')
  await early.close()
  await t.rejects(found, CLOSING, 'before it has connected')
  const url = `redis://127.0.0.1:${await freePort()}`
  const connecting = openStore(t, { url })
  const begun = performance.now()
  const pending = connecting.find('a')
  await wait(50)
  await connecting.close()
  await t.rejects(pending, CLOSING, 'while it connects')
  t.ok(performance.now() - begun < 4_000)

  const lines: Array<{ level: number, msg: string }> = []
  const store = openStore(t, { url: server.url }, 'sse', 5_000, lines)
  const [writer, reader] = [await startRun(store, 'a'), openStore(t, { url: server.url })]
  const read = await findRun(reader, 'a')
  read.watch(() => {})
  writer.append('1')
  server.pause()
  writer.append('2')
  const calls = [store.find('a'), store.idleElsewhere(writer.info.id), writer.end('done', 'end')]
  const rejections = calls.map((call) => t.rejects(Promise.resolve(call), CLOSING))
  await wait(2_500)
  await Promise.all([store.close(), reader.close()])
  await Promise.all(rejections)
  server.resume()
  await wait(200)
  t.strictSame(lines, [])
})

testFailure('failures of checks and of the lease are logged', async (t, server) => {
  const lines: Array<{ level: number, msg: string }> = []
  const store = openStore(t, { url: server.url }, 'sse', 5_000, lines)
  const other = openStore(t, { url: server.url })
  const [mine, foreign] = [await startRun(store, 'a'), await startRun(other, 'b')]
  ;(await findRun(store, 'b')).watch(() => {})
  await wait(100)
  for (const { info } of [mine, foreign]) {
    const { run } = keysOf(info.id)
    await server.call('DEL', run)
    await server.call('SET', run, 'no hash')
  }
  await until('the lines', () => ['the lease', 'runs could not be checked'].every((begin) => lines.some(({ msg }) => msg.startsWith(begin))))
  await server.call('FLUSHALL')
})
