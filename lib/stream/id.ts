// Tested by test/stream/event-stream.test.ts
import { randomFillSync } from 'node:crypto'

/** Number of characters in a stream id. Each character has 6 random bits (120 in all), so that nobody can guess an id. */
const LENGTH = 20
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
// Characters for the next 256 ids. All streams of the process share them, because a call for random bytes costs far more than the bytes.
const pool = Buffer.allocUnsafe(256 * LENGTH)
let used = pool.length

/** Returns a random id for a new stream. Its characters need no escaping in a URL. */
export function newStreamId (): string {
  if (used === pool.length) refill()
  const from = used
  used += LENGTH
  return pool.toString('latin1', from, used)
}

function refill (): void {
  randomFillSync(pool)
  // an iterator of entries would make an array per byte
  pool.forEach((byte, i) => { pool[i] = ALPHABET.charCodeAt(byte & 63) })
  used = 0
}
