// Tested by test/testing/backplane.test.ts
import { ok } from 'node:assert/strict'
import { real } from '../../clock.js'
import { isEventId } from '../../event/id.js'
import { idsAndGaps, idsOf, publication, reader, same, type Tests } from './log.js'

const GREATEST = '18446744073709551615-18446744073709551615'

/** Tests of losses: a gap is where events of the reader were lost, and nowhere else. */
export const gaps: Tests = {
  async 'read: a quiet topic, a client id and the broadcasts keep their events next to a busy topic' (open) {
    const log = await open({ size: 10 })
    const quiet = await log.publish('x', 'quiet')
    const client = await log.backplane.publish(publication('client', ['ann'], 'data: x\n\n'))
    const all = await log.backplane.publish(publication('all', [], 'data: x\n\n'))
    const ids = await log.publishMany(500)
    for (const limit of [1, 7, 1_000]) {
      const lost = String(ids[489])
      same(idsAndGaps(await log.readOn(log.start, limit, reader(['quiet'], 'ann'))), [quiet, client, all], 'without the busy topic')
      same(idsAndGaps(await log.readOn(log.start, limit, reader(['news', 'quiet'], 'ann'))), [quiet, client, all, `gap ${lost}`, ...ids.slice(490)], 'the events of the quiet audiences precede the gap')
      same(idsAndGaps(await log.readOn(quiet, limit, reader(['news', 'quiet']))), [all, `gap ${lost}`, ...ids.slice(490)], 'a read after the event of the quiet topic')
      same(idsAndGaps(await log.readOn(lost, limit, reader(['news', 'quiet'], 'ann'))), ids.slice(490), 'after the newest missing event nothing is missing')
    }
  },

  async 'read: the limits of a topic are for this topic only' (open) {
    const log = await open({ size: 5 })
    const ids: string[] = []
    const limits = [{ size: 2, maxAge: 0 }, null, { size: 0, maxAge: 0 }]
    for (let i = 0; i < 8; i++) ids.push(await log.backplane.publish(publication('topic', ['two', 'five', 'none'], 'data: x\n\n', { limits })))
    await log.receives(ids.at(-1))
    for (const [topic, lost] of [['two', 6], ['five', 3], ['none', 8]] as const) {
      same(idsAndGaps(await log.readOn(log.start, 2, reader([topic]))), [`gap ${ids[lost - 1]}`, ...ids.slice(lost)], `the topic ${topic}`)
      same((await log.readOn(String(ids[lost - 1]), 2, reader([topic]))).gaps, [], `the topic ${topic}, after its loss`)
    }
  },

  async 'read: a log that was cut reports a gap' (open) {
    const log = await open({ size: 10 })
    const ids = await log.publishMany(50)
    for (const after of [log.start, String(ids[0]), String(ids[38])]) {
      for (const limit of [1, 7, 1_000]) same(idsAndGaps(await log.readOn(after, limit)), [`gap ${ids[39]}`, ...ids.slice(40)], `a read after ${after}, ${limit} at once`)
    }
    const { gaps } = await log.readOn(log.start, 10)
    same(gaps.map(({ oldestId }) => oldestId), [ids[40]], '`oldestId` of the gap')
    same((await log.readOn(String(ids[39]), 10)).gaps, [], 'after the newest dropped event nothing is missing')
  },

  async 'read: 12 topics, 600 events and random returns: what is kept is in order, with gaps exactly where events of the reader were lost' (open) {
    const log = await open({ size: 20 })
    let seed = 7
    const random = (below: number) => (seed = (seed * 16_807) % 2_147_483_647) % below
    const sizes = Array.from({ length: 12 }, () => 1 + random(4) * 19)
    for (let i = 0; i < 600; i++) {
      const topic = Math.min(random(12), random(12))
      await log.backplane.publish(publication('topic', [`t${topic}`], 'data: x\n\n', { limits: [{ size: Number(sizes[topic]), maxAge: 0 }] }))
    }
    await log.until('all events are received', () => log.received.length === 600)
    for (let i = 0; i < 60; i++) {
      const topics = Array.from({ length: 1 + random(4) }, () => random(12))
      const after = String([log.start, ...idsOf(log.received)][random(601)])
      const each = reader(topics.map((topic) => `t${topic}`))
      const all = log.eventsFor(each, after).map(({ id }) => id)
      const kept = new Set(topics.flatMap((topic) => idsOf(log.eventsFor(reader([`t${topic}`]), '0-0')).slice(-Number(sizes[topic]))))
      const last = all.findLastIndex((id) => !kept.has(id))
      const before = all.slice(0, Math.max(0, last)).filter((id) => kept.has(id))
      same(idsAndGaps(await log.readOn(after, 1 + random(40), each)), last < 0 ? all : [...before, `gap ${all[last]}`, ...all.slice(last + 1)], `the return ${i}, after ${after}, to ${topics}`)
    }
  },

  async 'read: an id from before the log or from the future is a gap, and all kept events follow' (open) {
    const log = await open()
    const ids = await log.publishMany(3)
    for (const after of ['0-0', '1-0', following(log.backplane.newest), GREATEST]) {
      for (const limit of [1, 7]) {
        const { events, gaps } = await log.readOn(after, limit)
        same([idsOf(events), gaps.length, gaps[0]?.oldestId], [ids, 1, ids[0]], `a read after ${after}`)
        for (const { lastMissedId } of gaps) ok(isEventId(lastMissedId), `lastMissedId is an event id, not ${lastMissedId}`)
      }
    }
  },

  async 'read: an unknown id in an empty log is a gap' (open) {
    const log = await open()
    const { gap, events, position } = await log.backplane.read(GREATEST, reader(['news']), 10)
    same([gap, events], [{ oldestId: null, lastMissedId: position }, []], 'the page')
    const ids = await log.publishMany(3)
    same(idsOf((await log.readOn(position, 2)).events), ids, 'later events follow')
  },

  async 'read: without history nothing is replayed, and the events of the reader are missing' (open) {
    const log = await open({ size: 0 })
    const ids = await log.publishMany(4)
    const other = await log.publish('x', 'other')
    await log.receives(other)
    same(log.received.length, 5, 'all are received')
    same(log.backplane.oldestId, null, '`oldestId`')
    for (const after of [log.start, String(ids[0]), String(ids[2])]) same(idsAndGaps(await log.readOn(after, 10)), [`gap ${ids[3]}`], `a read after ${after}`)
    same((await log.readOn(GREATEST, 10)).gaps.length, 1, 'the number of gaps after an unknown id')
    same(idsAndGaps(await log.readOn(String(ids[3]), 10)), [], 'an event of another topic is not missing')
    const { gap, events, position } = await log.backplane.read(other, reader(['news']), 10)
    same([gap, events, position], [null, [], other], 'a read after the newest event')
  },

  async 'read: an event past maxAge is dropped, a younger one is kept' (open) {
    const young = await open({ maxAge: 60_000 })
    const ids = await young.publishMany(300)
    same(idsAndGaps(await young.readOn(young.start, 100)), ids, 'the younger events')

    const log = await open({ maxAge: 60_000 })
    const frame = 'data: x\n\n'
    const old = [await log.publish(), await log.backplane.publish(publication('topic', ['short', 'news'], frame, { limits: [{ size: 9, maxAge: 100 }, null] }))]
    await log.receives(old[1])
    await real.wait(150)
    same(idsAndGaps(await log.readOn(log.start, 10)), old, 'the topic with the longer maxAge')
    same(idsAndGaps(await log.readOn(log.start, 10, reader(['short']))), [`gap ${old[1]}`], 'all events of the topic were dropped')
    same(idsAndGaps(await log.readOn(String(old[1]), 10, reader(['short']))), [], 'after the newest dropped event nothing is missing')
    const next = await log.backplane.publish(publication('topic', ['short'], frame, { limits: [{ size: 9, maxAge: 100_000 }] }))
    await log.receives(next)
    same(idsAndGaps(await log.readOn(String(old[0]), 10, reader(['short']))), [`gap ${old[1]}`, next], 'a newer event follows the gap')
    same(idsAndGaps(await log.readOn(String(old[1]), 10, reader(['short', 'news']))), [next], 'a read after the newest dropped event')
  }
}

/** Returns the id right after one. */
function following (id: string): string {
  const [ms, n = ''] = id.split('-')
  return `${ms}-${BigInt(n) + 1n}`
}
