import { deepStrictEqual } from 'node:assert/strict'
import fc from 'fast-check'
import { test } from 'tap'
import type { Audience, HistorySettings, Page, PublishedEvent, Reader, StartPositions, TopicHistory } from '../../lib/backplane.js'
import { now } from '../../lib/clock.js'
import { History, publishedEvent } from '../../lib/pubsub/history.js'
import type { Kept } from '../../lib/pubsub/ring.js'

/** A topic, client id or the broadcasts in the model. */
interface Names {
  held: PublishedEvent[]
  dropped: number
  limits: TopicHistory
}

const START = 20

/** The time of the fake clock, ms. */
let time = 0

/** A model of a history, with arrays: places are whole numbers. */
class Model {
  readonly #settings: HistorySettings
  readonly #names = new Map<string, Names>()
  readonly #all: PublishedEvent[] = []
  newest = START

  constructor (settings: HistorySettings) {
    this.#settings = settings
  }

  append (event: PublishedEvent): void {
    this.newest = placeOf(event)
    this.#all.push(event)
    for (const [i, key] of keysOf(event).entries()) {
      const names = this.#at(key)
      names.limits = event.limits?.[i] ?? this.#settings
      names.held.push(event)
    }
    this.#forget()
  }

  read (after: number, { topics, clientId, from }: Reader, limit: number): Page {
    this.#forget()
    const starts = new Map([...topics].map((topic) => [`topic ${topic}`, Math.max(after, placeAt(from?.topics.get(topic)))]))
    for (const key of [`client ${clientId}`, 'all']) starts.set(key, Math.max(after, placeAt(from?.others)))
    const lost = Math.max(after, ...[...starts].filter(([key, start]) => this.#at(key).dropped > start).map(([key]) => this.#at(key).dropped))
    const events = this.#kept().filter((event) => [...starts].some(([key, start]) => placeOf(event) > start && this.#at(key).held.includes(event)))
    const early = events.filter((event) => placeOf(event) < lost).slice(0, limit)
    if (early.length > 0) return { gap: null, events: early, position: early.at(-1)?.id ?? '' }
    // the event at `lost` may be retained in another topic of the reader; the gap covers it
    const page = events.filter((event) => placeOf(event) > lost).slice(0, limit)
    const gap = lost > after ? { oldestId: this.oldestId, lastMissedId: idAt(lost) } : null
    return { gap, events: page, position: page.length < limit ? idAt(this.newest) : page.at(-1)?.id ?? '' }
  }

  rewind (topics: ReadonlySet<string>, count: number): StartPositions {
    this.#forget()
    return {
      topics: new Map([...topics].map((topic) => {
        const { held, dropped } = this.#at(`topic ${topic}`)
        return [topic, held.at(-count - 1)?.id ?? idAt(dropped)]
      })),
      others: idAt(this.newest)
    }
  }

  get oldestId (): string | null {
    this.#forget()
    return this.#kept()[0]?.id ?? null
  }

  #at (key: string): Names {
    const names = this.#names.get(key) ?? { held: [], dropped: START, limits: this.#settings }
    this.#names.set(key, names)
    return names
  }

  #kept (): PublishedEvent[] {
    return this.#all.filter((event) => keysOf(event).some((key) => this.#at(key).held.includes(event)))
  }

  #drop (names: Names): void {
    const event = names.held.shift()
    if (event !== undefined) names.dropped = placeOf(event)
  }

  #forget (): void {
    for (const names of this.#names.values()) {
      while (names.held.length > names.limits.size || isOld(names)) this.#drop(names)
    }
    for (let kept = this.#kept(); kept.length * BYTES > this.#settings.maxBytes; kept = this.#kept()) {
      for (const names of this.#names.values()) if (names.held[0] === kept[0]) this.#drop(names)
    }
  }
}

function isOld ({ held: [oldest], limits: { maxAge } }: Names): boolean {
  return oldest !== undefined && maxAge > 0 && oldest.time < now() - maxAge
}

function keysOf ({ to, names }: PublishedEvent): string[] {
  return to === 'all' ? ['all'] : names.map((name) => `${to} ${name}`)
}

/** The id at a place. All ids have the same length, and some share a ms. */
function idAt (place: number): string {
  return `${Math.floor(place / 12) + 1_000}-${10 + place % 12}`
}

