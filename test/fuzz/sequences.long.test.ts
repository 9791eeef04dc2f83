import fc from 'fast-check'
import { test } from 'tap'
import { MemoryBackplane } from '../../lib/pubsub/memory-backplane.js'
import { numRuns } from './runs.js'
import { runSequences, setting } from './sequences.js'

const runs = numRuns(300)

test(`after random commands every client has the events of a small model, and nothing leaks: ${runs} sequences`, async (t) => {
  await runSequences(t, runs, fc.record(setting), () => ({ factory: (history) => new MemoryBackplane(history), isRemote: false }))
})
