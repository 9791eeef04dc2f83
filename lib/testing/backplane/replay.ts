// Tested by test/testing/backplane.test.ts
import { ok } from 'node:assert/strict'
import { real } from '../../clock.js'
import { compareEventIds, isEventId } from '../../event/id.js'
import { idsOf, partsOf, publication, reader, same, type Tests } from './log.js'

/** Tests of reads without a loss, of rewinds, and of reads while others publish. */
export const replay: Tests = {
  async 'read: a replay of an empty log is empty, without a gap' (open) {
    const { backplane, start } = await open()
    ok(isEventId(start), `newest is an event id, not ${start}`)
    same(backplane.oldestId, null, '`oldestId` of an empty log')
    const { gap, events, position } = await backplane.read(start, reader(['news']), 10)
    same([gap, events, position], [null, [], start], 'the page')
  },

  async 'read: a replay from any position returns all later events of the reader in pages, each once' (open) {
    const log = await open({ maxAge: 60_000 })
    const begun = performance.now()
    for (let i = 0; i < 3; i++) {
      for (const names of [['a'], ['b'], ['a', 'b'], ['c'], ['b', 'c', 'a']]) await log.backplane.publish(publication('topic', names, `data: ${i}\n\n`))
      for (const name of ['a', 'ann', 'bob']) await log.backplane.publish(publication('client', [name], 'event: a\ndata: b\n\n', { except: 'ann' }))
      await log.backplane.publish(publication('all', [], ': ü\ndata: 1\ndata: 2\n\n'))
    }
    await log.receives(await log.publish())
    const readers = [reader(['a']), reader(['a', 'b', 'c']), reader(['c', 'x'], 'ann'), reader([]), reader(['x'], 'nobody'), reader(['b', 'news'], 'a')]
    for (const each of readers) {
      for (const limit of [1, 3, 1_000]) {
        for (const [i, after] of [log.start, ...idsOf(log.received)].entries()) {
          const { events, gaps } = await log.readOn(after, limit, each)
          const message = `after the event ${i}, ${limit} at once, topics ${[...each.topics].join()} and client id ${each.clientId}`
          same(events.map(partsOf), log.eventsFor(each, after).map(partsOf), message)
          same(gaps, [], message)
          for (const { id, time } of events) ok(time >= begun && time <= performance.now(), `\`time\` of ${id} is when this process received the event`)
        }
      }
    }
    const { newest } = log.backplane
    const { gap, events, position } = await log.backplane.read(newest, reader(['a']), 10)
    same([gap, events, position], [null, [], newest], 'a read after the newest event')
  },

  async 'read: a reader reaches the end and continues live, with every event once' (open) {
    const log = await open()
    await log.publishMany(200)
    const publishers = Array.from({ length: 3 }, async () => {
      for (let i = 0; i < 100; i++) {
        await log.publish()
        await real.turn()
      }
    })
    const [{ events, gaps, live }] = await Promise.all([log.readOn(log.start, 20), ...publishers])
    await log.publishMany(5)
    const ids = idsOf(log.received)
    same(ids.length, 505, 'the number of received events')
    same([...idsOf(events), ...ids.slice(live)], ids, 'the read events, then those received later')
    same(gaps, [], 'gaps')
  },

  async 'read: a reader that is slower than the log gets a gap for all missed events' (open) {
    const log = await open({ size: 10 })
    await log.publishMany(500)
    const publishers = Array.from({ length: 2 }, async () => {
      for (let i = 0; i < 250; i++) {
        await log.publish()
        if (i % 5 === 0) await real.turn()
      }
    })
    const [{ events, gaps, live }] = await Promise.all([log.readOn(log.start, 3), ...publishers])
    await log.publishMany(5)
    const ids = idsOf(log.received)
    same(ids.length, 1_005, 'the number of received events')
    ok(gaps.length > 0, 'a gap for the dropped events')
    const missed = (id: string) => gaps.some(({ after, lastMissedId }) => compareEventIds(after, id) < 0 && compareEventIds(id, lastMissedId) <= 0)
    same([...idsOf(events), ...ids.slice(live)], ids.filter((id) => !missed(id)), 'all events that are in no gap, in order')
  },

  async 'rewind: it finds the newest kept events of each topic, and no events of the client id and no broadcasts' (open) {
    const log = await open({ size: 5 })
    const topics = new Set(['a', 'b', 'c', 'never used'])
    same((await log.readOn('0-0', 10, { topics, clientId: 'ann', from: await log.backplane.rewind(topics, 3) })).items, [], 'a rewind of an empty log')
    const ids: string[] = []
    for (const names of [['a'], ['a'], ['b'], ['a', 'b'], ['a'], ['a'], ['a'], ['a'], ['c']]) ids.push(await log.backplane.publish(publication('topic', names, 'data: x\n\n')))
    await log.backplane.publish(publication('client', ['ann'], 'data: x\n\n'))
    await log.receives(await log.backplane.publish(publication('all', [], 'data: x\n\n')))
    const at = (...indexes: number[]) => indexes.map((index) => ids[index])
    for (const [count, found] of [[1, at(3, 7, 8)], [2, at(2, 3, 6, 7, 8)], [3, at(2, 3, 5, 6, 7, 8)], [Infinity, at(2, 3, 4, 5, 6, 7, 8)], [100, at(2, 3, 4, 5, 6, 7, 8)]] as const) {
      for (const limit of [1, 2, 10]) {
        const from = await log.backplane.rewind(topics, count)
        const { events, gaps } = await log.readOn('0-0', limit, { topics, clientId: 'ann', from })
        same([idsOf(events), gaps], [found, []], `a rewind of ${count}, ${limit} at once`)
      }
    }
    const from = await log.backplane.rewind(topics, 2)
    const later = await log.backplane.publish(publication('all', [], 'data: x\n\n'))
    await log.receives(later)
    same(idsOf((await log.readOn('0-0', 3, { topics, clientId: 'ann', from })).events), [...at(2, 3, 6, 7, 8), later], 'later events follow')
  }
}
