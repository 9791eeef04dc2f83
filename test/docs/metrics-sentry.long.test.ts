import * as Sentry from '@sentry/node'
import { test } from 'tap'
import { listen, open, until } from '../helpers/app.js'
import { pageOf } from './document.js'
import { runApp } from './run.js'

const page = pageOf('docs/metrics.md')

/** The errors and tags that would have been sent to Sentry. */
const sent: unknown[] = []

Sentry.init({
  dsn: 'http://key@127.0.0.1:9/1',
  beforeSend: ({ exception, tags }) => {
    sent.push([exception?.values?.[0]?.value, tags?.user])
    return null
  }
})

test('onError reports a failure of an open stream in the scope of its request', async (t) => {
  const [code] = page.codeOf('Report failures to Sentry', 'js')
  // this package is that of the tests
  const app = await runApp(t, code.replace('\'@sentry/node\'', JSON.stringify(import.meta.resolve('@sentry/node'))))
  app.addHook('onRequest', async ({ query }) => { Sentry.setTag('user', (query as { user: string }).user) })
  app.sseRoute('/failing', { source: async function * () { yield 'x'; throw new Error('no more') } })
  app.sseRoute('/refused', { topics: () => { throw new Error('topics') } })
  const port = await listen(app)
  const client = await open(t, port, '/failing?user=ann')
  t.equal(await client.finished(), false)
  await open(t, port, '/refused?user=bob')
  await until('two errors', () => sent.length === 2)
  t.strictSame(sent, [['no more', 'ann'], ['topics', 'bob']])
})
