// Tested by test/stream/event-stream.test.ts
import { randomFillSync } from 'node:crypto'

/** Characters of an id, 6 random bits each, so that an id cannot be guessed. */
const LENGTH = 20
const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
// One pool for the process, because a call for random bytes costs far more than the bytes.
const pool = Buffer.allocUnsafe(256 * LENGTH)
let used = pool.length

/** The id of a new stream, safe in a URL. */
export function newStreamId (): string {
  if (used === pool.length) refill()
  const from = used
  used += LENGTH
  return pool.toString('latin1', from, used)
}

function refill (): void {
  randomFillSync(pool)
  for (const [i, byte] of pool.entries()) pool[i] = ALPHABET.charCodeAt(byte & 63)
  used = 0
}
