import { equal, ok } from 'node:assert/strict'
import fc from 'fast-check'
import { test, type Test } from 'tap'
import { compareEventIds, EventIds, isEventId, nextId, previousId } from '../../lib/event/id.js'

const GREATEST = 2n ** 64n - 1n

const halves = fc.tuple(fc.bigInt({ min: 0n, max: GREATEST }), fc.bigInt({ min: 0n, max: GREATEST }))
const write = ([ms, n]: [bigint, bigint]): string => `${ms}-${n}`

test('the form of an id', async (t) => {
  t.test('an id is two whole numbers with a dash between them', async (t) => {
    for (const id of ['0-0', '0-1', '1-0', '9-12', '1700000000000-0', `${GREATEST}-0`, `0-${GREATEST}`, `${GREATEST}-${GREATEST}`]) {
      t.ok(isEventId(id), id)
    }
    fc.assert(fc.property(halves, (pair) => isEventId(write(pair))))
  })

  t.test('other text is not an id', async (t) => {
    const others = [
      '', '-', '1', '1-', '-1', '1--1', '-1-1', '1-1-1', '1-1-', 'a-b', '1-b', 'a-1', '0x1-1', '1e3-1', '1.5-1', '1,5-1', '+1-1', '1-+1',
      ' 1-1', '1-1 ', '1 -1', '1- 1', '1-1\n', '\n1-1', '1-1\r', '1-1\0', '1_1', '1–1', '1-1,2-1', '١-١', '１-１', '$', '*', '1-*',
      'undefined', 'null-null', 'NaN-NaN', '2026-11-21', 'f81d4fae-7dec-11d0-a765-00a0c91e6bf6'
    ]
    for (const text of others) t.notOk(isEventId(text), JSON.stringify(text))
  })

  t.test('an id has no leading zeros, so that each position has one form', async (t) => {
    for (const text of ['00-0', '0-00', '01-0', '0-01', '007-7', '7-007', `0${GREATEST}-0`, `0-0${GREATEST}`]) t.notOk(isEventId(text), text)
  })

  t.test('the numbers of an id have 64 bits', async (t) => {
    for (const number of [GREATEST + 1n, GREATEST + 10n, 20000000000000000000n, 99999999999999999999n, GREATEST * 10n, 10n ** 100n]) {
      t.notOk(isEventId(`${number}-0`), `${number}-0`)
      t.notOk(isEventId(`0-${number}`), `0-${number}`)
    }
    for (const number of [GREATEST - 1n, 10000000000000000000n, 9999999999999999999n, 2n ** 63n]) t.ok(isEventId(`${number}-${number}`), `${number}`)
  })
})

test('the order of ids', async (t) => {
  t.test('ids are ordered by their numbers, not as text', async (t) => {
    const ordered = [
      '0-0', '0-1', '0-9', '0-12', '0-100', '1-0', '1-9', '9-0', '9-12', '12-9', '100-0',
      // adjacent numbers that are equal as doubles
      '9007199254740992-0', '9007199254740993-0', '9007199254740993-9007199254740992', '9007199254740993-9007199254740993',
      `${GREATEST - 1n}-${GREATEST}`, `${GREATEST}-0`, `${GREATEST}-${GREATEST - 1n}`, `${GREATEST}-${GREATEST}`
    ]
    for (const [i, a] of ordered.entries()) {
      for (const [j, b] of ordered.entries()) t.equal(Math.sign(compareEventIds(a, b)), Math.sign(i - j), `${a} and ${b}`)
    }
  })

  t.test('random ids are ordered by their numbers', async () => {
    // including neighbours: of the same ms, or a few ms apart
    const near = fc.tuple(halves, fc.bigInt({ min: 0n, max: 3n }), fc.bigInt({ min: 0n, max: 20n }))
      .map(([[ms, n], x, y]): [[bigint, bigint], [bigint, bigint]] => [[ms, n], [ms > x ? ms - x : ms, n > y ? n - y : n]])
    fc.assert(fc.property(fc.oneof(fc.tuple(halves, halves), near), ([a, b]) => {
      const expected = a[0] === b[0] ? a[1] - b[1] : a[0] - b[0]
      equal(Math.sign(compareEventIds(write(a), write(b))), expected > 0n ? 1 : expected < 0n ? -1 : 0)
      equal(Math.sign(compareEventIds(write(b), write(a))), expected > 0n ? -1 : expected < 0n ? 1 : 0)
    }))
  })
})

