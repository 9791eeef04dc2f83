import { Type } from '@sinclair/typebox'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import type { ZodNumber, ZodObject, ZodString } from 'zod'
import { sse, type SSEClientOptions, type SSEEvents, type SSEGap } from '../../lib/client/index.js'
import type { EventsOf } from '../../lib/index.js'

const events = {
  price: Type.Object({ symbol: Type.String(), price: Type.Number() }),
  closed: Type.Object({ reason: Type.String() })
}
type StockEvents = EventsOf<typeof events>
interface PriceSchema { type: 'object', properties: { price: { type: 'number' } }, required: ['price'], additionalProperties: false }
interface ChatEvents { token: string, done: string, usage: { tokens: number } }

describe('EventsOf', () => {
  test('is the data of each event, by name', () => {
    expect<StockEvents>().type.toBe<{ price: { symbol: string, price: number }, closed: { reason: string } }>()
    expect<EventsOf<{ price: ZodObject<{ price: ZodNumber }>, text: ZodString }>>().type.toBe<{ price: { price: number }, text: string }>()
    expect<EventsOf<{ price: PriceSchema }, JsonSchemaToTsProvider>>().type.toBe<{ price: { price: number } }>()
    expect<EventsOf<{ price: PriceSchema }>>().type.toBe<{ price: unknown }>()
  })

  test('takes what a route takes', () => {
    const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
    app.sseRoute({ url: '/', events, interval: 1, payload: () => ({ event: 'closed', data: { reason: '' } }) })
  })
})

describe('sse', () => {
  test('has the name of an event tell its data', async () => {
    for await (const event of sse<StockEvents>('/')) {
      expect(event.event).type.toBe<'price' | 'closed' | 'gap'>()
      expect(event.id).type.toBe<string | undefined>()
      if (event.event === 'price') expect(event.data).type.toBe<{ symbol: string, price: number }>()
      if (event.event === 'closed') expect(event.data).type.toBe<{ reason: string }>()
      if (event.event === 'gap') expect(event.data).type.toBe<SSEGap>()
      expect(event).type.not.toHaveProperty('opened')
      expect(event.data).type.not.toHaveProperty('price')
    }
  })

  test('yields no gap where onGap is told', async () => {
    for await (const event of sse<StockEvents>('/', { onGap: (gap) => { expect(gap).type.toBe<SSEGap>() } })) {
      expect(event.event).type.toBe<'price' | 'closed'>()
    }
    expect(sse<{ gap: { own: true } }>('/')).type.toBe<SSEEvents<{ gap: { own: true } }>>()
  })

  test('is told which data is text, where some is', async () => {
    for await (const event of sse<ChatEvents>('/', { method: 'POST', text: ['token', 'done'] })) {
      if (event.event === 'token') expect(event.data).type.toBe<string>()
      if (event.event === 'usage') expect(event.data).type.toBe<{ tokens: number }>()
    }
    expect(sse<ChatEvents>).type.not.toBeCallableWith('/')
    expect(sse<ChatEvents>).type.not.toBeCallableWith('/', { method: 'POST' })
    expect(sse<ChatEvents>).type.not.toBeCallableWith('/', { text: ['usage'] })
    expect(sse<ChatEvents>).type.not.toBeCallableWith('/', { text: true })
    expect(sse<StockEvents>).type.not.toBeCallableWith('/', { text: ['price'] })
    expect(sse<ChatEvents>).type.toBeCallableWith('/', { text: ['token'], onGap: () => {} })
  })

  test('without types has data that may be anything, or is text', async () => {
    expect(sse('/')).type.toBe<SSEEvents<Record<string, unknown>>>()
    for await (const event of sse('/')) expect(event.data).type.toBe<unknown>()
    for await (const event of sse('/', { text: ['token'] })) expect(event.event).type.toBe<string>()
    for await (const event of sse('/', { text: true })) expect(event.data).type.toBe<string>()
    for await (const event of sse('/', { text: true, onGap: () => {} })) expect(event.data).type.toBe<string>()
  })

  test('takes what fetch takes', () => {
    expect(sse).type.toBeCallableWith(new URL('http://localhost/'), { headers: { a: 'b' }, credentials: 'include', body: new Uint8Array(), signal: AbortSignal.timeout(1) })
    expect(sse).type.toBeCallableWith('/', { headers: (attempt: number) => ({ attempt: String(attempt) }) })
    expect(sse).type.toBeCallableWith('/', { headers: async () => new Headers() })
    expect<SSEClientOptions>().type.toBeAssignableFrom({ retry: { delay: 1, maxDelay: 2, tries: 3 }, silence: 0, reconnect: true, lastEventId: '1' })
    expect(sse).type.not.toBeCallableWith('/', { retry: 3 })
    expect(sse).type.not.toBeCallableWith('/', { headers: 'a: b' })
    expect(sse).type.not.toBeCallableWith('/', { credentials: 'sometimes' })
    expect(sse).type.not.toBeCallableWith('/', { reconect: true })
    expect(sse).type.not.toBeCallableWith(42)
  })
})
