// Tested by test/client/sharing.test.ts
import type { connect } from './connect.js'
import type { SSEError as Failure } from './errors.js'
import type { Settings } from './options.js'
import { type Locks, Tab, type TabOptions } from './tab.js'
import type { RawEvent } from './event-parser.js'

/** The parts of a browser's page or worker that sharing uses. */
interface Page extends Partial<EventTarget> {
  location?: unknown
  navigator?: { locks?: Locks }
}

/**
 * Yields the events of the connection that all tabs with the same name and URL share. Where tabs cannot share, yields the
 * events of a separate connection.
 *
 * `connectAlone` and `SSEError` are arguments, because bundlers move a module that two chunks import into a third chunk.
 */
export async function * share (connectAlone: typeof connect, SSEError: typeof Failure, url: string | URL, settings: Settings, signal: AbortSignal): AsyncGenerator<Iterable<RawEvent>, undefined> {
  const connectFrom: TabOptions['connect'] = (lastEventId, signal) => connectAlone(url, settings, lastEventId, signal)
  const page: Partial<Pick<typeof globalThis, 'BroadcastChannel'>> & Page = globalThis
  const { BroadcastChannel: Channel, navigator } = page
  const locks = navigator?.locks
  // checks `location`, because Node has locks and channels too, but the requests of one process may be those of several users;
  // `query` rejects where a page may use no locks, as in a sandboxed frame
  if (!page.location || !Channel || !locks || !await locks.query().catch(() => false)) return yield * connectFrom(settings.lastEventId ?? null, signal)

  const tab = new Tab({
    ...settings,
    name: `sse ${settings.share} ${new Request(url).url}`,
    locks,
    Channel,
    connect: connectFrom,
    SSEError
  })
  const over = new AbortController()
  // captures, because `freeze` and `resume` are events of the document that do not bubble
  const listening = { signal: over.signal, capture: true }
  // a page in one of these states runs no code, and an open channel or a lock keeps it out of the back-forward cache
  for (const event of ['freeze', 'pagehide']) page.addEventListener?.(event, () => tab.leave(), listening)
  for (const event of ['resume', 'pageshow']) page.addEventListener?.(event, () => tab.join(), listening)
  signal.addEventListener('abort', () => tab.close(), listening)
  try {
    if (signal.aborted) return
    tab.join()
    yield * tab.events()
  } finally {
    over.abort()
    tab.close()
  }
}
