import type { Page, PublishedEvent } from '../backplane.js'
import { Batch } from '../stream/batch.js'

/** Size at which a text ends, characters. A stream writes more than that at once. */
const SIZE = 15_360

/** Events of a page that are next to each other and go to the same clients, joined to one text. */
export interface ReplayText {
  readonly batch: Batch
  /** Number of events. */
  readonly count: number
  /** Id of the last event. */
  readonly lastId: string
  /** The client id that does not get the event, which is then the only one of the text. Null if all clients get the events. */
  readonly except: string | null
}

/** The texts of pages that several streams replay. Not of all pages, because that made a replay twice as slow. */
const ofPages = new WeakMap<Page, readonly ReplayText[]>()

/** Called when a second stream gets a page. Joins its events, once for this stream and all that follow. */
export function joinTexts (page: Page): void {
  if (!ofPages.has(page)) ofPages.set(page, join(page.events))
}

/** Returns the texts of a page; undefined before `joinTexts` was called for it. */
export function textsOf (page: Page): readonly ReplayText[] | undefined {
  return ofPages.get(page)
}

function join (events: readonly PublishedEvent[]): ReplayText[] {
  const texts: ReplayText[] = []
  let [text, count] = ['', 0]
  for (const [i, { id, except, text: next }] of events.entries()) {
    text += next
    count++
    const following = events[i + 1]
    if (following !== undefined && text.length < SIZE && except === null && following.except === null) continue
    texts.push({ batch: new Batch(text, Buffer.byteLength(text)), count, lastId: id, except })
    ;[text, count] = ['', 0]
  }
  return texts
}
