/** The name of the event that every candidate sends. */
export const NAME = 'price'

/** What every candidate listens on and tells its server process. */
export const INTERVAL = 100

/** How often a stream of `/heartbeat` is sent a comment, ms. */
export const HEARTBEAT = 1_000

/** The data of the event with this number: an object whose event is about 120 bytes on the wire. */
export function data (seq) {
  return { seq, symbol: 'ACME', price: 123.45, volume: 1200, venue: 'XNYS', at: '2026-11-21T09:30:00.000Z' }
}

/** The same event as somebody who has no library writes it. */
export function text (seq) {
  return `event: ${NAME}\ndata: ${JSON.stringify(data(seq))}\n\n`
}

/** `count` events, for the measurements of one stream. */
export async function * events (count) {
  for (let seq = 0; seq < count; seq++) yield { event: NAME, data: data(seq) }
}
