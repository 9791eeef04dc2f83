import { EventSource as PackageEventSource } from 'eventsource'
import type { Test } from 'tap'
import { EventSource as UndiciEventSource } from 'undici'
import { sse } from '../../lib/client/index.js'

/** An event as a client has it. */
export interface Received {
  event: string
  data: string
  lastEventId: string
}

/** What a client has seen of one url. */
export interface Seen {
  events: Received[]
  opened: number
  /** How often it was told that there is no connection, or none any more. */
  failed: number
  /** It has given up, and does not come back by itself. */
  over: boolean
}

export interface Followed {
  seen (): Promise<Seen>
  /** How many events it has seen: less to bring than all of them, where one waits for many. */
  received (): Promise<number>
  close (): Promise<void>
}

export type ClientName = 'Chromium' | 'eventsource' | 'undici' | 'our client'

/** One face for every client. */
export interface Client {
  name: ClientName
  /** @param names the events it listens to, besides those without a name */
  follow (url: string, names?: string[], withCredentials?: boolean): Promise<Followed>
}

/** An EventSource, whoever's. */
export interface Source {
  readonly readyState: number
  close (): void
  addEventListener (name: string, listener: (event: Event) => void): void
}

export interface Watched {
  source: Source
  seen: Omit<Seen, 'over'>
}

/** Notes what an EventSource tells. Runs in pages as well, by its text. */
export function watch (source: Source, names: string[]): Watched {
  const seen: Watched['seen'] = { events: [], opened: 0, failed: 0 }
  // a Set: a second listener for one name would note each event twice
  for (const name of new Set(['message', 'open', 'error', ...names])) {
    source.addEventListener(name, (event) => {
      // a server's events may have these names as well
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

/** It tells of all events, whatever their names. */
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
