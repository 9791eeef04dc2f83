import type { Page, PublishedEvent } from '../backplane.js'
import { Batch } from '../stream/batch.js'
import { FLUSH_BYTES } from '../stream/write-buffer.js'

/** Size of the longest page that is joined, characters. Larger events gain nothing, and would be in memory twice. */
const LONGEST_PAGE = 262_144

/** Events of a page that are next to each other and go to the same clients, joined to one text. */
export interface ReplayText {
  readonly batch: Batch
  /** Number of events. */
  readonly count: number
  /** Id of the last event. */
  readonly lastId: string
  /** Client id that does not get the event. The text then has one event. Null: all clients get the events. */
  readonly except: string | null
}

/** The texts of pages that several streams replay. Not of all pages, because that made a replay twice as slow. */
const ofPages = new WeakMap<Page, readonly ReplayText[]>()

/** Called when a second stream gets a page. Joins the events of the page, once for all streams that get it from then on. */
export function joinTexts (page: Page): void {
  if (ofPages.has(page)) return
  let size = 0
  for (const { text } of page.events) size += text.length
  if (size <= LONGEST_PAGE) ofPages.set(page, join(page.events))
}

/** Returns the texts of a page; undefined if `joinTexts` has not joined it. */
export function textsOf (page: Page): readonly ReplayText[] | undefined {
  return ofPages.get(page)
}

/** A text ends where a write buffer would write it at once. */
function join (events: readonly PublishedEvent[]): ReplayText[] {
  const texts: ReplayText[] = []
  let [text, count] = ['', 0]
  for (const [i, { id, except, text: next }] of events.entries()) {
    text += next
    count++
    const following = events[i + 1]
    if (following !== undefined && text.length < FLUSH_BYTES && except === null && following.except === null) continue
    texts.push({ batch: new Batch(text, Buffer.byteLength(text)), count, lastId: id, except })
    ;[text, count] = ['', 0]
  }
  return texts
}
