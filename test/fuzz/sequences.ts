import fc from 'fast-check'
import type { Test } from 'tap'
import { commands } from './commands.js'
import type { TestedLog } from './observed-backplane.js'
import { seed } from './runs.js'
import { type Setting, World } from './world.js'

/** The settings of an app, without those of its log. */
export const setting = { size: fc.constantFrom(0, 1, 5, 1_000, 1_000), heartbeat: fc.constantFrom(15_000, 2) }

/** Runs random sequences of commands, each on a new app, and compares each with a model. @param logOf returns the log of an app */
export async function runSequences<S extends Setting> (t: Test, runs: number, settings: fc.Arbitrary<S>, logOf: (setting: S) => TestedLog): Promise<void> {
  t.comment(`seed ${seed}`)
  let steps = 0
  await fc.assert(fc.asyncProperty(settings, commands, async (setting, commands) => {
    const log = logOf(setting)
    const { world, model } = await World.open(setting, log)
    try {
      await fc.asyncModelRun(() => ({ model, real: world }), commands)
      steps += Array.from(commands).length
    } finally {
      for (const follower of world.followers) follower?.resume()
      await world.end()
      await log.remove?.()
    }
  }), { seed, numRuns: runs, endOnFailure: false })
  t.comment(`${steps} steps`)
}
