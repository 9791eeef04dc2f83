import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { test, type Test } from 'tap'
import type { Backplane, Control, HistorySettings, Publication, PublishedEvent } from '../lib/backplane.js'
import { compareEventIds, isEventId } from '../lib/event/id.js'
import { type Item, Log, reader } from './helpers/backplane-log.js'
import { until } from './helpers/until.js'

/**
 * Tests the promises of the interface Backplane. Assumes nothing about the time when an event is received, or about ids
 * except that they have the form and grow.
 * @param make makes a backplane with an empty log that no other backplane shares
 */
export function testBackplane (name: string, make: (history: HistorySettings) => Backplane): void {
  const open: Open = (t, history) => Log.open(t, make({ size: 2_000, maxAge: 0, maxBytes: 2 ** 26, ...history }))
  test(`${name}: publishing`, (t) => testPublishing(t, open))
  test(`${name}: control messages`, (t) => testControls(t, open))
  test(`${name}: replay`, (t) => testReplay(t, open))
  test(`${name}: gaps`, (t) => testGaps(t, open))
  test(`${name}: rewind`, (t) => testRewind(t, open))
  test(`${name}: replay while others publish`, (t) => testBoth(t, open))
  test(`${name}: closing`, (t) => testClosing(t, open))
}

type Open = (t: Test, history?: Partial<HistorySettings>) => Promise<Log>

const GREATEST = '18446744073709551615-18446744073709551615'

function grow (ids: string[]): boolean {
  return ids.every((id, i) => isEventId(id) && compareEventIds(ids[i - 1] ?? '0-0', id) < 0)
}

function idsOf (events: readonly PublishedEvent[]): string[] {
  return events.map(({ id }) => id)
}

/** The id right after one. */
function following (id: string): string {
  const [ms, n = ''] = id.split('-')
  return `${ms}-${BigInt(n) + 1n}`
}

/** The parts of an event that a stream needs. */
function parts ({ id, to, names, except, frame, text }: PublishedEvent): object {
  return { id, to, names, except, frame, text }
}

/** The same parts of an event that is published. */
function expected (id: string, { to, names, except, frame }: Publication): object {
  return { id, to, names, except, frame, text: `id: ${id}\n${frame}` }
}

function publication (to: Publication['to'], names: string[], frame: string, others: Partial<Publication> = {}): Publication {
  return { to, names, except: null, limits: null, frame, ...others }
}

