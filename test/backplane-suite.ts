import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises'
import { isDeepStrictEqual } from 'node:util'
import { test, type Test } from 'tap'
import type { Audience, Backplane, Gap, HistorySettings, PublishedEvent } from '../lib/backplane.js'
import { compareEventIds, isEventId } from '../lib/event/id.js'
import { until } from './helpers/until.js'

/**
 * Tests the promises of the interface Backplane. Assumes nothing about the time when an event is received, about ids
 * except that they have the form and grow, or about a log being cut at exactly its size and age.
 * @param make makes a backplane with an empty log that no other backplane shares
 */
export function testBackplane (name: string, make: (history: HistorySettings) => Backplane): void {
  const open: Open = (t, history) => Log.open(t, make({ size: 2_000, maxAge: 0, ...history }))
  test(`${name}: publishing`, (t) => testPublishing(t, open))
  test(`${name}: replay`, (t) => testReplay(t, open))
  test(`${name}: gaps`, (t) => testGaps(t, open))
  test(`${name}: replay while others publish`, (t) => testBoth(t, open))
  test(`${name}: closing`, (t) => testClosing(t, open))
}

type Open = (t: Test, history?: Partial<HistorySettings>) => Promise<Log>

/** The events and gaps that a reader got until its position was the newest. */
interface Read {
  ids: string[]
  events: PublishedEvent[]
  gaps: Array<Gap & { after: string }>
  /** The number of events received by then. Later ones are live. */
  live: number
}

const GREATEST = '18446744073709551615-18446744073709551615'

/** An open backplane and the events received from it. */
class Log {
  readonly received: PublishedEvent[] = []
  /** The value of `newest` at each received event. */
  readonly positions: string[] = []
  /** The position right after `open()`. */
  start = ''
  readonly backplane: Backplane

  constructor (backplane: Backplane) {
    this.backplane = backplane
  }

  static async open (t: Test, backplane: Backplane): Promise<Log> {
    const log = new Log(backplane)
    t.teardown(() => backplane.close())
    await backplane.open({
      onEvent (event) {
        log.received.push(event)
        log.positions.push(backplane.newest)
      },
      onGap: ({ lastMissedId }) => t.fail(`events were lost up to ${lastMissedId}`)
    })
    log.start = backplane.newest
    return log
  }

  get ids (): string[] {
    return this.received.map(({ id }) => id)
  }

  async publish (data = 'x'): Promise<string> {
    return this.backplane.publish('topic', 'news', `data: ${data}\n\n`)
  }

  /** Publishes events one after the other. Resolves to their ids once all are received. */
  async publishMany (count: number): Promise<string[]> {
    const ids: string[] = []
    for (let i = 0; i < count; i++) ids.push(await this.publish(String(i)))
    await this.until(ids.at(-1))
    return ids
  }

  /** Waits until an event is received. */
  async until (id: string | undefined): Promise<void> {
    await until(`the event ${id}`, () => this.received.at(-1)?.id === id)
  }

  /** Reads pages from a position until it is the newest. */
  async readOn (after: string, limit: number): Promise<Read> {
    const read: Read = { ids: [], events: [], gaps: [], live: 0 }
    let position = after
    for (let pages = 0; position !== this.backplane.newest; pages++) {
      if (pages > 10_000) throw new Error(`Reading on from ${after} does not come to an end, at ${position} of ${this.backplane.newest}`)
      const { gap, events } = await this.backplane.read(position, limit)
      if (events.length > limit) throw new Error(`${events.length} events in a page of ${limit}`)
      if (gap !== null) {
        read.gaps.push({ after: position, ...gap })
        position = gap.lastMissedId
      }
      read.events.push(...events)
      position = events.at(-1)?.id ?? position
      if (events.length > 0 && compareEventIds(position, this.backplane.newest) > 0) throw new Error(`${position} is read before it is received`)
      await turn()
    }
    read.ids = read.events.map(({ id }) => id)
    read.live = this.received.length
    return read
  }
}

function grow (ids: string[]): boolean {
  return ids.every((id, i) => isEventId(id) && compareEventIds(ids[i - 1] ?? '0-0', id) < 0)
}

function split (id: string): [ms: string, n: string] {
  const [ms = '', n = ''] = id.split('-')
  return [ms, n]
}

/** The position right after one. */
function following (id: string): string {
  const [ms, n] = split(id)
  return `${ms}-${BigInt(n) + 1n}`
}

function withoutTime ({ id, to, name, frame, text }: PublishedEvent): Omit<PublishedEvent, 'time'> {
  return { id, to, name, frame, text }
}

