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

/** The fields of an entry that this plugin knows, by their names. */
interface Fields {
  v?: string
  after?: string
  lost?: string
  to?: string
  except?: string
  text?: string
  do?: string
  client?: string
  topic?: string
  readonly name: string[]
  readonly keep: string[]
}

/** Hot path: every process reads every entry, also if none of its streams gets the event. */
function readEntry (id: string, pairs: string[]): LogEntry {
  const fields = readFields(pairs)
  if (fields.v !== '1') return { kind: 'foreign', id, after: null }
  const { after = null } = fields
  if (fields.lost !== undefined) return { kind: 'lost', id, after }
  const control = readControl(fields)
  if (control !== null) return { kind: 'control', id, after, control }
  const event = readEvent(fields)
  return event === null ? { kind: 'foreign', id, after } : { kind: 'event', id, after, event: publishedEvent(id, event) }
}

function readFields (pairs: string[]): Fields {
  const fields: Fields = { name: [], keep: [] }
  for (let i = 0; i < pairs.length; i += 2) {
    const { [i]: name, [i + 1]: value = '' } = pairs
    switch (name) {
      case 'name':
      case 'keep':
        fields[name].push(value)
        break
      case 'v':
      case 'after':
      case 'lost':
      case 'to':
      case 'except':
      case 'text':
      case 'do':
      case 'client':
      case 'topic':
        fields[name] = value
    }
  }
  return fields
}

function readControl ({ do: action, client: clientId, topic }: Fields): Control | null {
  if (!clientId) return null
  if (action === 'close') return { action, clientId, topic: '' }
  return action === 'unsubscribe' && topic ? { action, clientId, topic } : null
}

/** The least and the greatest number of names that an event has. */
const NAMES = { topic: [1, Infinity], client: [1, 1], all: [0, 0] } as const

function readEvent ({ to, text: frame, name: names, keep, except }: Fields): Publication | null {
  if (to !== 'topic' && to !== 'client' && to !== 'all') return null
  const [least, most] = NAMES[to]
  if (names.length < least || names.length > most || names.includes('') || !frame?.endsWith('\n\n')) return null
  return { to, names, except: except ?? null, limits: keep.length === 0 ? null : keep.map(readLimits), frame }
}

function readLimits (text: string): TopicHistory | null {
  const [, size, maxAge] = /^(\d+) (\d+)$/.exec(text) ?? []
  return size === undefined ? null : { size: Number(size), maxAge: Number(maxAge) }
}