/** Replaces the clock with one that the test sets. */
function setClock (t: Test, now: number): { now: number } {
  const clock = { now }
  t.intercept(Date, 'now', { value: () => clock.now })
  return clock
}

test('the generated ids', async (t) => {
  t.test('generated ids have the time, and a counter within a ms', async (t) => {
    const clock = setClock(t, 1_700_000_000_000)
    const ids = new EventIds(0)
    clock.now++
    t.same([ids.next(), ids.next(), ids.next()], ['1700000000001-0', '1700000000001-1', '1700000000001-2'])
    clock.now += 5
    t.same([ids.next(), ids.next()], ['1700000000006-0', '1700000000006-1'])
  })

  t.test('generated ids differ from those of another process in the same ms', async (t) => {
    setClock(t, 1_000)
    const [here, there] = [new EventIds(), new EventIds()].map((ids) => Array.from({ length: 1_000 }, () => ids.next()))
    t.notOk(here?.some((id) => there?.includes(id)))
  })

  t.test('the position before the first id is not a generated id', async (t) => {
    setClock(t, 1_000)
    const ids = new EventIds(0)
    const start = ids.last
    t.ok(isEventId(start))
    t.equal(ids.last, start, 'which stays')
    const first = ids.next()
    t.ok(compareEventIds(start, first) < 0, 'also within the same ms')
    t.equal(ids.last, first)
    t.equal(ids.next(), ids.last)
  })

  t.test('generated ids grow while the clock stands still', async (t) => {
    setClock(t, 1_000)
    const ids = new EventIds(0)
    let last = ids.last
    for (let i = 0; i < 1_000; i++) {
      const id = ids.next()
      if (!isEventId(id) || compareEventIds(last, id) >= 0) t.fail(`${id} after ${last}`)
      last = id
    }
    t.equal(last, '1000-1000')
  })

  t.test('generated ids grow when the clock steps back, and have the time again once it has caught up', async (t) => {
    const clock = setClock(t, 1_000)
    const ids = new EventIds(0)
    clock.now = 2_000
    const given = [ids.next()]
    for (clock.now = 1_500; clock.now <= 2_000; clock.now += 100) given.push(ids.next())
    t.same(given, ['2000-0', '2000-1', '2000-2', '2000-3', '2000-4', '2000-5', '2000-6'])
    clock.now = 2_001
    t.equal(ids.next(), '2001-0')
    clock.now = 0
    t.equal(ids.next(), '2001-1')
  })

  t.test('generated ids grow with any clock', async (t) => {
    const clock = setClock(t, 0)
    fc.assert(fc.property(fc.array(fc.integer({ min: 0, max: 30 }), { minLength: 1, maxLength: 50 }), (times) => {
      const ids = new EventIds(0)
      let last = ids.last
      for (clock.now of times) {
        const id = ids.next()
        ok(isEventId(id) && compareEventIds(last, id) < 0, `${id} after ${last}`)
        equal(ids.last, id)
        last = id
      }
    }))
  })
})

test('previousId and nextId return adjacent positions', async (t) => {
  for (const [position, next] of [['0-0', '0-1'], ['1-9', '1-10'], ['9007199254740993-1', '9007199254740993-2'], [`9-${GREATEST}`, '10-0'], [`9999-${GREATEST}`, '10000-0']] as const) {
    t.equal(nextId(position), next)
    t.equal(previousId(next), position)
    t.ok(compareEventIds(position, next) < 0)
  }
})
