import t, { test } from 'tap'
import { listen, makeApp, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { pageOf } from './document.js'

const page = pageOf('docs/publishing.md')

const browser = await launchChromium(t)

test('a page loads its state when its stream opens, and again after a gap', async (t) => {
  const [code] = page.codeOf('Load the state again after a gap', 'js')
  // app.close() would wait for a connection that Chromium opens in advance
  const app = await makeApp(t, { history: { size: 1 }, retry: 300 }, { forceCloseConnections: true })
  let loads = 0
  app.sseRoute('/orders/42', { topics: ['order:42'] })
  app.get('/orders/42/state', async () => ({ text: `state ${++loads}` }))
  app.get('/', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  const tab = await browser.newPage()
  await tab.goto(`http://127.0.0.1:${await listen(app)}/`)
  const seen = (count: number) => tab.waitForFunction(`seen.length >= ${count}`).then(() => tab.evaluate<unknown[]>('seen'))
  const publish = (carrier: string) => app.sse.publish('order:42', { event: 'shipped', data: { carrier } })
  await tab.addScriptTag({ content: `const seen = []; const show = ({ carrier }) => seen.push(carrier); const showAll = ({ text }) => seen.push(text)\n${code}` })
  t.strictSame(await seen(1), ['state 1'])
  await publish('a')
  t.strictSame(await seen(2), ['state 1', 'a'])
  for (const stream of app.sse.streams.values()) stream.close()
  await until('the stream to be closed', () => app.sse.streams.size === 0)
  await publish('b')
  await publish('c')
  t.strictSame((await seen(4)).slice(2).sort(), ['c', 'state 2'])
  t.match(app.sse.stats(), { opened: 2, resumed: 1, gaps: 1 })
  await tab.close()
})
