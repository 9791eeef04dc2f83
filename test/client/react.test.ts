import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import type { BuildOptions } from 'esbuild'
import { Window } from 'happy-dom'
import { type Test, test } from 'tap'
import { SSEError } from '../../lib/client/index.js'
import { useSSE, type UseSSE, type UseSSEOptions } from '../../lib/client/react.js'
import { listen, makeApp, until } from '../helpers/app.js'
import { serveTopics } from '../helpers/subscriber.js'
import { bundle } from './bundle.js'
import { ends, says, serve } from './server.js'
import { Locks, setGlobals } from './tabs.js'

const window = new Window()
Object.assign(globalThis, { window, document: window.document })
// Node 20 has none
if (!('navigator' in globalThis)) Object.assign(globalThis, { navigator: window.navigator })

// the React that lib imports: `import` here would load the one in test/node_modules, if that is installed
const require = createRequire(new URL('../../package.json', import.meta.url))
const { createElement, StrictMode }: typeof import('react') = require('react')
const { createRoot }: typeof import('react-dom/client') = require('react-dom/client')
const { renderToString }: typeof import('react-dom/server') = require('react-dom/server')

type Events = Record<string, unknown>
type Options = UseSSEOptions<Events>
interface Props { url: string | null, options: Options }

/** A component that reads events, and the results of `useSSE` in its renders. */
function mount (t: Test, url: string | null, options: Options = {}) {
  const states: Array<UseSSE<Events>> = []
  const root = createRoot(Object(window.document.createElement('div')))
  function Reader ({ url, options }: Props) {
    states.push(useSSE(url, options))
    return null
  }
  const render = (url: string | null, options: Options = {}) => root.render(createElement(StrictMode, null, createElement(Reader, { url, options })))
  let mounted = true
  const unmount = () => {
    if (mounted) root.unmount()
    mounted = false
  }
  t.teardown(unmount)
  render(url, options)
  return { states, render, unmount, get state () { return states.at(-1) } }
}

/** An app with streams at `/on/<topics>`, which notes the headers of their requests. */
async function startApp (t: Test) {
  // after an abort, fetch opens a connection that it does not use, for which app.close() would wait
  const app = await makeApp(t, {}, { forceCloseConnections: true })
  const requests: Array<Record<string, unknown>> = []
  app.addHook('onRequest', async ({ headers }) => { requests.push(headers) })
  serveTopics(app)
  const url = `http://127.0.0.1:${await listen(app)}/on/`
  return { app, requests, url }
}

test('a component reads events from its mount to its unmount, over one connection in StrictMode', async (t) => {
  const { app, requests, url } = await startApp(t)
  const received: unknown[] = []
  let attempts = 0
  const headers = () => {
    attempts++
    return {}
  }
  const component = mount(t, `${url}news`, { keep: 2, headers, onEvent: ({ data }) => { received.push(data) } })
  await until('a render', () => component.state)
  t.match(component.states[0], { status: 'idle', data: undefined, event: undefined, events: [], error: undefined, lastEventId: null })
  await until('the connection', () => component.state?.status === 'open')
  t.ok(component.states.some(({ status }) => status === 'connecting'))
  let id = ''
  for (const number of [1, 2, 3]) id = await app.sse.publish('news', { event: 'news', data: { number } })
  await until('the events', () => received.length === 3)
  await until('the last event', () => component.state?.lastEventId === id)
  t.match(component.state, {
    status: 'open', event: { id, event: 'news' }, data: { number: 3 }, events: [{ data: { number: 2 } }, { data: { number: 3 } }], error: undefined
  })
  t.strictSame(received, [{ number: 1 }, { number: 2 }, { number: 3 }])
  t.equal(new Set(component.states.slice(2).map(({ close }) => close)).size, 1, 'StrictMode calls the first render twice')
  component.unmount()
  await until('the disconnect', () => app.sse.streams.size === 0)
  t.equal(requests.length, 1)
  t.equal(attempts, 1, 'StrictMode prepares no second request')
})

test('a new URL starts anew, without the data and the id of the former one', async (t) => {
  const { app, requests, url } = await startApp(t)
  const component = mount(t, `${url}news`)
  await until('the connection', () => component.state?.status === 'open')
  await app.sse.publish('news', '1')
  await until('the event', () => component.state?.data === 1)
  component.render(`${url}other`)
  await until('the other stream', () => requests.length === 2 && component.state?.status === 'open')
  t.match(component.state, { data: undefined, lastEventId: null })
  await until('the first stream to be closed', () => app.sse.streams.size === 1)
  t.equal(requests[1]?.['last-event-id'], undefined)
  component.render(null)
  await until('the second stream to be closed', () => app.sse.streams.size === 0)
  t.match(component.state, { status: 'idle' })
})

