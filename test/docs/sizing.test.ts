import { test } from 'tap'
import { readPluginOptions } from '../../lib/options/read.js'
import { hubOf, publishAll } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { runApp } from './run.js'

const page = pageOf('docs/sizing.md')

test('the history of the example retains 4,000 events of each topic, and a busy topic does not shorten a quiet one', async (t) => {
  const [code] = page.codeOf('Example of a size', 'ts')
  const app = await runApp(t, code)
  const read = async (topic: string, after: string) => (await hubOf(app).read(after, { topics: new Set([topic]), clientId: 'x', from: null }, 1)).gap
  const start = app.sse.lastEventId
  await app.sse.publish('quiet', 'x')
  const [first = ''] = await publishAll(app, 'busy', ...Array<string>(4_001).fill('x'))
  t.equal(await read('busy', first), null)
  t.equal((await read('busy', start))?.lastMissedId, first)
  t.equal(await read('quiet', start), null)
  t.match(page.sectionOf('Example of a size'), `50 × 60 = ${(50 * 60).toLocaleString('en')} events`)
})

test('the example of the memory follows from the formulas and the default of maxBufferedBytes', (t) => {
  const section = page.sectionOf('Choose the memory')
  const megabytes = (bytes: number) => Math.round(bytes / 1e6)
  const { maxBufferedBytes } = readPluginOptions({}).stream
  t.match(section, `| history | ${megabytes(5_000 * (200 + 600))} MB |`)
  t.match(section, `| slow clients, default \`maxBufferedBytes\` | ${(megabytes(2_000 * maxBufferedBytes) / 1_000).toFixed(1)} GB |`)
  t.match(section, `| slow clients, \`maxBufferedBytes: 65_536\` | ${megabytes(2_000 * 65_536)} MB |`)
  t.match(section, `| streams | ${megabytes(2_000 * 15_000)} MB |`)
  t.end()
})

test('the limits on the page are the defaults, and the text says how many events they hold', (t) => {
  const [code] = page.codeOf('The limits of the history', 'ts')
  const { history } = readPluginOptions({})
  t.strictSame(history, { size: 1_000, maxAge: 3_600_000, maxBytes: 67_108_864 })
  for (const [name, value] of Object.entries(history)) t.match(code.replaceAll('_', ''), `${name}: ${value}`)
  t.match(page.sectionOf('Choose history.maxBytes'), `about ${(Math.round(history.maxBytes / 800 / 1_000) * 1_000).toLocaleString('en')} events of 200 B`)
  t.end()
})
