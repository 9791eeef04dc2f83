import t, { test } from 'tap'
import { listen, makeApp, open, until } from '../helpers/app.js'
import { launchChromium } from '../helpers/chromium.js'
import { pageOf } from './document.js'

const page = pageOf('docs/clients.md')

const browser = await launchChromium(t)

test('a page with a new EventSource reconnects after a refusal and misses no event', async (t) => {
  const [code] = page.codeOf('Reconnect after a refusal', 'js')
  // app.close() would wait for a connection that Chromium opens in advance
  const app = await makeApp(t, { maxStreams: 1, retry: 300 }, { forceCloseConnections: true })
  app.sseRoute('/orders/42', { topics: ['order:42'] })
  app.get('/', (_request, reply) => reply.type('text/html').send('<link rel="icon" href="data:,">'))
  const port = await listen(app)
  const tab = await browser.newPage()
  t.teardown(() => tab.close())
  await tab.goto(`http://127.0.0.1:${port}/`)
  const seen = (count: number) => tab.waitForFunction(`seen.length >= ${count}`).then(() => tab.evaluate<unknown[]>('seen'))
  const publish = (carrier: string) => app.sse.publish('order:42', { event: 'shipped', data: { carrier } })
  const refused = (times: number) => until(`${times} refusals`, () => app.sse.stats().rejected >= times)
  const closed = (times: number) => until(`${times} streams closed`, () => app.sse.streams.size === 0 && app.sse.stats().opened === times)

  const first = await open(t, port, '/orders/42')
  await tab.addScriptTag({ content: `const seen = []; const load = () => seen.push('load'); const show = ({ carrier }) => seen.push(carrier)\n${code.replace('\nfollow(', '\nconst stop = follow(').replaceAll('1_000', '50')}` })
  await refused(1)
  first.disconnect()
  t.strictSame(await seen(1), ['load'], 'it has no id, so it loads')
  await publish('a')
  t.strictSame(await seen(2), ['load', 'a'])

  for (const stream of app.sse.streams.values()) stream.close()
  await closed(2)
  const second = await open(t, port, '/orders/42')
  await refused(app.sse.stats().rejected + 1)
  await publish('b')
  second.disconnect()
  t.strictSame(await seen(3), ['load', 'a', 'b'])
  t.match(app.sse.stats(), { opened: 4, resumed: 1, replayed: 1, gaps: 0 })
  await tab.evaluate('stop()')
  await closed(4)
})
