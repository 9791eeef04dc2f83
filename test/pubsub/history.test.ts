import { deepStrictEqual } from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'tap'
import type { Audience, HistorySettings, Page, TopicHistory } from '../../lib/backplane.js'
import { History, publishedEvent } from '../../lib/pubsub/history.js'
import type { Kept } from '../../lib/pubsub/ring.js'
import { reader } from '../../lib/testing/backplane/log.js'
import { until } from '../helpers/until.js'

const START = '5-0'
const NEWS = reader(['news'])

/** An event whose time can be set. */
interface Aging extends Kept {
  time: number
}

function event (id: string, names: string[] = ['news'], to: Audience = 'topic', limits: Array<TopicHistory | null> | null = null): Aging {
  return publishedEvent(id, { to, names, except: null, limits, frame: `data: ${id}\n\n` })
}

function create (settings: Partial<HistorySettings> = {}): History {
  return new History({ size: 10, maxAge: 0, maxBytes: 1e9, ...settings }, START)
}

/** A history to which the events `5-1` to `5-<count>` were appended. */
function filled (count: number, size: number, maxAge = 0): History {
  const history = create({ size, maxAge })
  for (let n = 1; n <= count; n++) history.append(event(`5-${n}`))
  return history
}

/** The ids after a position, read in pages. */
function readOn (history: History, after: string, limit: number, of = NEWS): string[] {
  const ids: string[] = []
  for (let position = after; position !== history.newest;) {
    const page = history.read(position, of, limit)
    deepStrictEqual(page.gap, null)
    ids.push(...idsOf(page))
    position = page.position
  }
  return ids
}

function idsOf ({ events }: Pick<Page, 'events'>): string[] {
  return events.map(({ id }) => id)
}

/** `5-<first>` to `5-<last>` */
function range (first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `5-${first + i}`)
}

test('readers of the same events share a page', async (t) => {
  t.test('readers with the same topics and position share a page until the log changes', async (t) => {
    const history = filled(3, 10)
    const page = history.read(START, NEWS, 10)
    t.equal(history.read(START, { ...NEWS, clientId: 'another' }, 10), page)
    t.equal(history.read(START, reader(['news']), 10), page, 'another Set')
    t.not(history.read(START, reader(['news', 'weather']), 10), page)
    t.not(history.read(START, reader(['weather']), 10), page)
    for (const change of [() => history.append(event('5-4')), () => history.advance('5-5')]) {
      const before = history.read(START, NEWS, 10)
      change()
      t.not(history.read(START, NEWS, 10), before)
    }
    t.strictSame(idsOf(history.read(START, NEWS, 10)), range(1, 4))
    t.strictSame(idsOf(history.read(START, NEWS, 2)), range(1, 2))
    t.strictSame(idsOf(history.read('5-1', NEWS, 2)), range(2, 3))
  })

  t.test('a page is shared by the topics of its read, also after its reader has changed its Set', async (t) => {
    const history = filled(3, 10)
    const topics = new Set(['news'])
    const page = history.read(START, { ...NEWS, topics }, 10)
    topics.add('weather')
    t.not(history.read(START, reader(['news', 'weather']), 10), page)
    topics.delete('news')
    t.not(history.read(START, reader(['weather']), 10), page)
    t.equal(history.read(START, NEWS, 10), page)
  })

  t.test('a reader whose client id has events, or that rewinds, has a page that no other reader gets', async (t) => {
    const history = filled(3, 10)
    history.append(event('5-4', ['ann'], 'client'))
    const ann = { ...NEWS, clientId: 'ann' }
    t.strictSame(idsOf(history.read(START, NEWS, 10)), range(1, 3))
    t.strictSame(idsOf(history.read(START, ann, 10)), range(1, 4))
    t.strictSame(idsOf(history.read(START, NEWS, 10)), range(1, 3))
    t.strictSame(idsOf(history.read(START, { ...NEWS, from: history.rewind(NEWS.topics, 1) }, 10)), range(3, 3))
    t.strictSame(idsOf(history.read(START, NEWS, 10)), range(1, 3))
  })

  t.test('a shared page has no event that has expired since', async (t) => {
    const history = create({ maxAge: 100 })
    const old = event('5-1')
    history.append(old)
    history.append(event('5-2'))
    t.strictSame(idsOf(history.read(START, NEWS, 10)), range(1, 2))
    old.time -= 200
    t.match(history.read(START, NEWS, 10), { gap: { lastMissedId: '5-1' } })
    t.equal(history.readWhole(START, NEWS, 10), null)
  })
})

