import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import { compareEventIds } from '../../lib/event-id.js'
import { listen, makeApp, open } from '../harness.js'
import { idsOf, publishAll } from '../subscriber.js'
import { codeOf } from './document.js'

const ID = /\d{13}-\d+/g
const withoutIds = (text: string) => text.replaceAll(ID, 'ID')
const idsIn = (text: string) => text.match(ID) ?? []
const sorted = (ids: string[]) => [...ids].sort(compareEventIds)

test('a stream with topics opens, is sent an event and is kept up to date as is shown', async (t) => {
  const [shown] = codeOf('Ids', '')
  const app = await makeApp(t, { heartbeat: 50 })
  const published: string[] = []
  app.sseRoute('/', {
    topics: ['order:42'],
    onConnect: async () => {
      published.push(await app.sse.publish('order:42', { event: 'shipped', data: { carrier: 'DHL' } }), ...await publishAll(app, 'order:41', 'a', 'b', 'c'))
    }
  })
  const client = await open(t, await listen(app), '/')
  await client.until('\n\n', 3)
  const text = client.text.slice(0, shown.length + 100)
  t.equal(withoutIds(text.split('\n\n', 3).join('\n\n')), withoutIds(shown).trimEnd())
  t.strictSame(idsOf(text).slice(1, 3), [published[0], published[3]])
  t.strictSame(idsOf(shown), sorted(idsOf(shown)))
})

test('a gap of the log is as is shown', async (t) => {
  const [shown] = codeOf('Gaps', '')
  const app = await makeApp(t, { history: { size: 1 } })
  app.sseRoute('/', { topics: ['a'] })
  const [seen = '', left = '', held = ''] = await publishAll(app, 'a', '0', '1', '2')
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': seen } })
  await client.until('data: 2\n\n')
  const [opening, gap = '', event] = client.text.split('\n\n')
  t.equal(withoutIds(gap), withoutIds(shown).trimEnd())
  t.strictSame(idsIn(gap), [left, seen, held])
  t.strictSame([opening, event], [`id: ${seen}`, `id: ${held}\ndata: 2`])
  const [shownLeft = '', shownSeen = '', shownHeld = ''] = idsIn(shown)
  t.strictSame([shownSeen, shownLeft, shownHeld], sorted(idsIn(shown)))
})

test('a client that was too slow for overflow: drop is sent what is shown', async (t) => {
  const [shown] = codeOf('Slow clients', '')
  const app = await makeApp(t, { overflow: 'drop', maxBufferedBytes: 50_000 })
  app.get('/', async (request, reply) => {
    const stream = reply.sse()
    for (; app.sse.stats().dropped === 0; await turn()) stream.send('x'.repeat(50_000))
  })
  const client = await open(t, await listen(app), '/', { headers: { 'last-event-id': '7' } })
  client.pause()
  while (app.sse.stats().dropped === 0) await turn()
  client.resume()
  await client.until('event: gap')
  await client.until(`${shown}\n`)
})
