import { heldIds } from './byte-cases.js'
import type { ClientName, Received } from './clients.js'

/** Clients that report the id of the event itself, not the last id. Ours documents it; the package `eventsource` deviates. */
export const ownIds: ReadonlySet<ClientName> = new Set(['eventsource', 'our client'])

interface ByteDeviation {
  client: ClientName
  because: string
  streams: string[]
  /** The way of delivery in which the client deviates, if it is one only. */
  way?: 'whole' | 'pieces'
  /** Maps the events of the standard to those that the client reads. */
  sees: (events: Received[]) => Received[]
}

const held = heldIds.map(([stream]) => String(stream))
const withoutHeld = (events: Received[]) => events.map((event) => ({ ...event, lastEventId: event.data === '1' ? '1' : '' }))

/** Deviations of clients from the standard. Asserted, so that a fix is noticed. */
export const byteDeviations: ByteDeviation[] = [
  {
    client: 'eventsource',
    because: 'a CR ends its line only with the byte that follows, so that an event with a CR at the very end is lost',
    streams: ['data:test\r\ndata\ndata:test\r\n\r', 'data:1\r\r', 'data:1\n\r', 'data:1\r\rdata:2\r\r\ndata:3\r\r'],
    sees: (events) => events.slice(0, -1)
  },
  {
    client: 'eventsource',
    because: 'three characters at the beginning are taken for the bytes of a byte order mark',
    streams: ['\u00EF\u00BB\u00BFdata:1\n\ndata:2\n\n'],
    way: 'whole',
    sees: (events) => [{ event: 'message', data: '1', lastEventId: '' }, ...events]
  },
  {
    client: 'undici',
    because: 'an empty name does not take the place of one before',
    streams: ['event:a\nevent:\ndata:1\n\n', 'event:a\nevent\ndata:1\n\n'],
    sees: (events) => events.map((event) => ({ ...event, event: 'a' }))
  },
  { client: 'eventsource', because: 'an event has its own id only', streams: held, sees: withoutHeld },
  { client: 'our client', because: 'an event has its own id only, as its type says', streams: held, sees: withoutHeld }
]
