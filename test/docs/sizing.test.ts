import { test } from 'tap'
import { readPluginOptions } from '../../lib/options/read.js'
import { hubOf, publishAll } from '../helpers/subscriber.js'
import { pageOf } from './document.js'
import { runApp } from './run.js'

const page = pageOf('docs/sizing.md')

test('the history of the example retains 5,000 events, which is more than the formula gives', async (t) => {
  const [code] = page.codeOf('Example of a size', 'ts')
  const app = await runApp(t, code)
  const [first = '', second = ''] = await publishAll(app, 'a', ...Array<string>(5_001).fill('x'))
  t.equal(hubOf(app).oldestId, second)
  t.equal((await hubOf(app).read(first, 1)).gap, null)
  await app.sse.publish('another topic', 'x')
  t.not((await hubOf(app).read(first, 1)).gap, null, 'all topics share the history')

  const heartbeat = Number(readPluginOptions({}).stream.heartbeat) / 1_000
  t.match(page.sectionOf('Example of a size'), `default heartbeat of ${heartbeat} s`)
  t.match(page.sectionOf('Example of a size'), `50 × ${heartbeat + 60} = ${(50 * (heartbeat + 60)).toLocaleString('en')} events`)
})

test('the example of the memory follows from the formulas and the default of maxBufferedBytes', (t) => {
  const section = page.sectionOf('Choose the memory')
  const megabytes = (bytes: number) => Math.round(bytes / 1e6)
  const { maxBufferedBytes } = readPluginOptions({}).stream
  t.match(section, `| history | ${megabytes(5_000 * (200 + 400))} MB |`)
  t.match(section, `| slow clients, default \`maxBufferedBytes\` | ${(megabytes(2_000 * maxBufferedBytes) / 1_000).toFixed(1)} GB |`)
  t.match(section, `| slow clients, \`maxBufferedBytes: 65_536\` | ${megabytes(2_000 * 65_536)} MB |`)
  t.match(section, `| streams | ${megabytes(2_000 * 15_000)} MB |`)
  t.end()
})

test('the default of history.maxAge is no limit', (t) => {
  t.equal(readPluginOptions({}).history.maxAge, 0)
  t.end()
})
