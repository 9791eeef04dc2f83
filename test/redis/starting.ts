import { setImmediate as turn } from 'node:timers/promises'
import pino from 'pino'
import { redisBackplane, type RedisBackplaneOptions } from '../../lib/redis/index.js'
import { publishAtLast, publishFromOutside, startApp, until } from './app.js'
import { openProxy } from './proxy.js'
import { type RedisServer, testRedis } from '../helpers/redis-server.js'

const HISTORY = { size: 10, maxAge: 0, maxBytes: 1e6 }

/** The last commands of all connections to Redis, except the one that asks. */
export async function connected (server: RedisServer): Promise<string[]> {
  const lines = String(await server.call('CLIENT', 'LIST')).trim().split('\n')
  return lines.filter((line) => !line.includes('cmd=client')).map((line) => / cmd=(\S*)/.exec(line)?.[1] ?? '')
}

/** Tests connections that open late or close early, with each of the given clients. */
export function startsAndEnds (clients: Record<string, (url: string) => RedisBackplaneOptions>): void {
  for (const [what, client] of Object.entries(clients)) {
    testRedis(`a connection that opens late, and one that is closed while it reconnects, by ${what}`, async (t, server) => {
      const proxy = await openProxy(t, server.port)
      await publishFromOutside(server, 'news', '0')
      proxy.refuse()
      const starting = startApp(t, { ...client(proxy.url), timeout: 3_000 })
      await until('some attempts', () => proxy.refused > 2)
      proxy.accept()
      const { app } = await starting
      await t.resolves(app.sse.publish('news', '1'))

      const impatient = await startApp(t, { ...client(proxy.url), timeout: 1_500 })
      proxy.stall()
      await t.rejects(impatient.app.sse.publish('news', '2'), { message: /no answer within 1500 ms/ })
      // while it reconnects
      await impatient.app.close()
      proxy.resume()
      await publishAtLast(app, 'news', '3')
      await app.close()
      await until('nobody to be connected', async () => (await connected(server)).length === 0)
    })
  }

  testRedis('a backplane that is closed while it opens leaves no connection', async (t, server) => {
    for (const [what, client] of Object.entries(clients)) {
      for (const turns of [0, 1, 5, 10]) {
        const backplane = redisBackplane(client(server.url))(HISTORY, pino({ level: 'silent' }))
        const opened = backplane.open({ onEvent () {}, onControl () {}, onGap () {} }).catch(({ code }) => code)
        for (let i = 0; i < turns; i++) await turn()
        await backplane.close()
        t.ok([undefined, 'SSE_ERR_CLOSING'].includes(await opened), what)
      }
      const proxy = await openProxy(t, server.port)
      proxy.refuse()
      const backplane = redisBackplane(client(proxy.url))(HISTORY, pino({ level: 'silent' }))
      const opened = backplane.open({ onEvent () {}, onControl () {}, onGap () {} }).catch(({ code }) => code)
      await until('an attempt', () => proxy.refused > 0)
      await backplane.close()
      t.equal(await opened, 'SSE_ERR_CLOSING', `${what}, while it connects`)
    }
    await until('nobody to be connected', async () => (await connected(server)).length === 0)
  })
}