function placeAt (id = idAt(0)): number {
  const [ms = '', n = ''] = id.split('-')
  return (Number(ms) - 1_000) * 12 + Number(n) - 10
}

function placeOf ({ id }: PublishedEvent): number {
  return placeAt(id)
}

function create (id: string, to: Audience, names: string[], limits: Array<TopicHistory | null> | null): Kept {
  return publishedEvent(id, { to, names, except: null, limits, frame: 'data: x\n\n' })
}

/** The memory that the history counts for one event of this test. */
const BYTES = (() => {
  const history = new History({ size: 1, maxAge: 0, maxBytes: 1e9 }, idAt(START))
  history.append(create(idAt(START + 1), 'all', [], null))
  return history.size.bytes
})()

const topics = fc.uniqueArray(fc.constantFrom<string[]>('a', 'b', 'c'), { minLength: 1 })
/** The limits of the topics a, b and c. */
const limits = (maxAge: number) => fc.array(fc.option(fc.record({ size: fc.integer({ min: 0, max: 5 }), maxAge: fc.constantFrom(0, maxAge) })), { minLength: 3, maxLength: 3 })
const appended = fc.oneof(
  { weight: 4, arbitrary: fc.record({ to: fc.constant<Audience>('topic'), names: topics }) },
  { weight: 1, arbitrary: fc.record({ to: fc.constant<Audience>('client'), names: fc.constantFrom<string[][]>(['a'], ['ann']) }) },
  { weight: 1, arbitrary: fc.record({ to: fc.constant<Audience>('all'), names: fc.constant<string[]>([]) }) }
)
const reading = { topics: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd')), clientId: fc.constantFrom('a', 'ann', 'bob') }
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ kind: fc.constant('append' as const), by: fc.integer({ min: 1, max: 3 }), event: appended }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('read' as const), back: fc.integer({ min: 0, max: 40 }), limit: fc.integer({ min: 1, max: 5 }), ...reading }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('rewind' as const), count: fc.constantFrom(1, 2, 5, Infinity), limit: fc.integer({ min: 1, max: 5 }), ...reading }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('age' as const), by: fc.integer({ min: 1, max: 60 }) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('oldest' as const) }) }
)

for (const [what, maxBytes, maxAge] of [['', 1e9, 50], [' within maxBytes', 6 * BYTES, 0]] as const) {
  test(`a history behaves like a model with arrays${what}`, async (t) => {
    const real = { setTimeout, now: performance.now }
    // fakes, which the clock of lib follows
    globalThis.setTimeout = Object.assign((...args: Parameters<typeof setTimeout>) => real.setTimeout(...args), real.setTimeout)
    performance.now = () => time
    t.teardown(() => {
      globalThis.setTimeout = real.setTimeout
      performance.now = real.now
    })
    time = Math.ceil(now())
    const settings = fc.record({ size: fc.integer({ min: 0, max: 6 }), maxAge: fc.constantFrom(0, maxAge) })
    fc.assert(fc.property(settings, limits(maxAge), fc.array(step, { maxLength: 60 }), (settings, limits, steps) => {
      const history = new History({ ...settings, maxBytes }, idAt(START))
      const model = new Model({ ...settings, maxBytes })
      for (const step of steps) {
        if (step.kind === 'append') {
          const { to, names } = step.event
          const event = create(idAt(model.newest + step.by), to, names, to === 'topic' ? names.map((name) => limits[name.charCodeAt(0) - 97] ?? null) : null)
          history.append(event)
          model.append(event)
        } else if (step.kind === 'age') {
          time += step.by
        } else if (step.kind === 'oldest') {
          deepStrictEqual(history.oldestId, model.oldestId)
        } else {
          const topics = new Set(step.topics)
          const from = step.kind === 'rewind' ? history.rewind(topics, step.count) : null
          if (step.kind === 'rewind') deepStrictEqual(from, model.rewind(topics, step.count))
          const reader = { topics, clientId: step.clientId, from }
          for (let position = step.kind === 'rewind' ? 0 : Math.max(START, model.newest - step.back), pages = 0; pages < 100; pages++) {
            const page = history.read(idAt(position), reader, step.limit)
            deepStrictEqual(page, model.read(position, reader, step.limit))
            position = placeAt(page.position)
            if (position === model.newest) break
          }
        }
        deepStrictEqual(history.newest, idAt(model.newest))
      }
    }), { numRuns: 400 })
  })
}
