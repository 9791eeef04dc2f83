import { EventSource as EventSource4 } from 'eventsource'
import { EventSource as EventSource3 } from 'eventsource-3'
import { createEventSource } from 'eventsource-client'
import { events as fetchEventStream } from 'fetch-event-stream'
import { EventSource as LaunchDarkly } from 'launchdarkly-eventsource'
import { parseServerSentEvents } from 'parse-sse'
import Reconnecting from 'reconnecting-eventsource'
import { EventSource as UndiciEventSource } from 'undici'
import { sse } from '../../lib/client/index.js'
import type { Client, Entry } from './clients.js'
import { versionOf } from './versions.js'

/** The names of the events in the cases. */
const NAMES = ['message', 'a', 'gap']

/** The part of EventSource that all packages have. */
interface Source {
  readonly readyState: number
  close (): void
  addEventListener (name: string, listener: (event: object) => void): void
}

type Start = (url: string, note: (entry: Entry) => void, signal: AbortSignal) => unknown

function eventSource (create: (url: string) => Source): Start {
  return (url, note, signal) => {
    const source = create(url)
    signal.addEventListener('abort', () => source.close())
    for (const name of NAMES) source.addEventListener(name, (event) => note({ type: 'event', event: name, data: 'data' in event ? String(event.data) : '' }))
    source.addEventListener('open', () => note({ type: 'open' }))
    source.addEventListener('error', () => note(source.readyState === 2 ? { type: 'over', failed: true } : { type: 'error' }))
    // only launchdarkly-eventsource has this event; its state changes after `error`
    source.addEventListener('closed', () => note({ type: 'over', failed: true }))
  }
}

/** A client that is a loop over the events of one or more responses. */
function loop (events: (url: string, signal: AbortSignal, note: (entry: Entry) => void) => AsyncIterable<{ event?: string, data?: string }>): Start {
  return async (url, note, signal) => {
    try {
      for await (const { event = 'message', data = '' } of events(url, signal, note)) note({ type: 'event', event, data })
      note({ type: 'over', failed: false })
    } catch {
      note({ type: 'over', failed: true })
    }
  }
}

const starts: Record<string, Start> = {
  eventsource: eventSource((url) => new EventSource4(url)),
  'eventsource-3': eventSource((url) => new EventSource3(url)),
  undici: eventSource((url) => new UndiciEventSource(url)),
  'launchdarkly-eventsource': eventSource((url) => new LaunchDarkly(url)),
  'reconnecting-eventsource': eventSource((url) => new Reconnecting(url, { eventSourceClass: EventSource4 })),
  'eventsource-client': (url, note, signal) => {
    const source = createEventSource({
      url,
      onMessage: ({ event = 'message', data }) => note({ type: 'event', event, data }),
      onConnect: () => note({ type: 'open' }),
      // called before `readyState` changes
      onDisconnect: () => setImmediate(() => note(source.readyState === 'closed' ? { type: 'over', failed: true } : { type: 'error' }))
    })
    signal.addEventListener('abort', () => source.close())
  },
  'fetch-event-stream': loop(async function * (url, signal) { yield * fetchEventStream(await fetchStream(url, signal)) }),
  'parse-sse': loop(async function * (url, signal) {
    for await (const { type: event, data } of parseServerSentEvents(await fetchStream(url, signal))) yield { event, data }
  }),
  'fastify-sse-routes/client': loop((url, signal, note) => sse(url, { text: true, signal, onOpen: () => note({ type: 'open' }), onRetry: () => note({ type: 'error' }) }))
}

/** The request as the documentation of packages that only parse a response suggests. */
async function fetchStream (url: string, signal: AbortSignal): Promise<Response> {
  const response = await fetch(url, { signal })
  if (!response.ok) throw new Error(`status ${response.status}`)
  return response
}

/** The clients that run in Node, within this process. */
export const inNode: Client[] = Object.entries(starts).map(([name, start]) => ({
  name,
  version: versionOf(name),
  debian: false,
  async open (t, url) {
    const entries: Entry[] = []
    const closing = new AbortController()
    t.teardown(() => closing.abort())
    start(url, (entry) => { entries.push(entry) }, closing.signal)
    return { entries: async () => [...entries] }
  }
}))
