// Symptom: an HTTP error shows the address of Redis, or an error does not say what to do.
// Cause: the messages of the Redis client became those of the response.
import { test } from 'tap'
import type { BackplaneFactory } from '../../lib/index.js'
import { redisBackplane } from '../../lib/redis/index.js'
import { makeApp, until } from '../helpers/app.js'
import { startApp } from '../redis/app.js'
import { testRedis } from '../helpers/redis-server.js'
import { withoutRedis } from '../redis/without.js'

test('the error for a redisBackplane that was not called says so', async (t) => {
  await t.rejects(makeApp(t, { backplane: redisBackplane as unknown as BackplaneFactory }), {
    code: 'SSE_ERR_OPTION', message: 'The option "backplane" takes redisBackplane({ url }) or redisBackplane({ client }), got redisBackplane, which was not called'
  })
})

testRedis('an HTTP error does not contain the address of Redis, and the log does', async (t, server) => {
  const { app } = await startApp(t, { url: server.url, timeout: 1_500 })
  const lines: string[] = []
  app.addHook('onError', async (_request, _reply, error) => { lines.push(String(error.cause)) })
  app.get('/publish', async () => app.sse.publish('news', 'x'))
  await server.call('SET', '{sse}:log', 'x')
  const refused = await app.inject('/publish')
  t.strictSame([refused.statusCode, refused.json().message], [500, 'The backplane failed: Redis: a command failed'])
  t.match(lines, [/WRONGTYPE/])
  await server.kill()
  await until('an error about the connection', async () => {
    const { statusCode, body } = await app.inject('/publish')
    t.equal(statusCode, 500)
    t.notMatch(body, /127\.0\.0\.1|:\d{4,5}/)
    return lines.some((line) => line.includes('127.0.0.1'))
  })
})

// must be the last test of this file, because the package cannot be resolved after it
test('the error for a package "redis" that is not installed says what to install', async (t) => {
  await t.rejects(withoutRedis(t), {
    code: 'SSE_ERR_NOT_INSTALLED', message: /needs the package "redis" \(version 5 or 6\), which is not installed: run "npm install redis"/, cause: { code: 'ERR_MODULE_NOT_FOUND' }
  })
})