test('the retained events', async (t) => {
  t.test('a new history retains nothing and has no gap', async (t) => {
    const history = filled(0, 3)
    t.equal(history.newest, START)
    t.equal(history.oldestId, null)
    t.same(history.read(START, NEWS, 10), { gap: null, events: [], position: START })
  })

  t.test('a topic grows up to its size, then drops its oldest event', async (t) => {
    for (let count = 1; count <= 100; count++) {
      const history = filled(count, 4)
      const oldest = Math.max(1, count - 3)
      t.equal(history.newest, `5-${count}`)
      t.equal(history.oldestId, `5-${oldest}`)
      const lastMissedId = `5-${oldest - 1}`
      t.same(readOn(history, lastMissedId, 10), range(oldest, count), `${count} events, all that are held`)
      t.same(history.read('1-0', NEWS, 10).gap, { oldestId: `5-${oldest}`, lastMissedId }, `${count} events, the others missing`)
    }
  })

  t.test('events are read in pages, and the position is that of the last event, or the newest after all', async (t) => {
    for (let count = 5; count <= 10; count++) {
      const history = filled(count, 5)
      history.append(event('6-0', ['other']))
      for (let limit = 1; limit <= 6; limit++) {
        t.same(readOn(history, `5-${count - 5}`, limit), range(count - 4, count), `${count} events, ${limit} at once`)
        const page = history.read(`5-${count - 5}`, NEWS, limit)
        t.same(idsOf(page), range(count - 4, Math.min(count, count - 5 + limit)))
        t.equal(page.position, limit <= 5 ? idsOf(page).at(-1) : '6-0')
      }
    }
  })

  t.test('a history returns the same event objects that were appended', async (t) => {
    const history = filled(2, 2)
    const appended = event('5-3')
    history.append(appended)
    t.equal(history.read('5-2', NEWS, 1).events[0], appended)
  })

  t.test('with size 0 only the newest position is known', async (t) => {
    const history = filled(3, 0)
    t.equal(history.newest, '5-3')
    t.equal(history.oldestId, null)
    t.same(history.size.bytes, 0)
    t.same(history.read('5-3', NEWS, 10), { gap: null, events: [], position: '5-3' })
    for (const after of [START, '5-1', '5-2']) t.same(history.read(after, NEWS, 10), { gap: { oldestId: null, lastMissedId: '5-3' }, events: [], position: '5-3' }, after)
  })

  t.test('with size 1 the newest event is retained', async (t) => {
    const history = filled(3, 1)
    t.equal(history.oldestId, '5-3')
    t.same(idsOf(history.read('5-2', NEWS, 10)), ['5-3'])
    const { gap, events } = history.read('5-1', NEWS, 10)
    t.same([gap, events.length], [{ oldestId: '5-3', lastMissedId: '5-2' }, 1])
  })

  t.test('an entry that is not kept moves the end of the log', async (t) => {
    const history = filled(2, 3)
    history.advance('6-0')
    t.same([history.newest, history.read('5-2', NEWS, 10)], ['6-0', { gap: null, events: [], position: '6-0' }])
  })
})

