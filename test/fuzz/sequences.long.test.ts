import fc from 'fast-check'
import { test } from 'tap'
import { commands } from './commands.js'
import { numRuns, seed } from './runs.js'
import { World } from './world.js'

const setting = fc.record({ size: fc.constantFrom(0, 1, 5, 1_000, 1_000), heartbeat: fc.constantFrom(15_000, 2) })

test(`after random commands every client has the events of a small model, and nothing leaks: ${numRuns(300)} sequences`, async (t) => {
  t.comment(`seed ${seed}`)
  let steps = 0
  await fc.assert(fc.asyncProperty(setting, commands, async (setting, commands) => {
    const { world, model } = await World.open(setting)
    try {
      await fc.asyncModelRun(() => ({ model, real: world }), commands)
      steps += Array.from(commands).length
    } finally {
      for (const follower of world.followers) follower?.resume()
      await world.end()
    }
  }), { seed, numRuns: numRuns(300), endOnFailure: false })
  t.comment(`${steps} steps`)
})
