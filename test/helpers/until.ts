import { setTimeout as wait } from 'node:timers/promises'

/** Checks a condition, which may be a promise, every 5 ms until it is true. Rejects with its description after `limit` ms. */
export async function until (what: string, condition: () => unknown, limit = 30_000): Promise<void> {
  const end = Date.now() + limit
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`not within ${limit} ms: ${what}`)
    await wait(5)
  }
}
