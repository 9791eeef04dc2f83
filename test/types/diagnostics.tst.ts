import { describe, expect, test } from 'tstyche'
import { Registry } from 'prom-client'
import type { CloseReason, SSE, SSEDiagnostics, SSEStream } from '../../lib/index.js'
import { sseMetrics, type SSEMetricsOptions } from '../../lib/metrics.js'

describe('operations', () => {
  test('messages of the diagnostics channels', () => {
    expect<keyof SSEDiagnostics>().type.toBe<`fastify-sse-routes:${'open' | 'close' | 'publish' | 'gap'}`>()
    expect<SSEDiagnostics['fastify-sse-routes:open']['stream']>().type.toBe<SSEStream>()
    expect<SSEDiagnostics['fastify-sse-routes:close']['closeReason']>().type.toBe<CloseReason>()
    expect<SSEDiagnostics['fastify-sse-routes:close']['ms']>().type.toBe<number>()
    expect<SSEDiagnostics['fastify-sse-routes:publish']['to']>().type.toBe<'topic' | 'client' | 'all'>()
    expect<SSEDiagnostics['fastify-sse-routes:gap']['lastEventId']>().type.toBe<string | null>()
  })

  test('options of the metrics', () => {
    const register = new Registry()
    expect(sseMetrics).type.toBeCallableWith({} as { sse: SSE }, { register, prefix: 'shop_', labels: { app: 'shop' } })
    expect<SSEMetricsOptions>().type.not.toBeAssignableFrom<{ register: Registry, labels: { app: number } }>()
    expect<SSEMetricsOptions>().type.not.toBeAssignableFrom<{ register: Registry, prefix: number }>()
    expect<SSEMetricsOptions>().type.not.toBeAssignableFrom<{ labels: { app: 'shop' } }>()
  })
})
