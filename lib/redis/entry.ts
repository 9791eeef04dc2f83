// Tested by test/redis/foreign.test.ts
import type { Audience, PublishedEvent } from '../backplane.js'
import { now } from '../clock.js'
import { publishedEvent } from '../pubsub/history.js'

/** An entry of the Redis stream: an event, a mark that events before it are lost (`lost`), or an entry that this plugin did not write (`foreign`). */
export type LogEntry =
  { readonly kind: 'event', readonly id: string, readonly event: PublishedEvent } |
  { readonly kind: 'lost' | 'foreign', readonly id: string }

/** Returns the fields of the Redis entry for an event, names and values in turn. `frame` is the encoded event without its id. */
export function toFields (to: Audience, name: string, frame: string): string[] {
  return ['to', to, 'name', name, 'text', frame]
}

/** The fields of a loss marker, an entry that says that events before it are lost. The first entry of every stream is a loss marker. */
export const LOSS_MARKER = ['lost', 'before']

/** Converts the reply of Redis to XRANGE to log entries. */
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

/** Returns the event of an entry. For other entries returns a placeholder, an event that no stream receives. Its id becomes the log's newest id. */
export function toEvent (entry: LogEntry): PublishedEvent {
  return entry.kind === 'event' ? entry.event : placeholder(entry.id)
}

/** Creates an event with this id that no stream receives, because it is for the client id `''`, and no client id is empty. */
export function placeholder (id: string): PublishedEvent {
  return { id, to: 'client', name: '', frame: '', text: '', time: now() }
}

/** Converts a reply of names and values to a Map. Redis sends the reply as an array (names and values in turn) in RESP2, as an object in RESP3. */
export function toMap (reply: unknown): Map<unknown, unknown> {
  if (!Array.isArray(reply)) return new Map(Object.entries(reply as object))
  return new Map(Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]))
}
