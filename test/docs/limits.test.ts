import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { createParser } from 'eventsource-parser'
import { test } from 'tap'
import { injectSSE } from '../../lib/testing.js'
import { makeApp } from '../helpers/app.js'
import { publishAll } from '../helpers/subscriber.js'
import { pageOf, root } from './document.js'

const page = pageOf('docs/limits.md')

test('a stream that gets its first topics after it has opened gets a gap, one that gets them in onConnect does not', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/late', { source: async function * (_request, stream) { yield 'open'; stream.subscribe('a'); yield 'subscribed' } })
  app.sseRoute('/early', { onConnect: (_request, stream) => { stream.subscribe('a') }, source: () => ['open'] })
  const [seen = ''] = await publishAll(app, 'of another topic', '1', '2')
  const gaps = async (url: string) => (await app.inject({ url, headers: { 'last-event-id': seen } })).body.match(/^event: gap$/gm)?.length ?? 0
  t.equal(await gaps('/late'), 1)
  t.equal(await gaps('/early'), 0)
})

test('app.sse.close closes all streams of a client id', async (t) => {
  const app = await makeApp(t, { clientId: () => 'ann' })
  app.sseRoute('/', { topics: ['a'] })
  const streams = [await injectSSE(app, { url: '/' }), await injectSSE(app, { url: '/' })]
  t.match(page.sectionOf('Limits and counts are per process'), 'Use `app.sse.close(clientId)`')
  await app.sse.close('ann')
  for (const stream of streams) t.equal(await stream.next(), undefined)
})

test('a busy topic evicts events of a quiet one only beyond maxBytes', async (t) => {
  for (const [maxBytes, gaps] of [[10_000_000, 0], [20_000, 1]] as const) {
    const app = await makeApp(t, { history: { maxBytes } })
    app.sseRoute('/', { topics: ['quiet'] })
    const [seen = ''] = await publishAll(app, 'quiet', 'seen', 'missed')
    await publishAll(app, 'busy', ...Array.from({ length: 100 }, () => 'x'.repeat(1_000)))
    const stream = await injectSSE(app, { url: '/', headers: { 'last-event-id': seen } })
    t.match(await stream.next(), gaps === 0 ? { data: 'missed' } : { event: 'gap' })
    t.equal(app.sse.stats().gaps, gaps)
    stream.close()
  }
})

test('published events are not checked against the events of a route', async (t) => {
  const app = await makeApp(t)
  app.sseRoute('/', { topics: ['a'], events: { price: { type: 'number' } } })
  const stream = await injectSSE(app, { url: '/' })
  await app.sse.publish('a', { event: 'other', data: 'x' })
  t.match(await stream.next(), { event: 'other', data: 'x' })
  stream.close()
})

test('the versions of the clients on the page are those installed, and eventsource-parser gives no id without data', (t) => {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  for (const name of ['eventsource', 'eventsource-parser']) t.match(page.sectionOf('The npm package eventsource forgets ids without an event'), `\`${name}\` ${packages[`node_modules/${name}`].version}`)
  const events: unknown[] = []
  createParser({ onEvent: (event) => events.push(event) }).feed('id: 1-1\n\n')
  t.strictSame(events, [])
  t.end()
})
