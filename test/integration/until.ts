import { setTimeout } from 'node:timers/promises'

/** Resolves once `condition` holds; rejects, saying what was waited for, if it does not in time (ms). */
export async function until (what: string, condition: () => boolean | Promise<boolean>, timeout = 10_000): Promise<void> {
  const deadline = Date.now() + timeout
  while (!await condition()) {
    if (Date.now() > deadline) throw new Error(`Not within ${timeout} ms: ${what}`)
    await setTimeout(100)
  }
}
