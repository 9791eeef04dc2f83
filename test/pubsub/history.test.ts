import { deepStrictEqual } from 'node:assert/strict'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { test } from 'tap'
import type { Page, PublishedEvent } from '../../lib/backplane.js'
import { History, publishedEvent } from '../../lib/pubsub/history.js'
import { until } from '../helpers/until.js'

const START = '5-0'

/** An event whose time can be set. */
interface Aging extends PublishedEvent {
  time: number
}

function event (id: string): Aging {
  return publishedEvent(id, 'topic', 'news', `data: ${id}\n\n`)
}

/** A history to which the events `5-1` to `5-<count>` were appended. */
function filled (count: number, size: number, maxAge = 0): History {
  const history = new History({ size, maxAge }, START)
  for (let n = 1; n <= count; n++) history.append(event(`5-${n}`))
  return history
}

/** The ids after a position, read in pages. */
function readOn (history: History, after: string, limit: number): string[] {
  const ids: string[] = []
  for (;;) {
    const page = history.read(ids.at(-1) ?? after, limit)
    deepStrictEqual(page.gap, null)
    if (page.events.length === 0) return ids
    ids.push(...idsOf(page))
  }
}

function idsOf ({ events }: Page): string[] {
  return events.map(({ id }) => id)
}

/** `5-<first>` to `5-<last>` */
function range (first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, i) => `5-${first + i}`)
}

test('the retained events', async (t) => {
  t.test('a new history retains nothing and has no gap', async (t) => {
    const history = filled(0, 3)
    t.equal(history.newest, START)
    t.equal(history.oldestId, null)
    t.same(history.read(START, 10), { gap: null, events: [] })
  })

  t.test('a history grows up to its size, then overwrites its oldest event', async (t) => {
    for (let count = 1; count <= 20; count++) {
      const history = filled(count, 4)
      const oldest = Math.max(1, count - 3)
      t.equal(history.newest, `5-${count}`)
      t.equal(history.oldestId, `5-${oldest}`)
      const lastMissedId = `5-${oldest - 1}`
      t.same(readOn(history, lastMissedId, 10), range(oldest, count), `${count} events, all that are held`)
      t.same(history.read('1-0', 10).gap, { oldestId: `5-${oldest}`, lastMissedId }, `${count} events, the others missing`)
    }
  })

  t.test('events are read in pages, also across the end of the ring', async (t) => {
    for (let count = 5; count <= 10; count++) {
      const history = filled(count, 5)
      for (let limit = 1; limit <= 6; limit++) {
        t.same(readOn(history, `5-${count - 5}`, limit), range(count - 4, count), `${count} events, ${limit} at once`)
        t.same(idsOf(history.read(`5-${count - 4}`, limit)), range(count - 3, Math.min(count, count - 4 + limit)))
      }
    }
  })

  t.test('a history returns the same event objects that were appended', async (t) => {
    const history = filled(2, 2)
    const appended = event('5-3')
    history.append(appended)
    t.equal(history.read('5-2', 1).events[0], appended)
  })

  t.test('with size 0 only the newest position is known', async (t) => {
    const history = filled(3, 0)
    t.equal(history.newest, '5-3')
    t.equal(history.oldestId, null)
    t.same(history.read('5-3', 10), { gap: null, events: [] })
    for (const after of [START, '5-1', '5-2', '5-4']) t.same(history.read(after, 10), { gap: { oldestId: null, lastMissedId: '5-3' }, events: [] }, after)
  })

  t.test('with size 1 the newest event is retained', async (t) => {
    const history = filled(3, 1)
    t.equal(history.oldestId, '5-3')
    t.same(idsOf(history.read('5-2', 10)), ['5-3'])
    t.same(history.read('5-3', 10), { gap: null, events: [] })
    const { gap, events } = history.read('5-1', 10)
    t.same([gap, events.length], [{ oldestId: '5-3', lastMissedId: '5-2' }, 1])
  })
})

