// Tested by test/redis/foreign.test.ts
import type { Audience, PublishedEvent } from '../backplane.js'
import { now } from '../clock.js'
import { publishedEvent } from '../pubsub/history.js'

/** An entry of the Redis stream: an event, a mark that events before it are lost, or an entry that no backplane wrote. */
export type LogEntry =
  { readonly kind: 'event', readonly id: string, readonly event: PublishedEvent } |
  { readonly kind: 'lost' | 'foreign', readonly id: string }

/** The fields of an entry for an event: names and values in turn. */
export function toFields (to: Audience, name: string, frame: string): string[] {
  return ['to', to, 'name', name, 'text', frame]
}

/** The fields of a loss marker. It is the first entry of every stream. */
export const LOSS_MARKER = ['lost', 'before']

/** The entries in a reply to XRANGE. */
export function readEntries (reply: unknown): LogEntry[] {
  return (reply as Array<[id: string, fields: unknown]>).map(([id, fields]) => readEntry(id, toMap(fields)))
}

function readEntry (id: string, fields: Map<unknown, unknown>): LogEntry {
  const [to, name, frame] = [fields.get('to'), fields.get('name'), fields.get('text')]
  if (fields.has('lost')) return { kind: 'lost', id }
  if (to !== 'topic' && to !== 'client' && to !== 'all') return { kind: 'foreign', id }
  if (typeof name !== 'string' || typeof frame !== 'string' || !frame.endsWith('\n\n')) return { kind: 'foreign', id }
  return { kind: 'event', id, event: publishedEvent(id, to, name, frame) }
}

/** The event of an entry. For other entries a placeholder, because their ids advance the position as well. */
export function toEvent (entry: LogEntry): PublishedEvent {
  return entry.kind === 'event' ? entry.event : placeholder(entry.id)
}

/** An event that is delivered to nobody, because no client id is empty. */
export function placeholder (id: string): PublishedEvent {
  return { id, to: 'client', name: '', frame: '', text: '', time: now() }
}

/** A reply of names and values as a Map: RESP2 has them in an array, RESP3 in an object. */
export function toMap (reply: unknown): Map<unknown, unknown> {
  if (!Array.isArray(reply)) return new Map(Object.entries(reply as object))
  return new Map(Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]))
}
