import type { Audience, PublishedEvent } from '../backplane.js'
import { now } from '../clock.js'
import { publishedEvent } from '../pubsub/history.js'

/** The fields of the entry that holds an event, one after the other with their values. */
export function toFields (to: Audience, name: string, frame: string): string[] {
  return ['to', to, 'name', name, 'text', frame]
}

/** The events in a reply to XRANGE. */
export function eventsOf (reply: unknown): PublishedEvent[] {
  return (reply as Array<[id: string, fields: unknown]>).map(([id, fields]) => eventOf(id, toMap(fields)))
}

/** What stands for an entry that is none of ours, or is not there: an event for nobody, which all pass over. */
export function placeholder (id: string): PublishedEvent {
  return { id, to: 'client', name: '', frame: '', text: '', time: now() }
}

export function isNothing ({ text }: PublishedEvent): boolean {
  return text === ''
}

/** The fields of an entry that says: of what came before, some is lost. It is the first of every stream. */
export const LOSS = ['lost', 'before']

/** Whether an entry says so. */
export function isLoss ({ name, text }: PublishedEvent): boolean {
  return text === '' && name === LOSS[0]
}

function eventOf (id: string, fields: Map<unknown, unknown>): PublishedEvent {
  const [to, name, frame] = [fields.get('to'), fields.get('name'), fields.get('text')]
  if (fields.has('lost')) return { ...placeholder(id), name: 'lost' }
  if (to !== 'topic' && to !== 'client' && to !== 'all') return placeholder(id)
  if (typeof name !== 'string' || typeof frame !== 'string' || !frame.endsWith('\n\n')) return placeholder(id)
  return publishedEvent(id, to, name, frame)
}

/** Whatever form a reply of names and values has: flat (RESP2), or an object (RESP3). */
export function toMap (reply: unknown): Map<unknown, unknown> {
  if (!Array.isArray(reply)) return new Map(Object.entries(reply as object))
  return new Map(Array.from({ length: reply.length / 2 }, (_, i) => [reply[2 * i], reply[2 * i + 1]]))
}