test('positions in a history', async (t) => {
  t.test('the positions of retained events are known', async (t) => {
    const history = filled(8, 4)
    for (let n = 5; n <= 8; n++) {
      const page = history.read(`5-${n}`, 10)
      t.equal(page.gap, null)
      t.same(idsOf(page), range(n + 1, 8))
    }
  })

  t.test('the position right before the oldest retained event is known', async (t) => {
    t.same(readOn(filled(3, 4), START, 10), range(1, 3))
    t.same(readOn(filled(8, 4), '5-4', 10), range(5, 8))
  })

  t.test('from an unknown position there is a gap, and all retained events follow', async (t) => {
    const history = new History({ size: 3, maxAge: 0 }, '5-0')
    for (const id of ['5-2', '5-9', '5-12', '8-3', '8-5']) history.append(event(id))
    const positions = {
      'before the log': ['0-0', '4-9', START],
      'of an event that is forgotten': ['5-2'],
      'between two that are': ['5-1', '5-5'],
      'just before the oldest': ['5-10', '5-11'],
      'between two that are held': ['5-13', '6-0', '8-1', '8-4'],
      'from the future': ['8-6', '9-0', '18446744073709551615-18446744073709551615']
    }
    for (const [where, ids] of Object.entries(positions)) {
      for (const id of ids) {
        const page = history.read(id, 10)
        t.same(page.gap, { oldestId: '5-12', lastMissedId: '5-9' }, `${id}, ${where}`)
        t.same(idsOf(page), ['5-12', '8-3', '8-5'], `${id}, ${where}`)
      }
    }
  })

  t.test('after a gap reading continues from `lastMissedId`, or from the last event of the page', async (t) => {
    const history = filled(20, 6)
    const { gap, events } = history.read('5-3', 2)
    t.same(gap, { oldestId: '5-15', lastMissedId: '5-14' })
    t.equal(events.length, 2)
    t.same(readOn(history, '5-14', 2), range(15, 20))
    t.same(readOn(history, '5-16', 2), range(17, 20))
  })

  t.test('reading does not change a history', async (t) => {
    const history = filled(8, 4)
    for (const after of ['1-0', '5-4', '5-6', '5-8', '9-0']) t.same(history.read(after, 3), history.read(after, 3))
    t.same([history.newest, history.oldestId], ['5-8', '5-5'])
  })
})

test('a limit of 0 returns no event, but the gap', async (t) => {
  const history = filled(8, 4)
  t.same(history.read('5-5', 0), { gap: null, events: [] })
  t.same(history.read('5-1', 0), { gap: { oldestId: '5-5', lastMissedId: '5-4' }, events: [] })
})

test('the age of events', async (t) => {
  t.test('an event past maxAge is dropped, with or without later events', async (t) => {
    const history = filled(3, 10, 150)
    const [first] = history.read(START, 1).events
    t.equal(history.oldestId, '5-1', 'held at first')
    await until('the end of its time', () => history.oldestId === null)
    t.ok(performance.now() - Number(first?.time) > 150, 'not before its time')
    t.equal(history.newest, '5-3', 'the position stays')
    t.same(history.read('5-3', 10), { gap: null, events: [] }, 'after which nothing is missing')
    t.same(history.read('5-2', 10), { gap: { oldestId: null, lastMissedId: '5-3' }, events: [] })
    history.append(event('7-0'))
    t.same(readOn(history, '5-3', 10), ['7-0'])
    t.same(history.read('5-2', 10).gap, { oldestId: '7-0', lastMissedId: '5-3' })
  })

  t.test('read and oldestId both drop events past maxAge', async (t) => {
    for (const size of [3, 4, 10]) {
      const recent = event('5-4')
      const setUp = () => {
        const old = [event('5-1'), event('5-2'), event('5-3')]
        const history = new History({ size, maxAge: 30_000 }, START)
        for (const each of [...old, recent]) history.append(each)
        for (const each of old) each.time -= 60_000
        return history
      }
      t.same(setUp().read('5-3', 10), { gap: null, events: [recent] })
      t.same(setUp().read('5-2', 10), { gap: { oldestId: '5-4', lastMissedId: '5-3' }, events: [recent] })
      t.equal(setUp().oldestId, '5-4')
    }
  })

  t.test('events past maxAge can be garbage-collected', async (t) => {
    setFlagsFromString('--expose-gc')
    const collectGarbage: () => void = runInNewContext('gc')
    const setUp = () => {
      const history = new History({ size: 3, maxAge: 30_000 }, START)
      const old = [1, 2, 3, 4, 5].map((n) => event(`5-${n}`))
      for (const each of old) history.append(each)
      for (const each of old) each.time -= 60_000
      return { history, old: old.map((each) => new WeakRef(each)) }
    }
    const lookers = [(history: History) => history.oldestId, (history: History) => history.append(event('6-0'))]
    for (const [i, look] of lookers.entries()) {
      const { history, old } = setUp()
      look(history)
      await until('the events to be collected', () => {
        collectGarbage()
        return old.every((event) => event.deref() === undefined)
      })
      t.equal(history.newest, ['5-5', '6-0'][i])
    }
  })

  t.test('maxAge 0 is no limit', async (t) => {
    const history = new History({ size: 3, maxAge: 0 }, START)
    history.append({ ...event('5-1'), time: -Infinity })
    t.same(readOn(history, START, 10), ['5-1'])
  })
})

