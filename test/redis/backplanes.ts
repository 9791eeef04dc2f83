import pino from 'pino'
import t from 'tap'
import { redisBackplane, type RedisBackplaneOptions } from '../../lib/redis/index.js'
import { testBackplane } from '../../lib/testing/backplane/index.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'

const log = pino({ level: 'silent' })
let logs = 0

/** Runs the backplane suite on each server, with each of the given clients. */
export async function testBackplanes (clients: (url: string) => Record<string, RedisBackplaneOptions>): Promise<void> {
  for (const command of SERVERS) {
    const { url } = await RedisServer.start(t, command)
    for (const [what, options] of Object.entries(clients(url))) {
      testBackplane((name, run) => t.test(`${command} by ${what}: ${name}`, run), (history) => redisBackplane({ ...options, key: `log ${logs++}` })(history, log))
    }
  }
}