test('an event for several topics', async (t) => {
  t.test('a reader of several of its topics gets it once, in the order of the log', async (t) => {
    const history = create()
    for (const [id, ...names] of [['5-1', 'a'], ['5-2', 'c'], ['5-3', 'a', 'b', 'c'], ['5-4', 'b'], ['5-5', 'c', 'a'], ['5-6', 'd'], ['5-7', 'b']] as const) history.append(event(id, [...names]))
    for (let limit = 1; limit < 8; limit++) {
      t.same(readOn(history, START, limit, reader(['a', 'b', 'c'])), ['5-1', '5-2', '5-3', '5-4', '5-5', '5-7'])
      t.same(readOn(history, '5-2', limit, reader(['c', 'a'])), ['5-3', '5-5'])
      t.same(readOn(history, START, limit, reader(['none', 'b'])), ['5-3', '5-4', '5-7'])
    }
    const topics = Array.from({ length: 50 }, (_, i) => `t${i}`)
    const ids = Array.from({ length: 200 }, (_, i) => `6-${i}`)
    for (const [i, id] of ids.entries()) history.append(event(id, [topics[(i * 7) % 50] ?? '', topics[(i * 31 + 1) % 50] ?? ''].filter((name, j, all) => all.indexOf(name) === j)))
    t.same(readOn(history, '5-7', 7, reader(topics)), ids)
  })

  t.test('a loss in one topic is a gap also if another topic still has the newest event that was dropped', async (t) => {
    const history = create({ size: 1 })
    for (const [id, names] of [['5-1', ['b']], ['5-2', ['a']], ['5-3', ['a', 'b']], ['5-4', ['a']]] as const) history.append(event(id, [...names]))
    const both = reader(['a', 'b'])
    t.same(history.read('5-1', both, 10), { gap: { oldestId: '5-3', lastMissedId: '5-3' }, events: history.read('5-3', both, 10).events, position: '5-4' })
    t.same(readOn(history, '5-2', 10, reader(['b'])), ['5-3'])
    t.same(readOn(history, '5-3', 10, both), ['5-4'])
  })

  t.test('topics of one event may have different limits, also none at all', async (t) => {
    const history = create()
    const limits = [{ size: 0, maxAge: 0 }, { size: 2, maxAge: 0 }, null]
    for (let n = 1; n <= 5; n++) history.append(event(`5-${n}`, ['none', 'two', 'all'], 'topic', limits))
    t.same(history.read(START, reader(['none']), 9), { gap: { oldestId: '5-1', lastMissedId: '5-5' }, events: [], position: '5-5' })
    t.same(idsOf(history.read('5-3', reader(['two']), 9)), ['5-4', '5-5'])
    t.same(history.read('5-2', reader(['two']), 9).gap, { oldestId: '5-1', lastMissedId: '5-3' })
    t.same(readOn(history, START, 2, reader(['all'])), range(1, 5))
    const { bytes } = history.size
    for (let n = 6; n <= 105; n++) history.append(event(`5-${n}`, ['none', 'all', 'two'], 'topic', [limits[0] ?? null, null, limits[1] ?? null]))
    t.ok(history.size.bytes < 3 * bytes, 'the memory of dropped events is counted once')
    t.equal(history.oldestId, '5-96')
  })

  t.test('client ids and topics with the same name are apart', async (t) => {
    const history = create()
    history.append(event('5-1', ['ann'], 'client'))
    history.append(event('5-2', ['ann']))
    history.append(event('5-3', [], 'all'))
    t.same(readOn(history, START, 9, reader([], 'ann')), ['5-1', '5-3'])
    t.same(readOn(history, START, 9, reader(['ann'], 'bob')), ['5-2', '5-3'])
  })
})

