import { ok, strictEqual } from 'node:assert/strict'
import type { Got } from './follower.js'
import type { Log } from './log.js'
import { type Client, type Due, gapText } from './model.js'

/**
 * Compares the events of a client whose stream read the log at unknown times, because the client was behind: the events that are due
 * in their order, without dropped events, and a gap after the events that are older than the newest loss. Then replaces
 * the due events that the client got.
 * @param isWhole whether nothing more may be due
 */
export function compareWithLog (log: Log, client: Client, got: readonly Got[], isWhole: boolean): void {
  const rest = [...client.due]
  const taken: Due[] = []
  let place = client.start
  /** The place of the newest missing event since the last gap. */
  let missing = -1
  for (const { text, before, after } of got) {
    const gap = text.startsWith('gap ') ? { lost: log.placeOf(after), ...JSON.parse(text.slice(4)) as { oldestId: string | null } } : null
    const upto = gap?.lost ?? Infinity
    const end = rest.findIndex((due) => due.index === null || due.index > upto || due.text(before) === text)
    // the missing events before this one
    for (const { index, text: due } of rest.splice(0, end === -1 ? rest.length : end)) {
      ok(index === null || index === upto || due(before).startsWith('gap ') || !log.retains(index, client), `${text} comes where ${due(before)} is due and kept`)
      missing = index ?? missing
    }
    const [next] = rest
    const isDue = next?.text(before) === text
    if (gap !== null) {
      ok(gap.lost >= missing, `a gap at ${gap.lost}, before the loss at ${missing}`)
      ok(isDue || (gap.lost > place && log.hasDropped(gap.lost, client)), `a gap between ${place} and ${gap.lost} without a loss`)
      ok(isDue || gap.oldestId === null || log.mayBeOldest(gap.oldestId), 'the oldest event')
      if (!isDue) strictEqual(text, gapText(before, gap.oldestId))
      if (isDue || next?.index === gap.lost) rest.shift()
      missing = -1
      taken.push({ text: () => text, index: place = gap.lost, after: () => after })
    } else {
      strictEqual(text, next?.text(before), 'an event that is due')
      strictEqual(after, next?.after?.() ?? before, `the last event id after ${text}`)
      place = next?.index ?? place
      taken.push({ text: () => text, index: next?.index ?? null, after: next?.after })
      rest.shift()
    }
  }
  if (isWhole) ok(rest.length === 0 && missing === -1, `${rest.length} more events are due, and a gap after ${missing}`)
  client.due.splice(0, Infinity, ...taken, ...rest)
}
