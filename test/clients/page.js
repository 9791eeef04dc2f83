import { fetchEventSource } from '@microsoft/fetch-event-source'
import { EventSourcePolyfill } from 'event-source-polyfill'
import { SSE } from 'sse.js'

const NAMES = ['message', 'a', 'gap']

/** Records events of an object with the interface of EventSource. */
function watch (source, entries) {
  for (const name of NAMES) source.addEventListener(name, ({ data }) => entries.push({ type: 'event', event: name, data }))
  source.addEventListener('open', () => entries.push({ type: 'open' }))
  source.addEventListener('error', () => entries.push(source.readyState === 2 ? { type: 'over', failed: true } : { type: 'error' }))
}

const open = {
  EventSource: (url, entries) => watch(new globalThis.EventSource(url), entries),
  'event-source-polyfill': (url, entries) => watch(new EventSourcePolyfill(url), entries),
  '@microsoft/fetch-event-source': (url, entries) => {
    fetchEventSource(url, {
      onmessage: ({ event, data }) => { entries.push({ type: 'event', event: event || 'message', data }) },
      onerror: () => { entries.push({ type: 'error' }) }
    }).then(() => entries.push({ type: 'over', failed: false }), () => entries.push({ type: 'over', failed: true }))
  },
  'sse.js': (url, entries) => watch(new SSE(url, { autoReconnect: true }), entries)
}

/** Starts a client in this page. Returns its observations, which grow. */
globalThis.start = (name, url) => {
  const entries = []
  open[name](url, entries)
  return entries
}