async function testPublishing (t: Test, open: Open): Promise<void> {
  t.test('an event is received once, with its id, audience, name, frame and text', async (t) => {
    const log = await open(t)
    const begun = performance.now()
    const events: Array<[to: Audience, name: string, frame: string]> = [
      ['topic', 'news', 'data: 1\n\n'], ['client', 'news', 'data: 2\n\n'], ['all', '', 'data: 3\n\n'], ['topic', 'news', 'data: 1\n\n'],
      ['topic', 'more news', 'event: é\ndata: 4\n\n'], ['client', 'news', ': 5\nretry: 6\n\n'], ['all', '', 'data: 7\n\n']
    ]
    const expected: Array<Omit<PublishedEvent, 'time'>> = []
    for (const [to, name, frame] of events) {
      const id = await log.backplane.publish(to, name, frame)
      expected.push({ id, to, name, frame, text: `id: ${id}\n${frame}` })
    }
    await log.until(expected.at(-1)?.id)
    t.same(log.received.map(withoutTime), expected)
    const times = [begun, ...log.received.map(({ time }) => time), performance.now()]
    t.same(times, times.toSorted((a, b) => a - b), 'with the time when it was')
  })

  t.test('events of any text and name are published', async (t) => {
    const log = await open(t)
    // without lone surrogates, because UTF-8 has no bytes for them
    const codes = Array.from({ length: 0x1_1000 }, (_, code) => code).filter((code) => code < 0xD800 || code > 0xDFFF)
    const everyCharacter = codes.map((code) => String.fromCodePoint(code)).join('')
    const events: Array<[to: Audience, name: string, frame: string]> = [
      ['topic', 'order:42', 'event: x\ndata: a\ndata: \ndata:  b\n: c\nretry: 1\n\n'],
      ['topic', ' : ', 'data: Zwölf Boxkämpfer, いろはにほへと, 👩‍👩‍👧, 𝄞\n\n'],
      ['client', ' a name\nof two lines, * ? [a] {b} "c" \'d\' \\ % 😀 ', 'data: \n\n'],
      ['client', '__proto__', 'data: $1 * > + %s \\r\\n\n\n'],
      ['topic', everyCharacter, `data: ${everyCharacter}\n\n`],
      ['client', 'n'.repeat(10_000), `data: ${'x'.repeat(1_000_000)}\n\n`]
    ]
    for (const [to, name, frame] of events) {
      const { newest } = log.backplane
      const id = await log.backplane.publish(to, name, frame)
      await log.until(id)
      const expected = { id, to, name, frame, text: `id: ${id}\n${frame}` }
      // `ok`, because a report of a difference would be huge
      t.ok(isDeepStrictEqual(log.received.splice(0).map(withoutTime), [expected]), `received, ${JSON.stringify(name.slice(0, 20))}`)
      t.ok(isDeepStrictEqual((await log.readOn(newest, 10)).events.map(withoutTime), [expected]), `replayed, ${JSON.stringify(name.slice(0, 20))}`)
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

    t.ok(grow(log.ids))
    t.same(log.positions, log.ids)
    t.equal(log.backplane.newest, last)
    t.same(log.received.map(({ text }) => text), log.ids.map((id) => `id: ${id}\ndata: ${texts.get(id) ?? 'the last'}\n\n`))
    t.equal(new Set(texts.values()).size, 160)
    t.equal(texts.size, 160)
    for (const caller of ['a', 'c']) {
      const own = log.ids.flatMap((id) => texts.get(id)?.startsWith(caller) ? texts.get(id) : [])
      t.same(own, Array.from({ length: 40 }, (_, i) => `${caller} ${i}`), 'those of one caller in the order of its calls')
    }
  })
}

async function testReplay (t: Test, open: Open): Promise<void> {
  t.test('a replay of an empty log is empty, without a gap', async (t) => {
    const log = await open(t)
    t.ok(isEventId(log.start))
    t.equal(log.backplane.oldestId, null)
    t.same(await log.backplane.read(log.start, 10), { gap: null, events: [] })
  })

  t.test('a replay from any event, or from the position at open(), returns all later events in pages', async (t) => {
    const log = await open(t, { maxAge: 60_000 })
    const begun = performance.now()
    const [first] = await log.publishMany(10)
    await log.backplane.publish('client', 'news', 'event: a\ndata: b\n\n')
    await log.until(await log.backplane.publish('all', '', ': ü\ndata: 1\ndata: 2\n\n'))
    const positions = [log.start, ...log.ids]
    for (const limit of [1, 3, 1_000]) {
      for (const [i, after] of positions.entries()) {
        const { events, gaps } = await log.readOn(after, limit)
        t.same(events.map(withoutTime), log.received.slice(i).map(withoutTime), `from ${i}, ${limit} at once`)
        t.same(gaps, [])
        t.ok(events.every(({ time }) => time >= begun && time <= performance.now()))
      }
    }
    t.equal(log.backplane.oldestId, first)
    t.same(await log.backplane.read(log.backplane.newest, 10), { gap: null, events: [] })
  })
}

async function testGaps (t: Test, open: Open): Promise<void> {
  /** Reads from an unknown position and asserts a gap, then all retained events, and no other gap. */
  async function readOverGap (t: Test, log: Log, after: string): Promise<{ gap: Gap, held: string[] }> {
    let over: { gap: Gap, held: string[] } = { gap: { oldestId: null, lastMissedId: '' }, held: [] }
    for (const limit of [1, 7, 1_000]) {
      const { ids, gaps: [gap, ...more] } = await log.readOn(after, limit)
      if (gap === undefined) throw new Error(`no gap after ${after}`)
      t.same(more, [])
      t.ok(isEventId(gap.lastMissedId))
      t.same(ids, log.ids.filter((id) => compareEventIds(id, gap.lastMissedId) > 0), `all that is held, ${limit} at once`)
      t.equal(gap.oldestId, ids[0] ?? null)
      t.same((await log.readOn(gap.lastMissedId, limit)).gaps, [], 'from there on nothing is missing')
      over = { gap, held: ids }
    }
    return over
  }

  t.test('a log that was cut reports a gap', async (t) => {
    const log = await open(t, { size: 10 })
    // far more than its size, because a log may be cut in steps of a hundred
    const [first = ''] = await log.publishMany(500)
    for (const after of [log.start, first, '0-0', '1-0']) {
      const { gap, held } = await readOverGap(t, log, after)
      t.ok(compareEventIds(first, gap.lastMissedId) <= 0, 'the first is gone')
      t.ok(held.length >= 10, `${held.length} are held`)
      await until('the oldest of them', () => log.backplane.oldestId === gap.oldestId)
    }
    t.same(await log.backplane.read(log.backplane.newest, 10), { gap: null, events: [] })
  })

  t.test('an unknown id in a log that has all of its events is a gap', async (t) => {
    const log = await open(t)
    const [first = ''] = await log.publishMany(3)
    await until('an event of another ms', async () => split(await log.publish())[0] !== split(first)[0])
    await log.until(await log.publish())
    const last = log.ids.findLast((id) => split(id)[0] === split(first)[0]) ?? ''
    const unknown = {
      'from another log': '1-0', 'between two events': following(last), 'right after the newest': following(log.backplane.newest), 'from the future': GREATEST
    }
    for (const [where, id] of Object.entries(unknown)) t.same((await readOverGap(t, log, id)).held, log.ids, where)
  })

  t.test('an unknown id in an empty log is a gap', async (t) => {
    const log = await open(t)
    const { gap, held } = await readOverGap(t, log, GREATEST)
    t.same(held, [])
    await log.publishMany(3)
    t.same((await log.readOn(gap.lastMissedId, 2)).ids, log.ids, 'what comes then follows')
  })

  t.test('without history nothing is replayed, and all events before the newest are missing', async (t) => {
    const log = await open(t, { size: 0 })
    const [first = '', , third = ''] = await log.publishMany(4)
    const { newest } = log.backplane
    t.equal(log.ids.length, 4, 'all are received')
    t.equal(log.backplane.oldestId, null)
    t.same(await log.backplane.read(newest, 10), { gap: null, events: [] })
    for (const after of [log.start, first, third, GREATEST]) {
      t.same(await log.backplane.read(after, 10), { gap: { oldestId: null, lastMissedId: newest }, events: [] })
    }
  })

  t.test('an event past maxAge is dropped, a younger one is retained', async (t) => {
    const young = await open(t, { maxAge: 60_000 })
    await young.publishMany(300)
    const { ids, gaps } = await young.readOn(young.start, 100)
    t.same([ids, gaps], [young.ids, []])

    const log = await open(t, { maxAge: 100 })
    const [first = ''] = await log.publishMany(200)
    await wait(150)
    await log.publishMany(200)
    const { gap } = await log.backplane.read(log.start, 1_000)
    t.ok(gap !== null && compareEventIds(first, gap.lastMissedId) <= 0)
    t.same(await log.backplane.read(log.backplane.newest, 10), { gap: null, events: [] })
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
    const { ids, gaps, live } = await log.readOn(log.start, 20)
    await Promise.all(publishers)
    await log.publishMany(5)
    t.equal(log.ids.length, 505)
    t.ok(grow(log.ids))
    t.same([...ids, ...log.ids.slice(live)], log.ids)
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
    const { ids, gaps, live } = await log.readOn(log.start, 3)
    await Promise.all(publishers)
    await log.publishMany(5)
    t.equal(log.ids.length, 1_005)
    const got = [...ids, ...log.ids.slice(live)]
    t.ok(grow(got))
    t.ok(gaps.length > 0)
    const missed = (id: string) => gaps.some(({ after, lastMissedId }) => compareEventIds(after, id) < 0 && compareEventIds(id, lastMissedId) <= 0)
    t.same(log.ids.filter((id) => !missed(id)), got)
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
    await until('what was being published to be settled', () => settled)
    await wait(50)
    t.equal(log.received.length, count)
    t.ok(grow(log.ids))
  })

  t.test('close() can be called twice', async (t) => {
    const { backplane } = await open(t)
    await t.resolves(Promise.all([backplane.close(), backplane.close()]))
    await t.resolves(backplane.close())
    await t.rejects(async () => backplane.publish('all', '', ': x\n\n'), { code: 'SSE_ERR_CLOSING' })
  })
}
