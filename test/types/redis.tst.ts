import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { describe, expect, test } from 'tstyche'
import type { BackplaneFactory } from '../../lib/index.js'
import { redisBackplane } from '../../lib/redis/index.js'

describe('redisBackplane', () => {
  test('redisBackplane returns a value of the option backplane', () => {
    expect(redisBackplane({ url: 'redis://127.0.0.1', key: 'orders', maxLength: 1_000, timeout: 1_000 })).type.toBe<BackplaneFactory>()
  })

  test('redisBackplane accepts a client of node-redis or ioredis', () => {
    expect(redisBackplane).type.toBeCallableWith({ client: createClient({ RESP: 3 }) })
    expect(redisBackplane).type.toBeCallableWith({ client: new Redis() })
  })

  test('redisBackplane accepts a url or a client, and not both or neither', () => {
    expect(redisBackplane).type.not.toBeCallableWith({ url: 'redis://127.0.0.1', client: new Redis() })
    expect(redisBackplane).type.not.toBeCallableWith({ key: 'orders' })
    expect(redisBackplane).type.not.toBeCallableWith({ client: {} })
  })
})
