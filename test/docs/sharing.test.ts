import { test } from 'tap'
import { makeOrigin } from '../client/tabs.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { pageOf } from './document.js'
import { run } from './run.js'

const page = pageOf('docs/sharing.md')

test('tabs share a connection, and one of them holds it', async (t) => {
  const { openTab } = makeOrigin(t)
  const [code] = page.codeOf('Write the loop', 'ts')
  const notify = await run<(url: string, userId: string, show: (data: unknown) => void, showHolder: (holds: boolean) => void) => Promise<void>>(t, code, 'notify')
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  app.sseRoute('/', { topics: ['a'] })
  const url = `http://127.0.0.1:${await listen(app)}/`
  const other = await openTab(url, { share: 'user ann' })
  await until('the connection', () => app.sse.streams.size === 1)
  const [shown, holds]: [unknown[], boolean[]] = [[], []]
  const left = notify(url, 'ann', (data) => {
    shown.push(data)
    throw new Error('enough')
  }, (value) => { holds.push(value) })
  await until('both share', () => holds.length === 1)
  await app.sse.publish('a', { data: 1 })
  await t.rejects(left, { message: 'enough' })
  t.strictSame([shown, holds, other.holds], [[1], [false], [true]])
  t.equal(app.sse.stats().opened, 1)
})