async function testPublishing (t: Test, open: Open): Promise<void> {
  t.test('an event is received once, with its id, audience, names, exception, frame and text', async (t) => {
    const log = await open(t)
    const begun = performance.now()
    const publications = [
      publication('topic', ['news'], 'data: 1\n\n'), publication('client', ['news'], 'data: 2\n\n'), publication('all', [], 'data: 3\n\n'),
      publication('topic', ['news'], 'data: 1\n\n'), publication('topic', ['more news', 'news', 'a'], 'event: é\ndata: 4\n\n', { except: 'somebody ü' }),
      publication('client', ['news'], ': 5\nretry: 6\n\n'), publication('topic', ['a', 'b'], 'data: 7\n\n', { limits: [null, { size: 1, maxAge: 0 }] })
    ]
    const events: object[] = []
    for (const each of publications) events.push(expected(await log.backplane.publish(each), each))
    await until('all', () => log.received.length === events.length)
    t.same(log.received.map(parts), events)
    const times = [begun, ...log.received.map(({ time }) => time), performance.now()]
    t.same(times, times.toSorted((a, b) => a - b), 'with the time when it was received')
    const topics = reader(['news', 'more news', 'a', 'b'], 'news')
    t.same((await log.readOn(log.start, 3, topics)).events.map(parts), events, 'and replayed')
  })

  t.test('events of any text and name are published', async (t) => {
    const log = await open(t)
    // without lone surrogates, because UTF-8 has no bytes for them
    const codes = Array.from({ length: 0x1_1000 }, (_, code) => code).filter((code) => code < 0xD800 || code > 0xDFFF)
    const everyCharacter = codes.map((code) => String.fromCodePoint(code)).join('')
    const publications = [
      publication('topic', ['order:42'], 'event: x\ndata: a\ndata: \ndata:  b\n: c\nretry: 1\n\n'),
      publication('topic', [' : ', 'a,b', '["x"]'], 'data: Zwölf Boxkämpfer, いろはにほへと, 👩‍👩‍👧, 𝄞\n\n', { except: ' x\ny ' }),
      publication('client', [' a name\nof two lines, * ? [a] {b} "c" \'d\' \\ % 😀 '], 'data: \n\n'),
      publication('client', ['__proto__'], 'data: $1 * > + %s \\r\\n\n\n'),
      publication('topic', [everyCharacter, 'constructor'], `data: ${everyCharacter}\n\n`),
      publication('client', ['n'.repeat(10_000)], `data: ${'x'.repeat(1_000_000)}\n\n`)
    ]
    for (const each of publications) {
      const { newest } = log.backplane
      const id = await log.backplane.publish(each)
      await log.until(id)
      const [name = ''] = each.names
      const events = [expected(id, each)]
      // `ok`, because a report of a difference would be huge
      t.ok(isDeepStrictEqual(log.received.splice(0).map(parts), events), `received, ${JSON.stringify(name.slice(0, 20))}`)
      const read = await log.readOn(newest, 10, each.to === 'client' ? reader([], name) : reader([name]))
      t.ok(isDeepStrictEqual(read.events.map(parts), events), `replayed, ${JSON.stringify(name.slice(0, 20))}`)
    }
  })

  t.test('ids grow, however many publish at once, and the newest position with them', async (t) => {
    const log = await open(t)
    const texts = new Map<string, string>()
    const publish = async (data: string) => { texts.set(await log.publish(data), data) }
    const oneByOne = async (caller: string) => { for (let i = 0; i < 40; i++) await publish(`${caller} ${i}`) }
    const atOnce = (caller: string) => Promise.all(Array.from({ length: 40 }, (_, i) => publish(`${caller} ${i}`)))
    await Promise.all([oneByOne('a'), atOnce('b'), oneByOne('c'), atOnce('d')])
    const last = await log.publish('the last')
    await log.until(last)

    const ids = idsOf(log.received)
    t.ok(grow(ids))
    t.same(log.positions, ids)
    t.equal(log.backplane.newest, last)
    t.same(log.received.map(({ text }) => text), ids.map((id) => `id: ${id}\ndata: ${texts.get(id) ?? 'the last'}\n\n`))
    t.equal(new Set(texts.values()).size, 160)
    t.equal(texts.size, 160)
    for (const caller of ['a', 'c']) {
      const own = ids.flatMap((id) => texts.get(id)?.startsWith(caller) ? texts.get(id) : [])
      t.same(own, Array.from({ length: 40 }, (_, i) => `${caller} ${i}`), 'the events of one caller are in the order of its calls')
    }
  })
}

async function testControls (t: Test, open: Open): Promise<void> {
  t.test('a control message is received between the events before and after it, and is never replayed', async (t) => {
    const log = await open(t)
    const controls: Control[] = [
      { action: 'close', clientId: 'ann', topic: '' }, { action: 'unsubscribe', clientId: ' ü\n', topic: ' a "topic" ' }, { action: 'unsubscribe', clientId: 'close', topic: 'news' }
    ]
    const order: Array<string | Control> = []
    const ids: string[] = []
    for (const control of controls) {
      const id = await log.publish()
      order.push(id, control)
      ids.push(id, await log.backplane.control(control))
    }
    const last = await log.publish()
    ids.push(last)
    order.push(last)
    await log.until(last)
    t.same(log.order, order)
    t.ok(grow(ids), 'it has an id of the log')
    t.same(log.positions, ids, 'which becomes the newest')
    const known = [log.start, ...ids]
    for (const [i, after] of known.entries()) {
      const { events, gaps } = await log.readOn(after, 2, reader(['news'], 'ann'))
      t.same([idsOf(events), gaps], [idsOf(log.received).filter((id) => known.indexOf(id) > i), []], `after ${i}`)
    }
    const { newest } = log.backplane
    const id = await log.backplane.control({ action: 'close', clientId: 'ann', topic: '' })
    await until('it', () => log.backplane.newest === id)
    t.same(await log.backplane.read(newest, reader(['news']), 10), { gap: null, events: [], position: id }, 'the position moves over it')
  })
}