test('positions in a history', async (t) => {
  t.test('the positions of retained events are known', async (t) => {
    const history = filled(8, 4)
    for (let n = 5; n <= 8; n++) {
      const page = history.read(`5-${n}`, NEWS, 10)
      t.equal(page.gap, null)
      t.same(idsOf(page), range(n + 1, 8))
      t.same(history.readWhole(`5-${n}`, NEWS, 10), page)
    }
  })

  t.test('the position right before the oldest retained event is known', async (t) => {
    t.same(readOn(filled(3, 4), START, 10), range(1, 3))
    t.same(readOn(filled(8, 4), '5-4', 10), range(5, 8))
  })

  t.test('events of other topics that are older than a loss come before the gap', async (t) => {
    const both = reader(['a', 'b'])
    const quiet = create({ size: 2 })
    for (const [id, name] of [['5-1', 'a'], ['5-2', 'b'], ['5-3', 'a'], ['5-4', 'b'], ['5-5', 'b'], ['5-6', 'b'], ['5-7', 'a']] as const) quiet.append(event(id, [name], 'topic', [name === 'a' ? { size: 9, maxAge: 0 } : null]))
    for (const [limit, ids, position] of [[10, ['5-1', '5-3'], '5-3'], [1, ['5-1'], '5-1']] as const) {
      t.equal(quiet.readWhole(START, both, limit), null)
      const page = quiet.read(START, both, limit)
      t.same([page.gap, idsOf(page), page.position], [null, ids, position])
    }
    const page = quiet.read('5-3', both, 10)
    t.same([page.gap, idsOf(page), page.position], [{ oldestId: '5-1', lastMissedId: '5-4' }, ['5-5', '5-6', '5-7'], '5-7'])
  })

  t.test('after a gap reading continues from the position of the page, or from `lastMissedId`', async (t) => {
    const history = filled(20, 6)
    const { gap, events, position } = history.read('5-3', NEWS, 2)
    t.same(gap, { oldestId: '5-15', lastMissedId: '5-14' })
    t.same([events.length, position], [2, '5-16'])
    t.same(readOn(history, '5-14', 2), range(15, 20))
    t.same(readOn(history, '5-16', 2), range(17, 20))
  })

  t.test('reading does not change a history', async (t) => {
    const history = filled(8, 4)
    for (const after of ['1-0', '5-4', '5-6', '5-8', '9-0']) t.same(history.read(after, NEWS, 3), history.read(after, NEWS, 3))
    t.same([history.newest, history.oldestId], ['5-8', '5-5'])
  })
})

test('a limit of 0 returns no event, but the gap', async (t) => {
  const history = filled(8, 4)
  t.same(history.read('5-5', NEWS, 0), { gap: null, events: [], position: '5-5' })
  t.same(history.read('5-1', NEWS, 0), { gap: { oldestId: '5-5', lastMissedId: '5-4' }, events: [], position: '5-4' })
})

test('positions of a rewind', async (t) => {
  const history = create({ size: 3 })
  for (const [id, name] of [['5-1', 'a'], ['5-2', 'b'], ['5-3', 'a'], ['5-4', 'a'], ['5-5', 'a'], ['5-6', 'old']] as const) history.append(event(id, [name], 'topic', name === 'old' ? [{ size: 3, maxAge: 30_000 }] : null))
  const topics = new Set(['a', 'b', 'c'])
  for (const [count, a, b] of [[1, '5-4', START], [2, '5-3', START], [3, '5-1', START], [4, '5-1', START], [Infinity, '5-1', START]] as const) {
    const from = history.rewind(topics, count)
    t.same(from, { topics: new Map([['a', a], ['b', b], ['c', START]]), others: '5-6' }, `${count}`)
    t.same(history.read('0-0', { topics, clientId: 'ann', from }, 10).gap, null)
  }
  const [old] = history.read('5-5', reader(['old']), 1).events as Aging[]
  if (old !== undefined) old.time -= 60_000
  t.same(history.rewind(new Set(['old']), 1).topics, new Map([['old', '5-6']]), 'an event past maxAge is dropped')
  const from = history.rewind(topics, 3)
  for (const id of ['5-7', '5-8']) history.append(event(id, ['a']))
  const page = history.read('0-0', { topics, clientId: 'ann', from }, 10)
  t.same([page.gap, idsOf(page)], [null, ['5-2']], 'events that were dropped after the rewind are a gap')
  t.same(history.read('5-2', { topics, clientId: 'ann', from }, 10).gap?.lastMissedId, '5-4')
})

