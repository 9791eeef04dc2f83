import pino from 'pino'
import t from 'tap'
import { redisBackplane, type RedisBackplaneOptions } from '../../lib/redis/index.js'
import { testBackplane } from '../backplane-suite.js'
import { RedisServer, SERVERS } from '../helpers/redis-server.js'

const log = pino({ level: 'silent' })
let logs = 0

/** Runs the backplane suite on each server, with each of the given clients. */
export async function testBackplanes (clients: (url: string) => Record<string, RedisBackplaneOptions>): Promise<void> {
  for (const command of SERVERS) {
    const { url } = await RedisServer.start(t, command)
    for (const [what, options] of Object.entries(clients(url))) {
      testBackplane(`${command} by ${what}`, (history) => redisBackplane({ ...options, key: `log ${logs++}` })(history, log))
    }
  }
}
