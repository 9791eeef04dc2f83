import { deepStrictEqual } from 'node:assert/strict'
import { test } from 'tap'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { makeApp } from '../helpers/app.js'
import { Log, reader } from '../../lib/testing/backplane/log.js'
import { follow, hubOf, serveTopics } from '../helpers/subscriber.js'
import { type Random, randomFrom, seed } from '../integration/random.js'

const TOPICS = Array.from({ length: 12 }, (_, i) => `t${i}`)

interface Published {
  id: string
  names: string[]
}

/** Topics of an event or a reader, in random order. Without `even`, the first topics are busy and the last ones quiet. */
function choose (random: Random, count: number, even: boolean): string[] {
  const chosen = new Set<string>()
  while (chosen.size < count) chosen.add(TOPICS[even ? random(12) : Math.floor(random(144) ** 2 / 1728)] ?? '')
  return [...chosen]
}

/**
 * Returns the ids of the events that a reader gets, and `gap <id>` in the place of the newest event that was lost in one of its topics.
 * @param sizes the number of events that each topic keeps
 */
function expected (events: Published[], sizes: ReadonlyMap<string, number>, topics: string[], after: number): string[] {
  const kept = new Set<Published>()
  let lost = -1
  for (const topic of topics) {
    const own = events.filter(({ names }) => names.includes(topic))
    const dropped = own.slice(0, Math.max(0, own.length - (sizes.get(topic) ?? 0)))
    for (const event of own.slice(dropped.length)) kept.add(event)
    lost = Math.max(lost, events.findIndex((event) => event === dropped.at(-1)))
  }
  return events.flatMap((event, i) => {
    if (i <= after) return []
    // an event that one topic of the reader has lost is covered by the gap, also if another topic still has it
    if (i === lost) return `gap ${event.id}`
    return kept.has(event) ? event.id : []
  })
}

test('of 2,000 events on 12 topics each of 200 reconnecting clients gets the retained ones of its topics, and a gap where one of them was lost', async (t) => {
  t.comment(`SEED=${seed}`)
  const random = randomFrom(seed)
  const app = await makeApp(t, { history: { size: 30 } })
  serveTopics(app)
  const start = hubOf(app).newest
  const events: Published[] = []
  for (let i = 0; i < 2_000; i++) {
    const names = choose(random, 1, false)
    events.push({ names, id: await app.sse.publish(names, 'x'.repeat(random(2_000))) })
  }
  const sizes = new Map(TOPICS.map((topic) => [topic, 30]))
  const clients = await Promise.all(Array.from({ length: 200 }, async () => {
    const topics = choose(random, 1 + random(4), true)
    // most clients have missed little
    const after = random(3) === 0 ? random(2_001) - 1 : 1_999 - random(60)
    return { topics, after, stream: await follow(app, topics.join(), events[after]?.id ?? start) }
  }))
  const last = await app.sse.broadcast('last')
  let gaps = 0
  for (const { topics, after, stream } of clients) {
    const got: string[] = []
    for (let event = await stream.next(); event !== undefined && event.id !== last; event = await stream.next()) {
      got.push(event.event === 'gap' ? `gap ${event.id}` : event.id ?? '')
    }
    const due = expected(events, sizes, topics, after)
    gaps += Number(due.some((text) => text.startsWith('gap')))
    deepStrictEqual(got, due, `the events of ${topics} after ${after}`)
  }
  t.match(app.sse.stats(), { gaps, resumed: 200, active: 200 })
  t.ok(gaps > 20 && gaps < 180, `${gaps} gaps`)
})

test('of 2,000 events on 12 topics with limits for each topic, also for several topics at once, 200 reads find the retained ones, and a gap where one was lost', async (t) => {
  t.comment(`SEED=${seed}`)
  const random = randomFrom(seed)
  const log = await new Log(new MemoryBackplane({ size: 30, maxAge: 0, maxBytes: 1e9 }), 10_000).open()
  t.teardown(() => log.backplane.close())
  const sizes = new Map(TOPICS.map((topic) => [topic, [0, 1, 5, 30, 300, 2_000][random(6)] ?? 0]))
  const events: Published[] = []
  for (let i = 0; i < 2_000; i++) {
    const names = choose(random, random(5) === 0 ? 1 + random(4) : 1, false)
    const limits = names.map((name) => ({ size: sizes.get(name) ?? 0, maxAge: 0 }))
    events.push({ names, id: await log.backplane.publish({ to: 'topic', names, except: null, limits, frame: `data: ${'x'.repeat(random(2_000))}\n\n` }) })
  }
  for (let i = 0; i < 200; i++) {
    const topics = choose(random, 1 + random(4), true)
    const after = random(3) === 0 ? random(2_001) - 1 : 1_999 - random(60)
    const { items } = await log.readOn(events[after]?.id ?? log.start, 1 + random(128), reader(topics))
    const got = items.map((item) => 'id' in item ? item.id : `gap ${item.lastMissedId}`)
    deepStrictEqual(got, expected(events, sizes, topics, after), `the events of ${topics} after ${after}`)
  }
})
