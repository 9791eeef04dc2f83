// Tested by test/redis/entry.test.ts
import type { Control, Publication, TopicHistory } from '../backplane.js'
import { publishedEvent } from '../pubsub/history.js'
import type { Kept } from '../pubsub/ring.js'

/** An entry of the log: an event, a control message, a mark that events before it are lost (`lost`), or an entry that this plugin does not know (`foreign`). */
export type LogEntry = { readonly id: string, /** Id of the entry before; null if the entry was not appended by the script. */ readonly after: string | null } & (
  { readonly kind: 'event', readonly event: Kept } |
  { readonly kind: 'control', readonly control: Control } |
  { readonly kind: 'lost' | 'foreign' }
)

/*
 * The form of an entry, version 1. Other programs may read and append entries of this form, so that it is not changed; a later form has
 * another version. The fields are pairs of a name and a value:
 *
 * - `v`: `1`
 * - `after`: only in the log, added by the script: id of the entry before
 * - of an event: `to`: `topic`, `client` or `all`; `name`: a topic or the client id, once for each; `except`: a client id (optional);
 *   `keep`: `<size> <maxAge>`, the limits of the history of a topic, once for each `name` in the same order, empty for the limits of the
 *   processes (optional); `text`: the event in event stream format without an `id:` line, with the empty line at its end
 * - of a control message: `do`: `close` or `unsubscribe`; `client`: a client id; `topic`: the topic to remove, only with `unsubscribe`
 * - of a loss marker: `lost`: `before`
 */

/** Returns the fields of the entry for an event, names and values in turn, without `v`. */
export function eventFields ({ to, names, except, limits, frame }: Publication): string[] {
  const keep = limits?.flatMap((limit) => ['keep', limit === null ? '' : `${limit.size} ${wholeAge(limit.maxAge)}`]) ?? []
  return ['to', to, ...names.flatMap((name) => ['name', name]), ...keep, ...(except === null ? [] : ['except', except]), 'text', frame]
}

/** Returns a `maxAge` as Redis takes it: whole ms, 0 for no limit. */
export function wholeAge (maxAge: number): number {
  return maxAge > 1e13 ? 0 : Math.ceil(maxAge)
}

/** Returns the fields of the entry for a control message, names and values in turn, without `v`. */
export function controlFields ({ action, clientId, topic }: Control): string[] {
  return ['do', action, 'client', clientId, ...(action === 'close' ? [] : ['topic', topic])]
}

/** Converts a list of entries, as Redis replies it to XRANGE, to log entries. */
export function readEntries (reply: unknown): LogEntry[] {
  return (reply as RawEntry[]).map(([id, fields]) => readEntry(id, fields))
}

/** Converts the reply to XREAD of one stream to log entries. */
export function readReply (reply: unknown): LogEntry[] {
  return readEntries(entriesOf(reply))
}

/** An entry of a stream: its id, and the names and values of its fields in turn. */
export type RawEntry = [id: string, fields: string[]]

/** Returns the entries in the reply to XREAD of one stream: null, an array with a pair of the key and the entries (RESP2), or a map of them (RESP3), which ioredis passes as one pair. */
export function entriesOf (reply: unknown): RawEntry[] {
  if (reply === null) return []
  const [first, second] = Object.values(reply as object)
  if (!Array.isArray(reply)) return first
  return Array.isArray(first) ? first[1] : second
}

function readEntry (id: string, fields: string[]): LogEntry {
  const found = new Map<string, string>()
  const [names, keep]: [string[], string[]] = [[], []]
  for (let i = 0; i < fields.length; i += 2) {
    const [name = '', value = ''] = fields.slice(i, i + 2)
    if (name === 'name') names.push(value)
    else if (name === 'keep') keep.push(value)
    else found.set(name, value)
  }
  const after = found.get('after') ?? null
  if (found.get('v') !== '1') return { kind: 'foreign', id, after: null }
  if (found.has('lost')) return { kind: 'lost', id, after }
  const control = readControl(found)
  if (control !== null) return { kind: 'control', id, after, control }
  const event = readEvent(found, names, keep)
  return event === null ? { kind: 'foreign', id, after } : { kind: 'event', id, after, event: publishedEvent(id, event) }
}

function readControl (fields: Map<string, string>): Control | null {
  const [action, clientId, topic] = [fields.get('do'), fields.get('client'), fields.get('topic')]
  if (!clientId) return null
  if (action === 'close') return { action, clientId, topic: '' }
  return action === 'unsubscribe' && topic ? { action, clientId, topic } : null
}

function readEvent (fields: Map<string, string>, names: string[], keep: string[]): Publication | null {
  const [to, frame] = [fields.get('to'), fields.get('text')]
  if (to !== 'topic' && to !== 'client' && to !== 'all') return null
  const [least, most] = { topic: [1, Infinity], client: [1, 1], all: [0, 0] }[to]
  if (names.length < Number(least) || names.length > Number(most) || names.includes('') || !frame?.endsWith('\n\n')) return null
  return { to, names, except: fields.get('except') ?? null, limits: keep.length === 0 ? null : keep.map(readLimits), frame }
}

function readLimits (text: string): TopicHistory | null {
  const [, size, maxAge] = /^(\d+) (\d+)$/.exec(text) ?? []
  return size === undefined ? null : { size: Number(size), maxAge: Number(maxAge) }
}