async function testReplay (t: Test, open: Open): Promise<void> {
  t.test('a replay of an empty log is empty, without a gap', async (t) => {
    const log = await open(t)
    t.ok(isEventId(log.start))
    t.equal(log.backplane.oldestId, null)
    t.same(await log.backplane.read(log.start, reader(['news']), 10), { gap: null, events: [], position: log.start })
  })

  t.test('a replay from any position returns all later events of the reader in pages, each once', async (t) => {
    const log = await open(t, { maxAge: 60_000 })
    const begun = performance.now()
    for (let i = 0; i < 3; i++) {
      for (const names of [['a'], ['b'], ['a', 'b'], ['c'], ['b', 'c', 'a']]) await log.backplane.publish(publication('topic', names, `data: ${i}\n\n`))
      for (const name of ['a', 'ann', 'bob']) await log.backplane.publish(publication('client', [name], 'event: a\ndata: b\n\n', { except: 'ann' }))
      await log.backplane.publish(publication('all', [], ': ü\ndata: 1\ndata: 2\n\n'))
    }
    await log.until(await log.publish())
    const readers = [reader(['a']), reader(['a', 'b', 'c']), reader(['c', 'x'], 'ann'), reader([]), reader(['x'], 'nobody'), reader(['b', 'news'], 'a')]
    for (const each of readers) {
      for (const limit of [1, 3, 1_000]) {
        for (const [i, after] of [log.start, ...idsOf(log.received)].entries()) {
          const { events, gaps } = await log.readOn(after, limit, each)
          const message = `after ${i}, ${limit} at once, ${[...each.topics]} ${each.clientId}`
          t.same(events.map(parts), log.eventsFor(each, after).map(parts), message)
          t.same(gaps, [])
          if (!events.every(({ time }) => time >= begun && time <= performance.now())) t.fail('an event without the time when it was received')
        }
      }
    }
    t.same(await log.backplane.read(log.backplane.newest, reader(['a']), 10), { gap: null, events: [], position: log.backplane.newest })
  })
}

