import { describe, expect, test } from 'tstyche'
import type { SSEEvent, SSEGap } from '../../lib/client/index.js'
import { type SSEStatus, type UseSSE, useSSE } from '../../lib/client/react.js'

interface StockEvents { price: { price: number }, note: { text: string } }
interface ChatEvents { token: string, usage: { tokens: number } }

describe('useSSE', () => {
  test('useSSE() narrows the data of the newest event by its name', () => {
    const { event, data, events, status, close } = useSSE<StockEvents>('/')
    if (event?.event === 'price') expect(event.data).type.toBe<{ price: number }>()
    if (event?.event === 'gap') expect(event.data).type.toBe<SSEGap>()
    expect(data).type.toBe<{ price: number } | { text: string } | SSEGap | undefined>()
    expect(events).type.toBe<ReadonlyArray<SSEEvent<StockEvents & { gap: SSEGap }>>>()
    expect(status).type.toBe<SSEStatus>()
    expect(close).type.toBe<() => void>()
    if (event !== undefined) expect(event.data).type.not.toHaveProperty('token')
  })

  test('useSSE() takes no URL, a URL, and the options of the client', () => {
    expect(useSSE<StockEvents>).type.toBeCallableWith(null)
    expect(useSSE<StockEvents>).type.toBeCallableWith(undefined, { keep: 5 })
    expect(useSSE<StockEvents>).type.toBeCallableWith(new URL('http://a'), { events: ['price'], onGap: () => {} })
    expect(useSSE<StockEvents>).type.not.toBeCallableWith('/', { events: ['token'] })
    expect(useSSE<StockEvents>).type.not.toBeCallableWith('/', { keep: '5' })
    expect(useSSE<StockEvents>).type.not.toBeCallableWith(5)
    expect(useSSE('/')).type.toBe<UseSSE<Record<string, unknown>>>()
  })

  test('useSSE() needs the option text where data is text', () => {
    expect(useSSE<ChatEvents>).type.not.toBeCallableWith('/')
    expect(useSSE<ChatEvents>).type.toBeCallableWith('/', { text: ['token'] })
  })

  test('onEvent gets each event', () => {
    useSSE<StockEvents>('/', { onEvent: (event) => { if (event.event === 'note') expect(event.data).type.toBe<{ text: string }>() } })
  })
})
