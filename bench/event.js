/** Name of the event that every candidate sends. */
export const NAME = 'price'

/** Interval of the interval routes of every candidate, ms. */
export const INTERVAL = 100

/** Heartbeat of the streams of `/heartbeat`, ms. */
export const HEARTBEAT = 1_000

/** Values of `flushInterval` of the routes `/flush-…`, ms. */
export const FLUSH_INTERVALS = [10, 50, 200]

/** Returns the data of the event with this number. The event has about 120 bytes on the wire. */
export function data (seq) {
  return { seq, symbol: 'ACME', price: 123.45, volume: 1200, venue: 'XNYS', at: '2026-11-21T09:30:00.000Z' }
}

/** Returns the same event as text, written without a library. */
export function text (seq) {
  return `event: ${NAME}\ndata: ${JSON.stringify(data(seq))}\n\n`
}

/** Topics of the route `/replay` of every candidate. */
export const TOPICS = ['a', 'b', 'c', 'd', 'e']

/** Number of events that a client of `/replay` has missed. */
export const MISSED = 1_000

/** Yields `count` events, for measurements of one stream. */
export async function * events (count) {
  for (let seq = 0; seq < count; seq++) yield { event: NAME, data: data(seq) }
}
