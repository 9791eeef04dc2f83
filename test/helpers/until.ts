import { setTimeout as wait } from 'node:timers/promises'

/** Waits for a condition, which may be a promise, looked at every few ms; rejects, naming it, after `limit` ms. */
export async function until (what: string, condition: () => unknown, limit = 10_000): Promise<void> {
  const end = Date.now() + limit
  while (!await condition()) {
    if (Date.now() > end) throw new Error(`not within ${limit} ms: ${what}`)
    await wait(5)
  }
}
