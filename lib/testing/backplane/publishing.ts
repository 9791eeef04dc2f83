// Tested by test/testing/backplane.test.ts
import { ok, rejects } from 'node:assert/strict'
import { isDeepStrictEqual } from 'node:util'
import type { Control } from '../../backplane.js'
import { real } from '../../clock.js'
import { compareEventIds, isEventId } from '../../event/id.js'
import { expectedParts, idsOf, type Log, partsOf, publication, reader, same, type Tests } from './log.js'

/** Tests of publishing, control messages and closing. */
export const publishing: Tests = {
  async 'publish: an event is received once, with its id, audience, names, exception, frame and text' (open) {
    const log = await open()
    const begun = performance.now()
    const publications = [
      publication('topic', ['news'], 'data: 1\n\n'), publication('client', ['news'], 'data: 2\n\n'), publication('all', [], 'data: 3\n\n'),
      publication('topic', ['news'], 'data: 1\n\n'), publication('topic', ['more news', 'news', 'a'], 'event: é\ndata: 4\n\n', { except: 'somebody ü' }),
      publication('client', ['news'], ': 5\nretry: 6\n\n'), publication('topic', ['a', 'b'], 'data: 7\n\n', { limits: [null, { size: 1, maxAge: 0 }] })
    ]
    const events: object[] = []
    for (const each of publications) events.push(expectedParts(await log.backplane.publish(each), each))
    await log.until('all events are received', () => log.received.length === events.length)
    same(log.received.map(partsOf), events, 'the received events')
    const times = [begun, ...log.received.map(({ time }) => time), performance.now()]
    same(times, times.toSorted((a, b) => a - b), '`time` is when the event was received')
    const topics = reader(['news', 'more news', 'a', 'b'], 'news')
    same((await log.readOn(log.start, 3, topics)).events.map(partsOf), events, 'the replayed events')
  },

  async 'publish: events of any text and name are received and replayed' (open) {
    const log = await open()
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
      await log.receives(id)
      const name = String(each.names[0])
      const events = [expectedParts(id, each)]
      // `ok`, because a report of a difference would be huge
      ok(isDeepStrictEqual(log.received.splice(0).map(partsOf), events), `received: the event for ${JSON.stringify(name.slice(0, 20))}`)
      const read = await log.readOn(newest, 10, each.to === 'client' ? reader([], name) : reader([name]))
      ok(isDeepStrictEqual(read.events.map(partsOf), events), `replayed: the event for ${JSON.stringify(name.slice(0, 20))}`)
    }
  },

  async 'publish: ids grow, however many publish at once, and the newest position with them' (open) {
    const log = await open()
    const texts = new Map<string, string>()
    const publish = async (data: string) => { texts.set(await log.publish(data), data) }
    const oneByOne = async (caller: string) => { for (let i = 0; i < 40; i++) await publish(`${caller} ${i}`) }
    const atOnce = (caller: string) => Promise.all(Array.from({ length: 40 }, (_, i) => publish(`${caller} ${i}`)))
    await Promise.all([oneByOne('a'), atOnce('b'), oneByOne('c'), atOnce('d')])
    await publish('the last')
    await log.receives(Array.from(texts.keys()).at(-1))

    const ids = idsOf(log.received)
    checkGrowth(ids)
    same(log.positions, ids, '`newest` is the id of the received event')
    same(log.received.map(({ text }) => text), ids.map((id) => `id: ${id}\ndata: ${texts.get(id)}\n\n`), 'publish returns the id of its event')
    same([new Set(texts.values()).size, texts.size], [161, 161], 'the number of events')
    for (const caller of ['a', 'c']) {
      const own = ids.map((id) => String(texts.get(id))).filter((text) => text.startsWith(caller))
      same(own, Array.from({ length: 40 }, (_, i) => `${caller} ${i}`), 'the events of one caller are in the order of its calls')
    }
  },

  async 'control: a control message is received between the events before and after it, and is never replayed' (open) {
    const log = await open()
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
    await log.receives(last)
    same(log.order, order, 'the received events and control messages')
    checkGrowth(ids)
    same(log.positions, ids, '`newest` is also the id of a control message')
    const known = [log.start, ...ids]
    for (const [i, after] of known.entries()) {
      const { events, gaps } = await log.readOn(after, 2, reader(['news'], 'ann'))
      same([idsOf(events), gaps], [idsOf(log.received).filter((id) => known.indexOf(id) > i), []], `a read after the entry ${i}`)
    }
    const { newest } = log.backplane
    const id = await log.backplane.control({ action: 'close', clientId: 'ann', topic: '' })
    await log.until('the control message is received', () => log.backplane.newest === id)
    const { gap, events, position } = await log.backplane.read(newest, reader(['news']), 10)
    same([gap, events, position], [null, [], id], 'the position of a read moves over a control message')
  },

  async 'close: afterwards nothing is published or received' (open) {
    const log = await open()
    await log.publishMany(3)
    let settled = false
    Promise.allSettled(Array.from({ length: 50 }, () => log.publish())).then(() => { settled = true })
    await log.backplane.close()
    const count = log.received.length
    await refuses(log)
    await log.until('pending calls of publish are settled', () => settled)
    await real.wait(50)
    same(log.received.length, count, 'the number of received events')
    checkGrowth(idsOf(log.received))
  },

  async 'close: it can be called twice' (open) {
    const log = await open()
    await Promise.all([log.backplane.close(), log.backplane.close()])
    await log.backplane.close()
    await refuses(log)
  }
}

/** Asserts that a closed backplane refuses events and control messages. */
async function refuses ({ backplane }: Log): Promise<void> {
  await rejects(async () => backplane.publish(publication('all', [], ': x\n\n')), { code: 'SSE_ERR_CLOSING' }, 'publish: SSE_ERR_CLOSING after close()')
  await rejects(async () => backplane.control({ action: 'close', clientId: 'ann', topic: '' }), { code: 'SSE_ERR_CLOSING' }, 'control: SSE_ERR_CLOSING after close()')
}

function checkGrowth (ids: string[]): void {
  let before = '0-0'
  for (const id of ids) {
    ok(isEventId(id), `the id ${id} does not have the form <ms>-<n>`)
    ok(compareEventIds(before, id) < 0, `the id ${id} is not greater than the id before, ${before}`)
    before = id
  }
}
