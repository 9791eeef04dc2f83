import { Redis } from 'ioredis'
import { createClient } from 'redis'
import { describe, expect, test } from 'tstyche'
import type { BackplaneFactory } from '../../lib/index.js'
import { redisBackplane, redisPublisher } from '../../lib/redis/index.js'

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

describe('redisPublisher', () => {
  const publisher = redisPublisher({ url: 'redis://127.0.0.1', key: 'orders', serializer: JSON.stringify, timeout: 1_000 })

  test('redisPublisher accepts a url or a client', () => {
    expect(redisPublisher).type.toBeCallableWith({ client: new Redis() })
    expect(redisPublisher).type.not.toBeCallableWith({ key: 'orders' })
    expect(redisPublisher).type.not.toBeCallableWith({ url: 'redis://127.0.0.1', maxLength: 5 })
  })

  test('a publisher has the methods of app.sse', () => {
    expect(publisher.publish(['a', 'b'], { event: 'x', data: 1 }, { except: 'ann' })).type.toBe<Promise<string>>()
    expect(publisher.broadcast('x')).type.toBe<Promise<string>>()
    expect(publisher.close('ann')).type.toBe<Promise<void>>()
    expect(publisher.publish).type.not.toBeCallableWith('a', { id: '1', data: 1 })
  })
})
