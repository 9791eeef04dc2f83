// Tested by test/client/sharing.test.ts
import type { connect } from './connect.js'
import type { SSEError } from './errors.js'
import type { Settings } from './options.js'
import { type Locks, Tab } from './tab.js'
import type { RawEvent } from './event-parser.js'

/** The parts of a browser's page or worker that sharing uses. */
interface Page extends Partial<EventTarget> {
  location?: unknown
  document?: EventTarget
  navigator?: { locks?: Locks }
}

/**
 * Yields the events of the connection that all tabs with the same name and URL share. Where tabs cannot share, yields the
 * events of a separate connection.
 *
 * `connectAlone` and `Failure` are arguments, because bundlers move a module that two chunks import into a third chunk.
 */
export async function * share (connectAlone: typeof connect, Failure: typeof SSEError, url: string | URL, settings: Settings, signal: AbortSignal): AsyncGenerator<Iterable<RawEvent>, undefined> {
  const { lastEventId = null, end, onShare } = settings
  const page: Partial<Pick<typeof globalThis, 'BroadcastChannel'>> & Page = globalThis
  const { BroadcastChannel: Channel, document } = page
  const locks = page.navigator?.locks
  // checks `location`, because Node has locks and channels too, but the requests of one process may be those of several users;
  // `query` rejects where a page may use no locks, as in a sandboxed frame
  if (!page.location || !Channel || !locks || !await locks.query().catch(() => false)) return yield * connectAlone(url, settings, lastEventId, signal)

  const tab = new Tab({
    name: `sse ${settings.share} ${new Request(url).url}`,
    locks,
    openChannel: (name) => new Channel(name),
    lastEventId,
    end,
    connect: (lastEventId, signal) => connectAlone(url, settings, lastEventId, signal),
    SSEError: Failure,
    onShare
  })
  const over = new AbortController()
  const listening = { signal: over.signal }
  // a page in one of these states runs no code, and an open channel or a lock keeps it out of the back-forward cache
  document?.addEventListener('freeze', () => tab.leave(), listening)
  document?.addEventListener('resume', () => tab.join(), listening)
  page.addEventListener?.('pagehide', () => tab.leave(), listening)
  page.addEventListener?.('pageshow', () => tab.join(), listening)
  signal.addEventListener('abort', () => tab.close(), listening)
  try {
    tab.join()
    while (!signal.aborted) {
      const events = await tab.take()
      if (events.length > 0) yield events
      else if (tab.over?.error !== undefined) throw tab.over.error
      else return
    }
  } finally {
    over.abort()
    tab.close()
  }
}