test('the age of events', async (t) => {
  t.test('an event past maxAge is dropped, with or without later events', async (t) => {
    const history = filled(3, 10, 150)
    const [first] = history.read(START, NEWS, 1).events
    t.equal(history.oldestId, '5-1', 'held at first')
    await until('the end of its time', () => history.oldestId === null)
    t.ok(performance.now() - Number(first?.time) > 150, 'not before its time')
    t.equal(history.newest, '5-3', 'the position stays')
    t.same(history.read('5-3', NEWS, 10), { gap: null, events: [], position: '5-3' }, 'after which nothing is missing')
    t.same(history.read('5-2', NEWS, 10), { gap: { oldestId: null, lastMissedId: '5-3' }, events: [], position: '5-3' })
    history.append(event('7-0'))
    t.same(readOn(history, '5-3', 10), ['7-0'])
    t.same(history.read('5-2', NEWS, 10).gap, { oldestId: '7-0', lastMissedId: '5-3' })
  })

  t.test('read and oldestId both drop events past maxAge', async (t) => {
    for (const size of [3, 4, 10]) {
      const recent = event('5-4')
      const setUp = () => {
        const old = [event('5-1'), event('5-2'), event('5-3')]
        const history = create({ size, maxAge: 30_000 })
        for (const each of [...old, recent]) history.append(each)
        for (const each of old) each.time -= 60_000
        return history
      }
      t.same(setUp().read('5-3', NEWS, 10), { gap: null, events: [recent], position: '5-4' })
      t.same(setUp().read('5-2', NEWS, 10).gap?.lastMissedId, '5-3')
    }
  })

  t.test('an event stays in a topic with a longer maxAge after another topic has dropped it', async (t) => {
    const history = create()
    const shared = event('5-1', ['short', 'long'], 'topic', [{ size: 9, maxAge: 100 }, { size: 9, maxAge: 100_000 }])
    history.append(shared)
    shared.time -= 1_000
    t.equal(history.read(START, reader(['short']), 9).gap?.lastMissedId, '5-1')
    t.same(readOn(history, START, 9, reader(['long'])), ['5-1'])
    t.equal(history.oldestId, '5-1')
  })

  t.test('events past maxAge can be garbage-collected', async (t) => {
    setFlagsFromString('--expose-gc')
    const collectGarbage: () => void = runInNewContext('gc')
    const setUp = () => {
      const history = create({ size: 3, maxAge: 150 })
      const old = [1, 2, 3, 4, 5].map((n) => new WeakRef(event(`5-${n}`)))
      for (const ref of old) history.append(ref.deref() ?? event('never'))
      return { history, old }
    }
    const lookers = [(history: History) => history.oldestId, (history: History) => history.append(event('6-0'))]
    for (const [i, look] of lookers.entries()) {
      const { history, old } = setUp()
      await new Promise((resolve) => { setTimeout(resolve, 200) })
      look(history)
      await until('the events to be collected', () => {
        collectGarbage()
        return old.every((event) => event.deref() === undefined)
      })
      t.equal(history.newest, ['5-5', '6-0'][i])
    }
  })

  t.test('maxAge 0 is no limit', async (t) => {
    const history = create({ size: 3 })
    history.append({ ...event('5-1'), time: -Infinity })
    t.same(readOn(history, START, 10), ['5-1'])
  })
})

