import pino from 'pino'
import type { Test } from 'tap'
import { type RedisTarget, readConnection } from '../../lib/redis/options.js'
import { RedisRunStore } from '../../lib/redis/run-store.js'

/** A line of the log of a store. */
interface Line {
  level: number
  msg: string
}

/** Opens a store of runs, like one of several processes. It is closed at the end of the test. @param lines gets the lines of its log */
export function openStore (t: Test, target: RedisTarget, key = 'sse', timeout = 5_000, lines: Line[] = []): RedisRunStore {
  const { template } = readConnection('redisBackplane', target, '')
  const store = new RedisRunStore(template, key, timeout, pino({ level: 'debug' }, { write: (line) => { lines.push(JSON.parse(line)) } }))
  t.teardown(() => store.close())
  return store
}
