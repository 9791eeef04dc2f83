// Tested by test/testing/backplane.test.ts
/**
 * The tests that a backplane has to pass.
 *
 * @module fastify-sse-routes/testing/backplane
 */
import type { Backplane, HistorySettings } from '../../backplane.js'
import { gaps } from './gaps.js'
import { Log, same } from './log.js'
import { publishing } from './publishing.js'
import { replay } from './replay.js'

/** The options of `testBackplane`. */
export interface BackplaneTestOptions {
  /** The longest time until a published event is received, ms. Default 10000. */
  timeout?: number
}

/**
 * Tests that a backplane does everything that the interface `Backplane` promises. It needs no test runner: it passes each test to
 * `test`, which is the function `test` of node:test, tap, Vitest or Jest, or one that calls it.
 *
 * The suite assumes nothing about the time when an event is received, or about ids except that they have the form and grow.
 * @param test called with the name of a test and its function. The function resolves if the test passes, and rejects with an AssertionError if it fails
 * @param create creates a backplane with an empty log that no other backplane shares. Called once or more by each test
 */
export function testBackplane (test: (name: string, run: () => Promise<void>) => unknown, create: (history: HistorySettings) => Backplane, { timeout = 10_000 }: BackplaneTestOptions = {}): void {
  for (const [name, run] of Object.entries({ ...publishing, ...replay, ...gaps })) {
    test(name, async () => {
      const logs: Log[] = []
      const open = async (history: Partial<HistorySettings> = {}): Promise<Log> => {
        const log = new Log(create({ size: 2_000, maxAge: 0, maxBytes: 2 ** 26, ...history }), timeout)
        logs.push(log)
        return log.open()
      }
      try {
        await run(open)
        same(logs.flatMap(({ lost }) => lost), [], 'onGap: no event was lost before it was received')
      } finally {
        for (const { backplane } of logs) await backplane.close()
      }
    })
  }
}