test('the memory of a history', async (t) => {
  const bytes = (history: History) => history.size.bytes
  /** The bytes that are counted for one event of these tests. */
  const one = bytes(filled(1, 1))

  t.test('above maxBytes the oldest events are dropped, whatever their topic', async (t) => {
    const history = create({ maxBytes: 3 * one })
    for (const [id, names, to] of [['5-1', ['a'], 'topic'], ['5-2', ['ann'], 'client'], ['5-3', [], 'all'], ['5-4', ['a', 'b'], 'topic']] as const) history.append(event(id, [...names], to))
    t.equal(history.oldestId, '5-2')
    t.equal(history.read(START, reader(['a']), 9).gap?.lastMissedId, '5-1')
    t.same(readOn(history, '5-1', 9, reader(['b'], 'ann')), ['5-2', '5-3', '5-4'])
    for (const id of ['5-5', '5-6']) history.append(event(id, ['c']))
    t.equal(history.oldestId, '5-4')
    t.equal(history.read('5-2', reader([]), 9).gap?.lastMissedId, '5-3', 'a broadcast is missing')
    t.ok(bytes(history) <= 3 * one)
  })

  t.test('an event larger than maxBytes is not kept', async (t) => {
    const history = create({ maxBytes: one - 1 })
    history.append(event('5-1', ['a', 'b']))
    t.same([history.size, history.oldestId, history.newest], [{ bytes: 0, names: 2 }, null, '5-1'])
    t.same(history.read(START, reader(['b']), 9), { gap: { oldestId: null, lastMissedId: '5-1' }, events: [], position: '5-1' })
  })

  t.test('topics that are each used once stay within maxBytes, and the loss of each is known', async (t) => {
    const history = create({ maxBytes: 1_000 * one })
    const ids = Array.from({ length: 30_000 }, (_, i) => `${6 + i}-0`)
    for (const [i, id] of ids.entries()) history.append(event(id, i % 2 === 0 ? [`t${i}`] : [`t${i}`, `${i}`]))
    const { bytes, names } = history.size
    t.ok(bytes <= 1_000 * one)
    t.ok(names <= 12_000, `${names} names`)
    const at = (i: number, after = START) => history.read(after, reader([`t${i}`]), 9)
    for (const i of [0, 5_000, 20_000, 28_000]) t.ok(at(i).gap !== null, `the event of t${i} is missing`)
    t.same([at(28_000).gap?.lastMissedId, at(28_000, ids[28_000]).gap], [ids[28_000], null], 'exact for a topic that became empty lately')
    t.same(idsOf(history.read(ids[29_989] ?? '', reader(['t29990']), 9)), [ids[29_990]])
    const floor = at(0).gap?.lastMissedId ?? ''
    t.same(history.read(floor, reader(['t0', 'never used']), 9).gap, null)
    t.equal(history.read(START, reader(['never used']), 9).gap?.lastMissedId, floor, 'events of an unknown topic may be missing')
    t.equal(history.rewind(new Set(['t0']), 1).topics.get('t0'), floor)
    history.append(event('99999-0', ['t0']))
    t.equal(at(0).gap?.lastMissedId, floor)
    t.same(readOn(history, floor, 9, reader(['t0'])), ['99999-0'])
  })

  t.test('a topic that is used again is no longer an empty one', async (t) => {
    const history = create()
    const none = [{ size: 0, maxAge: 0 }]
    history.append(event('5-1', ['again'], 'topic', none))
    history.append(event('5-2', ['again']))
    for (let i = 0; i < 12_000; i++) history.append(event(`6-${i}`, [`t${i}`], 'topic', none))
    t.same(readOn(history, '5-1', 9, reader(['again'])), ['5-2'])
    t.equal(history.size.names, 10_001)
  })

  t.test('an event is dropped after one of its topics is forgotten', async (t) => {
    const history = create()
    const none = [{ size: 0, maxAge: 0 }, { size: 1, maxAge: 1_500 }]
    history.append(event('5-1', ['forgotten', 'kept'], 'topic', none))
    for (let i = 0; i < 11_000; i++) history.append(event(`6-${i}`, [`t${i}`], 'topic', none))
    await until('the end of its time', () => history.oldestId === null)
    t.equal(history.size.bytes, 0)
  })
})