async function testGaps (t: Test, open: Open): Promise<void> {
  const gap = ({ items }: { items: Item[] }) => items.map((item) => 'lastMissedId' in item ? `gap ${item.lastMissedId}` : item.id)

  t.test('a quiet topic, a client id and the broadcasts keep their events next to a busy topic', async (t) => {
    const log = await open(t, { size: 10 })
    const quiet = await log.publish('x', 'quiet')
    const client = await log.backplane.publish(publication('client', ['ann'], 'data: x\n\n'))
    const all = await log.backplane.publish(publication('all', [], 'data: x\n\n'))
    const ids = await log.publishMany(500)
    for (const limit of [1, 7, 1_000]) {
      const lost = ids[489] ?? ''
      t.same(gap(await log.readOn(log.start, limit, reader(['quiet'], 'ann'))), [quiet, client, all])
      t.same(gap(await log.readOn(log.start, limit, reader(['news', 'quiet'], 'ann'))), [quiet, client, all, `gap ${lost}`, ...ids.slice(490)], 'they come before the gap')
      t.same(gap(await log.readOn(quiet, limit, reader(['news', 'quiet']))), [all, `gap ${lost}`, ...ids.slice(490)])
      t.same(gap(await log.readOn(lost, limit, reader(['news', 'quiet'], 'ann'))), ids.slice(490), 'after the newest missing event nothing is missing')
    }
  })

  t.test('the limits of a topic are for this topic only', async (t) => {
    const log = await open(t, { size: 5 })
    const ids: string[] = []
    const limits = [{ size: 2, maxAge: 0 }, null, { size: 0, maxAge: 0 }]
    for (let i = 0; i < 8; i++) ids.push(await log.backplane.publish(publication('topic', ['two', 'five', 'none'], 'data: x\n\n', { limits })))
    await log.until(ids.at(-1))
    for (const [topic, lost] of [['two', 6], ['five', 3], ['none', 8]] as const) {
      t.same(gap(await log.readOn(log.start, 2, reader([topic]))), [`gap ${ids[lost - 1]}`, ...ids.slice(lost)], topic)
      t.same((await log.readOn(ids[lost - 1] ?? '', 2, reader([topic]))).gaps, [], topic)
    }
  })

  t.test('a log that was cut reports a gap', async (t) => {
    const log = await open(t, { size: 10 })
    const ids = await log.publishMany(50)
    for (const after of [log.start, ids[0] ?? '', ids[38] ?? '']) {
      for (const limit of [1, 7, 1_000]) t.same(gap(await log.readOn(after, limit)), [`gap ${ids[39]}`, ...ids.slice(40)])
    }
    const { gaps } = await log.readOn(log.start, 10)
    t.equal(gaps[0]?.oldestId, ids[40])
    t.same((await log.readOn(ids[39] ?? '', 10)).gaps, [])
  })

  t.test('12 topics, 600 events and random returns: what is kept is in order, with gaps exactly where events of the reader were lost', async (t) => {
    const log = await open(t, { size: 20 })
    let seed = 7
    const random = (below: number) => (seed = (seed * 16_807) % 2_147_483_647) % below
    const sizes = Array.from({ length: 12 }, () => [1, 5, 20, 60][random(4)] ?? 0)
    for (let i = 0; i < 600; i++) {
      const topic = Math.min(random(12), random(12))
      await log.backplane.publish(publication('topic', [`t${topic}`], 'data: x\n\n', { limits: [{ size: sizes[topic] ?? 0, maxAge: 0 }] }))
    }
    await until('all', () => log.received.length === 600)
    for (let i = 0; i < 60; i++) {
      const topics = Array.from({ length: 1 + random(4) }, () => random(12))
      const after = [log.start, ...idsOf(log.received)][random(601)] ?? ''
      const each = reader(topics.map((topic) => `t${topic}`))
      const all = log.eventsFor(each, after).map(({ id }) => id)
      const kept = new Set(topics.flatMap((topic) => idsOf(log.eventsFor(reader([`t${topic}`]), '0-0')).slice(-(sizes[topic] ?? 0))))
      const last = all.findLastIndex((id) => !kept.has(id))
      const before = all.slice(0, Math.max(0, last)).filter((id) => kept.has(id))
      t.same(gap(await log.readOn(after, 1 + random(40), each)), last < 0 ? all : [...before, `gap ${all[last]}`, ...all.slice(last + 1)], `${i}`)
    }
  })

  t.test('an id from before the log or from the future is a gap, and all kept events follow', async (t) => {
    const log = await open(t)
    const ids = await log.publishMany(3)
    for (const after of ['0-0', '1-0', following(log.backplane.newest), GREATEST]) {
      for (const limit of [1, 7]) {
        const { events, gaps } = await log.readOn(after, limit)
        t.same([idsOf(events), gaps.length, gaps[0]?.oldestId], [ids, 1, ids[0]], after)
        t.ok(isEventId(gaps[0]?.lastMissedId ?? ''))
      }
    }
  })

  t.test('an unknown id in an empty log is a gap', async (t) => {
    const log = await open(t)
    const { gap: found, events, position } = await log.backplane.read(GREATEST, reader(['news']), 10)
    t.same([found?.oldestId, events], [null, []])
    t.equal(position, found?.lastMissedId)
    const ids = await log.publishMany(3)
    t.same(idsOf((await log.readOn(position, 2)).events), ids, 'later events follow')
  })

  t.test('without history nothing is replayed, and the events of the reader are missing', async (t) => {
    const log = await open(t, { size: 0 })
    const ids = await log.publishMany(4)
    const other = await log.publish('x', 'other')
    await log.until(other)
    t.equal(log.received.length, 5, 'all are received')
    t.equal(log.backplane.oldestId, null)
    for (const after of [log.start, ids[0] ?? '', ids[2] ?? '']) t.same(gap(await log.readOn(after, 10)), [`gap ${ids[3]}`])
    t.equal((await log.readOn(GREATEST, 10)).gaps.length, 1)
    t.same(gap(await log.readOn(ids[3] ?? '', 10)), [], 'an event of another topic is not missing')
    t.same(await log.backplane.read(other, reader(['news']), 10), { gap: null, events: [], position: other })
  })

  t.test('an event past maxAge is dropped, a younger one is kept', async (t) => {
    const young = await open(t, { maxAge: 60_000 })
    const ids = await young.publishMany(300)
    t.same(gap(await young.readOn(young.start, 100)), ids)

    const log = await open(t, { maxAge: 60_000 })
    const frame = 'data: x\n\n'
    const old = [await log.publish(), await log.backplane.publish(publication('topic', ['short', 'news'], frame, { limits: [{ size: 9, maxAge: 100 }, null] }))]
    await log.until(old[1])
    await wait(150)
    t.same(gap(await log.readOn(log.start, 10)), old)
    t.same(gap(await log.readOn(log.start, 10, reader(['short']))), [`gap ${old[1]}`], 'all events of the topic were dropped')
    t.same(gap(await log.readOn(old[1] ?? '', 10, reader(['short']))), [])
    const next = await log.backplane.publish(publication('topic', ['short'], frame, { limits: [{ size: 9, maxAge: 100_000 }] }))
    await log.until(next)
    t.same(gap(await log.readOn(old[0] ?? '', 10, reader(['short']))), [`gap ${old[1]}`, next])
    t.same(gap(await log.readOn(old[1] ?? '', 10, reader(['short', 'news']))), [next])
  })
}

