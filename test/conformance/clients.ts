import { EventSource as PackageEventSource } from 'eventsource'
import type { Test } from 'tap'
import { EventSource as UndiciEventSource } from 'undici'
import { sse } from '../../lib/client/index.js'

/** An event as a client reads it. */
export interface Received {
  event: string
  data: string
  lastEventId: string
}

/** What a client has read from one url. */
export interface Seen {
  events: Received[]
  opened: number
  /** The number of error events. */
  failed: number
  /** True once the client has given up and does not reconnect. */
  over: boolean
}

export interface Followed {
  seen (): Promise<Seen>
  /** The number of events: less to transfer from a page than all of them, for a wait for many. */
  received (): Promise<number>
  close (): Promise<void>
}

export type ClientName = 'Chromium' | 'eventsource' | 'undici' | 'our client'

/** One interface for all clients. */
export interface Client {
  name: ClientName
  /** @param names the events to listen to, besides unnamed ones */
  follow (url: string, names?: string[], withCredentials?: boolean): Promise<Followed>
}

/** An EventSource of any implementation. */
export interface Source {
  readonly readyState: number
  close (): void
  addEventListener (name: string, listener: (event: Event) => void): void
}

export interface Watched {
  source: Source
  seen: Omit<Seen, 'over'>
}

/** Records the events of an EventSource. Runs in pages too, by its source text. */
export function watch (source: Source, names: string[]): Watched {
  const seen: Watched['seen'] = { events: [], opened: 0, failed: 0 }
  // a Set, because a second listener for a name would record each event twice
  for (const name of new Set(['message', 'open', 'error', ...names])) {
    source.addEventListener(name, (event) => {
      // events of a server may have these names too
      if ('data' in event && 'lastEventId' in event) seen.events.push({ event: event.type, data: String(event.data), lastEventId: String(event.lastEventId) })
      else if (event.type === 'open') seen.opened++
      else seen.failed++
    })
  }
  return { source, seen }
}

const seenBy = ({ source, seen }: Watched): Seen => ({ ...seen, events: [...seen.events], over: source.readyState === 2 })

function eventSource (t: Test, name: ClientName, open: (url: string) => Source): Client {
  return {
    name,
    async follow (url, names = []) {
      const watched = watch(open(url), names)
      t.teardown(() => watched.source.close())
      return { seen: async () => seenBy(watched), received: async () => watched.seen.events.length, close: async () => watched.source.close() }
    }
  }
}

/** Our client, which yields events of all names. */
function ours (t: Test): Client {
  return {
    name: 'our client',
    async follow (url) {
      const seen: Seen = { events: [], opened: 0, failed: 0, over: false }
      const events = sse(url, {
        text: true,
        retry: { delay: 0 },
        onOpen: () => { seen.opened++ },
        onRetry: () => { seen.failed++ }
      })
      const run = async () => {
        try {
          for await (const { id = '', event, data } of events) seen.events.push({ event, data, lastEventId: id })
        } catch {
          seen.failed++
        }
        seen.over = true
      }
      run()
      const close = async () => { await events.return?.() }
      t.teardown(close)
      return { seen: async () => ({ ...seen, events: [...seen.events] }), received: async () => seen.events.length, close }
    }
  }
}

/** The clients that run in Node. */
export const inNode = (t: Test): Client[] => [
  eventSource(t, 'eventsource', (url) => new PackageEventSource(url)),
  eventSource(t, 'undici', (url) => new UndiciEventSource(url)),
  ours(t)
]
