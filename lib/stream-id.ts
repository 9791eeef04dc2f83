import { randomFillSync } from 'node:crypto'

/** Bytes of an id: nobody guesses it. */
const LENGTH = 15
// asking for random bytes costs far more than the bytes
const pool = Buffer.allocUnsafe(256 * LENGTH)
let used = pool.length

/** The id of a new stream, 20 characters that are safe in a URL. */
export function newStreamId (): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const from = used
  used += LENGTH
  return pool.toString('base64url', from, used)
}