async function testRewind (t: Test, open: Open): Promise<void> {
  t.test('a rewind finds the newest kept events of each topic, and no events of the client id and no broadcasts', async (t) => {
    const log = await open(t, { size: 5 })
    const topics = new Set(['a', 'b', 'c', 'never used'])
    t.same((await log.readOn('0-0', 10, { topics, clientId: 'ann', from: await log.backplane.rewind(topics, 3) })).items, [])
    const ids: string[] = []
    for (const names of [['a'], ['a'], ['b'], ['a', 'b'], ['a'], ['a'], ['a'], ['a'], ['c']]) ids.push(await log.backplane.publish(publication('topic', names, 'data: x\n\n')))
    await log.backplane.publish(publication('client', ['ann'], 'data: x\n\n'))
    await log.until(await log.backplane.publish(publication('all', [], 'data: x\n\n')))
    const at = (...indexes: number[]) => indexes.map((index) => ids[index])
    for (const [count, found] of [[1, at(3, 7, 8)], [2, at(2, 3, 6, 7, 8)], [3, at(2, 3, 5, 6, 7, 8)], [Infinity, at(2, 3, 4, 5, 6, 7, 8)], [100, at(2, 3, 4, 5, 6, 7, 8)]] as const) {
      for (const limit of [1, 2, 10]) {
        const from = await log.backplane.rewind(topics, count)
        const { events, gaps } = await log.readOn('0-0', limit, { topics, clientId: 'ann', from })
        t.same([idsOf(events), gaps], [found, []], `${count}, ${limit} at once`)
      }
    }
    const from = await log.backplane.rewind(topics, 2)
    const later = await log.backplane.publish(publication('all', [], 'data: x\n\n'))
    await log.until(later)
    t.same(idsOf((await log.readOn('0-0', 3, { topics, clientId: 'ann', from })).events), [...at(2, 3, 6, 7, 8), later], 'later events follow')
  })
}

async function testBoth (t: Test, open: Open): Promise<void> {
  t.test('a reader reaches the end and continues live, with every event once', async (t) => {
    const log = await open(t)
    await log.publishMany(200)
    const publishers = Array.from({ length: 3 }, async () => {
      for (let i = 0; i < 100; i++) {
        await log.publish()
        await turn()
      }
    })
    const { events, gaps, live } = await log.readOn(log.start, 20)
    await Promise.all(publishers)
    await log.publishMany(5)
    const ids = idsOf(log.received)
    t.equal(ids.length, 505)
    t.ok(grow(ids))
    t.same([...idsOf(events), ...ids.slice(live)], ids)
    t.same(gaps, [])
  })

  t.test('a reader that is slower than the log gets a gap for all missed events', async (t) => {
    const log = await open(t, { size: 10 })
    await log.publishMany(500)
    const publishers = Array.from({ length: 2 }, async () => {
      for (let i = 0; i < 250; i++) {
        await log.publish()
        if (i % 5 === 0) await turn()
      }
    })
    const { events, gaps, live } = await log.readOn(log.start, 3)
    await Promise.all(publishers)
    await log.publishMany(5)
    const ids = idsOf(log.received)
    t.equal(ids.length, 1_005)
    const got = [...idsOf(events), ...ids.slice(live)]
    t.ok(grow(got))
    t.ok(gaps.length > 0)
    const missed = (id: string) => gaps.some(({ after, lastMissedId }) => compareEventIds(after, id) < 0 && compareEventIds(id, lastMissedId) <= 0)
    t.same(ids.filter((id) => !missed(id)), got)
  })
}

async function testClosing (t: Test, open: Open): Promise<void> {
  t.test('after close() nothing is published or received', async (t) => {
    const log = await open(t)
    await log.publishMany(3)
    let settled = false
    Promise.allSettled(Array.from({ length: 50 }, () => log.publish())).then(() => { settled = true })
    await log.backplane.close()
    const count = log.received.length
    await t.rejects(log.publish(), { code: 'SSE_ERR_CLOSING' })
    await t.rejects(async () => log.backplane.control({ action: 'close', clientId: 'ann', topic: '' }), { code: 'SSE_ERR_CLOSING' })
    await until('pending calls of publish to be settled', () => settled)
    await wait(50)
    t.equal(log.received.length, count)
    t.ok(grow(idsOf(log.received)))
  })

  t.test('close() can be called twice', async (t) => {
    const { backplane } = await open(t)
    await t.resolves(Promise.all([backplane.close(), backplane.close()]))
    await t.resolves(backplane.close())
    await t.rejects(async () => backplane.publish(publication('all', [], ': x\n\n')), { code: 'SSE_ERR_CLOSING' })
  })
}