test('after a change of options the hook resumes, and calls the newest functions without a reconnect', async (t) => {
  const { app, requests, url } = await startApp(t)
  const calls: string[] = []
  const component = mount(t, `${url}news`, { headers: { 'x-user': 'ann' }, onEvent: () => { calls.push('first') } })
  await until('the connection', () => component.state?.status === 'open')
  const id = await app.sse.publish('news', '1')
  await until('the event', () => component.state?.data === 1)
  component.render(`${url}news`, { headers: { 'x-user': 'ann' }, onEvent: () => { calls.push('second') } })
  const before = component.states.length
  await until('the render', () => component.states.length > before)
  await app.sse.publish('news', '2')
  await until('the second event', () => component.state?.data === 2)
  t.strictSame(calls, ['first', 'second'])
  t.equal(requests.length, 1)
  component.render(`${url}news`, { headers: new Headers({ 'x-user': 'bob' }) })
  await until('the reconnect', () => requests.length === 2)
  t.not(id, requests[1]?.['last-event-id'])
  t.match(requests[1], { 'x-user': 'bob', 'last-event-id': component.state?.lastEventId })
  t.equal(component.state?.data, 2, 'the data of the same URL')
  component.render(`${url}news`, { headers: new Headers({ 'x-user': 'eve' }) })
  await until('another reconnect', () => requests.length === 3)
})

test('the status is closed after an end of the server, failed after a failure, and reconnecting before the next attempt', async (t) => {
  const server = await serve(t, ends('id: 1\ndata: 1\n\n'), says(503, ''), ends('id: 2\ndata: 2\n\n'), says(204, ''), says(404, 'gone'))
  const retries: unknown[] = []
  const component = mount(t, server.url, { retry: { delay: 1 }, onOpen: ({ attempt }) => { retries.push(attempt) }, onRetry: ({ error }) => { retries.push(error?.status) } })
  await until('the end', () => component.state?.status === 'closed')
  t.match(component.state, { data: 2, lastEventId: '2', error: undefined })
  t.strictSame(retries, [1, undefined, 503, 3, undefined])
  t.ok(component.states.some(({ status, error }) => status === 'reconnecting' && error instanceof SSEError))
  component.render(`${server.url}gone`)
  await until('the failure', () => component.state?.status === 'failed')
  t.match(component.state, { data: undefined, error: { code: 'SSE_ERR_NO_STREAM', status: 404 } })
  component.render('no URL')
  await until('the refusal', () => component.state?.status === 'failed' && component.state.error !== undefined && Reflect.get(Object(component.state.error), 'code') === 'SSE_ERR_OPTION')
})

test('an error that onEvent throws is the state', async (t) => {
  const server = await serve(t, ends('data: 1\n\n'))
  const component = mount(t, server.url, { onEvent () { throw new Error('not today') } })
  await until('the failure', () => component.state?.status === 'failed')
  t.match(component.state, { error: { message: 'not today' } })
})

test('close() disconnects until an option changes', async (t) => {
  const { app, requests, url } = await startApp(t)
  const component = mount(t, `${url}news`)
  await until('the connection', () => component.state?.status === 'open')
  component.state?.close()
  await until('the disconnect', () => app.sse.streams.size === 0 && component.state?.status === 'closed')
  component.render(`${url}news`)
  component.render(`${url}news`, { credentials: 'include' })
  await until('the next connection', () => component.state?.status === 'open')
  t.equal(requests.length, 2)
  const none = mount(t, null)
  await until('a render', () => none.state)
  none.state?.close()
})

test('with share the status is open in every tab, also before the first event', async (t) => {
  const { app, url } = await startApp(t)
  setGlobals(t, { location: new URL(url), navigator: { locks: new Locks() } })
  const holds: boolean[] = []
  const first = mount(t, `${url}news`, { share: 'ann' })
  await until('the connection', () => first.state?.status === 'open')
  const second = mount(t, `${url}news`, { share: 'ann', onShare: (share) => { holds.push(share.holds) } })
  await until('the second tab', () => second.state?.status === 'open')
  t.strictSame(holds, [false])
  first.unmount()
  await until('the other tab to connect', () => holds.length === 2)
  t.equal(holds[1], true)
  await until('the second connection', () => app.sse.stats().opened === 2)
})

test('on a server the status is idle, and nothing is requested', async (t) => {
  const { requests, url } = await startApp(t)
  function Status () {
    const { status, events } = useSSE(`${url}news`)
    return createElement('p', null, `${status} ${events.length}`)
  }
  t.equal(renderToString(createElement(Status)), '<p>idle 0</p>')
  t.equal(requests.length, 0)
})

test('the hook adds less than 0.6 KB to the client, compressed', async (t) => {
  const options: BuildOptions = { format: 'esm', minify: true, external: ['eventsource-parser', 'react'] }
  const entry = fileURLToPath(new URL('../../lib/client/react.ts', import.meta.url))
  const [client, both] = await Promise.all([bundle(options), bundle({ ...options, entryPoints: [entry] })])
  const size = gzipSync(both).length - gzipSync(client).length
  t.comment(`${size} bytes`)
  t.ok(size < 600)
})