/** A model of a history, with an array: positions are whole numbers, and `lastMissedId` is the position of the newest event that is not retained. */
class Model {
  held: Array<{ place: number, event: Aging }> = []
  lastMissedId: number
  readonly #size: number

  constructor (size: number, start: number) {
    this.#size = size
    this.lastMissedId = start
  }

  append (place: number, event: Aging): void {
    this.held.push({ place, event })
    this.#forget()
  }

  /** Ages the oldest retained events past `maxAge`. */
  age (count: number): void {
    for (const { event } of this.held.slice(0, count)) event.time = -Infinity
    this.#forget()
  }

  read (after: number, limit: number): Page {
    const known = after === this.lastMissedId || this.held.some(({ place }) => place === after)
    const follow = known ? this.held.filter(({ place }) => place > after) : this.held
    return {
      gap: known ? null : { oldestId: this.held[0]?.event.id ?? null, lastMissedId: idAt(this.lastMissedId) },
      events: follow.slice(0, limit).map(({ event }) => event)
    }
  }

  #forget (): void {
    const kept = this.held.filter(({ event }, i) => event.time !== -Infinity && i >= this.held.length - this.#size)
    this.lastMissedId = this.held[this.held.length - kept.length - 1]?.place ?? this.lastMissedId
    this.held = kept
  }
}

/** The id at a position. The numbers get longer, and some ids share a ms. */
function idAt (place: number): string {
  return `${Math.floor(place / 12) + 7}-${place % 12}`
}

test('a history behaves like a model with an array', async () => {
  const step = fc.oneof(
    { weight: 5, arbitrary: fc.record({ append: fc.integer({ min: 1, max: 3 }) }) },
    { weight: 3, arbitrary: fc.record({ read: fc.integer({ min: -3, max: 40 }), limit: fc.integer({ min: 0, max: 5 }) }) },
    { weight: 1, arbitrary: fc.record({ age: fc.integer({ min: 1, max: 4 }) }) },
    { weight: 1, arbitrary: fc.constant({}) }
  )
  const start = 20
  fc.assert(fc.property(fc.integer({ min: 0, max: 6 }), fc.array(step, { maxLength: 60 }), (size, steps) => {
    // longer than the test takes, because the test sets the times of old events
    const history = new History({ size, maxAge: 3_600_000 }, idAt(start))
    const model = new Model(size, start)
    let last = start
    for (const step of steps) {
      if ('append' in step) {
        last += step.append
        const appended = event(idAt(last))
        history.append(appended)
        model.append(last, appended)
      } else if ('age' in step) {
        model.age(step.age)
      } else if ('read' in step) {
        const after = Math.max(0, last - step.read)
        deepStrictEqual(history.read(idAt(after), step.limit), model.read(after, step.limit))
      } else {
        deepStrictEqual(history.oldestId, model.held[0]?.event.id ?? null)
      }
      deepStrictEqual(history.newest, idAt(last))
    }
    for (const from of [model.lastMissedId, ...model.held.map(({ place }) => place)]) {
      const { events } = model.read(from, Infinity)
      for (const limit of [1, 2, 7]) deepStrictEqual(readOn(history, idAt(from), limit), idsOf({ gap: null, events }))
    }
  }), { numRuns: 500 })
})
