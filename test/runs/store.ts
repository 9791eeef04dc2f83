import { setTimeout as wait } from 'node:timers/promises'
import type { Test } from 'tap'
import type { RunLimits, RunLog, RunStore, RunWriter, StartedRun } from '../../lib/index.js'
import { until } from '../helpers/until.js'

/** The limits of the runs of these tests. */
export const LIMITS: RunLimits = { keep: 60_000, maxBytes: 1_000_000, maxDuration: 60_000, abandonAfter: 0 }

/** Starts a run. Rejects if one of the key is going on. */
export async function startRun (store: RunStore, key: string, limits: Partial<RunLimits> = {}, onStop = () => {}, restart = false): Promise<RunWriter> {
  const { writer } = await store.start(key, { ...LIMITS, ...limits }, onStop, restart)
  if (writer === null) throw new Error(`a run of the key ${key} is going on`)
  return writer
}

/** Finds a run. Rejects if there is none. */
export async function findRun (store: RunStore, key: string): Promise<RunLog> {
  const log = await store.find(key)
  if (log === null) throw new Error(`there is no run of the key ${key}`)
  return log
}

/** Reads a run up to its end, as the reader of a stream does, from the event after a number. */
export async function readRun (log: RunLog, after = 0, limit = 10): Promise<string[]> {
  const events: string[] = []
  let [changed, wake] = [false, () => {}]
  const unwatch = log.watch(() => {
    changed = true
    wake()
  })
  try {
    for (;;) {
      const { state, events: count } = log.info
      changed = false
      const page = await log.read(after + events.length, limit)
      events.push(...page)
      if (page.length > 0) continue
      if (state !== 'running' && after + events.length >= count) return events
      if (!changed) await new Promise<void>((resolve) => { wake = resolve })
    }
  } finally {
    unwatch()
  }
}

/**
 * Declares the tests that every store of runs has to pass.
 * @param open opens a store; a second call opens a store of another process with the same runs, or returns the same store if there are no others
 */
export function testRunStore (test: (name: string, run: (t: Test) => Promise<void>) => void, open: (t: Test) => Promise<() => RunStore>): void {
  test('a run has its events in order, and ends with its last event', async (t) => {
    const make = await open(t)
    const [here, there] = [make(), make()]
    const writer = await startRun(here, 'a')
    t.match(writer.info, { key: 'a', id: /^[\w-]{20}$/, state: 'running', events: 0, startedAt: Date, endedAt: null })
    t.ok(Math.abs(Date.now() - writer.info.startedAt.getTime()) < 5_000)
    const found = await findRun(there, 'a')
    const reads = [readRun(writer), readRun(writer, 2), readRun(found), readRun(found, 0, 1), readRun(found, 3)]
    for (const event of ['1', '2', '3', '4']) await writer.append(event)
    await until('the events', () => found.info.events === 4 && writer.info.events === 4)
    await writer.append('5')
    await writer.end('done', 'end')
    const all = ['1', '2', '3', '4', '5', 'end']
    t.strictSame(await Promise.all(reads), [all, all.slice(2), all, all, all.slice(3)])
    for (const { info } of [writer, found, await findRun(there, 'a'), await findRun(here, 'a')]) {
      t.match(info, { key: 'a', id: writer.info.id, state: 'done', events: 6, startedAt: writer.info.startedAt, endedAt: Date })
    }
    t.strictSame(await readRun(await findRun(there, 'a'), 4), ['5', 'end'], 'an ended run is kept')
    t.strictSame([...await writer.read(6, 10)], [], 'nothing follows the last event')
  })

  test('a run can end without a last event, and without any', async (t) => {
    const make = await open(t)
    const [here, there] = [make(), make()]
    const [one, none] = [await startRun(here, 'one'), await startRun(here, 'none')]
    const reads = [readRun(await findRun(there, 'one')), readRun(await findRun(there, 'none'))]
    await one.append('1')
    await Promise.all([one.end('stopped', ''), none.end('failed', '')])
    t.strictSame(await Promise.all(reads), [['1'], []])
    t.match((await findRun(there, 'one')).info, { state: 'stopped', events: 1 })
    t.match((await findRun(there, 'none')).info, { state: 'failed', events: 0 })
  })

  test('a run that is going on is joined, by others at the same time too', async (t) => {
    const make = await open(t)
    const stores = [make(), make(), make()]
    const started = await Promise.all(Array.from({ length: 30 }, async (_, i) => stores[i % 3]?.start('a', LIMITS, () => {}, false)))
    const writers = started.flatMap((run) => run?.writer ?? [])
    t.equal(writers.length, 1)
    t.equal(new Set(started.map((run) => run?.log.info.id)).size, 1)
    await writers[0]?.end('done', 'end')
    const next = await stores[1]?.start('a', LIMITS, () => {}, false) as StartedRun
    t.not(next.writer, null, 'an ended run is not joined')
    t.not(next.log.info.id, writers[0]?.info.id)
    t.equal((await findRun(make(), 'a')).info.id, next.log.info.id)
  })

  test('stop reaches the process that runs the source, and tells whether a run was going on', async (t) => {
    const make = await open(t)
    const [here, there] = [make(), make()]
    let stops = 0
    t.equal(await there.stop('a'), false)
    t.equal(await there.find('a'), null)
    const writer = await startRun(here, 'a', {}, () => { stops++ })
    t.equal(await there.stop('a'), true)
    await until('the stop', () => stops > 0)
    await writer.end('stopped', 'end')
    t.equal(await there.stop('a'), false)
  })

  test('a restart stops the run that is going on, which its readers read to its end', async (t) => {
    const make = await open(t)
    const [here, there] = [make(), make()]
    let stops = 0
    const first = await startRun(here, 'a', {}, () => { stops++ })
    await first.append('1')
    const reading = readRun(await findRun(there, 'a'))
    const second = await startRun(there, 'a', {}, () => {}, true)
    await until('the stop', () => stops > 0)
    await second.append('one')
    await first.append('2')
    await first.end('stopped', 'end')
    t.strictSame(await reading, ['1', '2', 'end'])
    const found = await findRun(here, 'a')
    t.equal(found.info.id, second.info.id, 'the end of the first run does not remove the second one')
    const [read] = [readRun(found), await second.end('done', '')]
    t.strictSame(await read, ['one'])
  })

  test('a run is no longer found after `keep`, but read to its end', async (t) => {
    const make = await open(t)
    const [here, there] = [make(), make()]
    const [none, short] = [await startRun(here, 'none', { keep: 0 }), await startRun(here, 'short', { keep: 300 })]
    const logs = [await findRun(there, 'none'), await findRun(there, 'short')]
    for (const writer of [none, short]) {
      await writer.append('1')
      await writer.end('done', 'end')
    }
    t.equal(await there.find('none'), null)
    await until('the end of `keep`', async () => await there.find('short') === null)
    for (const log of logs) t.strictSame(await readRun(log), ['1', 'end'])
  })

  test('idleFor is the time without a reader in any process', async (t) => {
    const make = await open(t)
    const [here, there] = [make(), make()]
    const [writer, other] = [await startRun(here, 'a'), await startRun(here, 'b')]
    await wait(50)
    t.ok(await writer.idleFor() >= 45)
    const unwatch = writer.watch(() => {})
    t.equal(await writer.idleFor(), 0)
    unwatch()
    unwatch()
    t.ok(await writer.idleFor() < 45)
    const leave = (await findRun(there, 'b')).watch(() => {})
    await until('the reader to be counted', async () => await other.idleFor() === 0)
    leave()
    await until('the reader to be forgotten', async () => await other.idleFor() > 0)
  })
}
