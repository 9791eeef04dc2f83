import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { EventSource as PackageEventSource } from 'eventsource'
import { type Test, test } from 'tap'
import { EventSource as UndiciEventSource } from 'undici'
import { ends, serve } from '../client/server.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { pageOf, root } from './document.js'

const page = pageOf('docs/clients.md')

const kinds = { eventsource: PackageEventSource, undici: UndiciEventSource }
type Kind = keyof typeof kinds

/** Opens an EventSource of a package, closed at the end of the test. */
function openSource (t: Test, kind: Kind, url: string): void {
  const source = new kinds[kind](url)
  t.teardown(() => source.close())
}

for (const [kind, keeps] of [['eventsource', false], ['undici', true]] as const) {
  test(`the EventSource of ${kind} ${keeps ? 'keeps' : 'forgets'} the id of a line without an event`, async (t) => {
    const app = await makeApp(t, { retry: 10 }, { forceCloseConnections: true })
    const ids: unknown[] = []
    app.sseRoute('/', { topics: ['quiet'], onConnect: (_request, stream) => { ids.push(stream.lastEventId) } })
    openSource(t, kind, `http://127.0.0.1:${await listen(app)}/`)
    await until('the stream', () => app.sse.streams.size === 1)
    for (const stream of app.sse.streams.values()) stream.close()
    await until('the second stream', () => ids.length === 2)
    t.match(ids, [null, keeps ? /^\d+-\d+$/ : null])
  })
}

for (const kind of ['eventsource', 'undici'] as const) {
  test(`the EventSource of ${kind} reconnects at once, again and again, after a retry that no timer can wait`, async (t) => {
    const { url, requests } = await serve(t, ends('retry: 2147483648\n\n'))
    openSource(t, kind, url)
    await until('many requests', () => requests.length > 10)
  })

  test(`the EventSource of ${kind} does not reconnect with an id beyond U+00FF, but does with one up to it`, async (t) => {
    const [beyond, within] = [await serve(t, ends('retry: 1\nid: €\ndata: x\n\n')), await serve(t, ends('retry: 1\nid: é\ndata: x\n\n'))]
    openSource(t, kind, beyond.url)
    openSource(t, kind, within.url)
    await until('many requests', () => within.requests.length > 10)
    t.equal(beyond.requests.length, 1)
  })
}

test('each client and runtime has a test, with the version that is installed or that the test starts', (t) => {
  const installed = Object.assign({}, ...['test', ''].map((folder) => JSON.parse(readFileSync(join(root, folder, 'package-lock.json'), 'utf8')).packages))
  const pinned = readFileSync(join(root, 'test/runtimes/runtimes.ts'), 'utf8')
  const rows = Array.from(page.sectionOf('Clients and runtimes').matchAll(/^\| `?([^|`]+?)`? \| (\d[^|]*) \| .*\]\((.*?)\) \|$/gm), ([, name = '', version = '', file = '']) => ({ name, version, file }))
  for (const { name, version, file } of rows) {
    t.ok(existsSync(join(root, dirname(page.path), file)), file)
    const run = new RegExp(`${name}@([\\d.]+)`, 'i').exec(pinned)?.[1] ?? installed[`node_modules/${name}`]?.version
    if (run !== undefined) t.equal(majorOf(version), majorOf(run), name)
  }
  t.equal(rows.length, 11)
  t.end()
})

function majorOf (version = ''): string | undefined {
  return version.split('.')[0]
}
