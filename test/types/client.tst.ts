import { Type } from '@sinclair/typebox'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import type { JsonSchemaToTsProvider } from '@fastify/type-provider-json-schema-to-ts'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import type { ZodNumber, ZodObject, ZodString } from 'zod'
import {
  sse, type SSEClientArguments, type SSEClientOptions, type SSEClientOptionsFor, type SSEError, type SSEEvents, type SSEGap, type SSEMessage, type WithGap
} from '../../lib/client/index.js'
import type { EventsOf } from '../../lib/index.js'

const events = {
  price: Type.Object({ symbol: Type.String(), price: Type.Number() }),
  closed: Type.Object({ reason: Type.String() })
}
type StockEvents = EventsOf<typeof events>
interface PriceSchema { type: 'object', properties: { price: { type: 'number' } }, required: ['price'], additionalProperties: false }
interface ChatEvents { token: string, done: string, usage: { tokens: number } }

describe('EventsOf', () => {
  test('EventsOf maps the name of each event to its data', () => {
    expect<StockEvents>().type.toBe<{ price: { symbol: string, price: number }, closed: { reason: string } }>()
    expect<EventsOf<{ price: ZodObject<{ price: ZodNumber }>, text: ZodString }>>().type.toBe<{ price: { price: number }, text: string }>()
    expect<EventsOf<{ price: PriceSchema }, JsonSchemaToTsProvider>>().type.toBe<{ price: { price: number } }>()
    expect<EventsOf<{ price: PriceSchema }>>().type.toBe<{ price: unknown }>()
  })

  test('EventsOf accepts every events option of a route', () => {
    const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
    app.sseRoute({ url: '/', events, interval: 1, payload: () => ({ event: 'closed', data: { reason: '' } }) })
  })
})

describe('sse', () => {
  test('sse() narrows the data of an event by its name', async () => {
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

  test('sse() does not yield gaps when onGap is given', async () => {
    for await (const event of sse<StockEvents>('/', { onGap: (gap) => { expect(gap).type.toBe<SSEGap>() } })) {
      expect(event.event).type.toBe<'price' | 'closed'>()
    }
    expect(sse<{ gap: { own: true } }>('/')).type.toBe<SSEEvents<{ gap: { own: true } }>>()
  })

  test('sse() with the option text types the data of the named events as text', async () => {
    for await (const event of sse<ChatEvents>('/', { method: 'POST', text: ['token', 'done'] })) {
      if (event.event === 'token') expect(event.data).type.toBe<string>()
      if (event.event === 'usage') expect(event.data).type.toBe<{ tokens: number }>()
    }
    expect(sse<ChatEvents>).type.not.toBeCallableWith('/')
    expect(sse<ChatEvents>).type.not.toBeCallableWith('/', { method: 'POST' })
    expect(sse<ChatEvents>).type.not.toBeCallableWith('/', { text: ['usage'] })
    expect(sse<StockEvents>).type.not.toBeCallableWith('/', { text: ['price'] })
    expect(sse<ChatEvents>).type.toBeCallableWith('/', { text: ['token'], onGap: () => {} })
  })

  test('sse() with text: true types all data as text', async () => {
    expect(sse<StockEvents>('/', { text: true })).type.toBe<SSEEvents<{ price: string, closed: string, gap: string }>>()
    expect(sse<ChatEvents>('/', { text: true, end: '[DONE]', onGap: () => {} })).type.toBe<SSEEvents<{ token: string, done: string, usage: string }>>()
    for await (const event of sse<ChatEvents>('/', { text: true })) {
      expect(event.event).type.toBe<'token' | 'done' | 'usage' | 'gap'>()
      expect(event.data).type.toBe<string>()
    }
  })

  test('the option events of sse() accepts names of the given events', () => {
    expect(sse<StockEvents>).type.toBeCallableWith('/', { events: ['price', 'gap'] })
    expect(sse<StockEvents>).type.toBeCallableWith('/', { events: ['price'], text: true })
    expect(sse<StockEvents>).type.not.toBeCallableWith('/', { events: ['prices'] })
    expect(sse<StockEvents>).type.not.toBeCallableWith('/', { events: ['prices'], text: true })
    expect(sse<StockEvents>).type.not.toBeCallableWith('/', { events: 'price' })
    expect(sse).type.toBeCallableWith('/', { events: ['anything'] })
    expect(sse('/', { events: ['price'] })).type.toBe<SSEEvents<Record<string, unknown>>>()
  })

  test('the iterable of sse() and its errors have lastEventId', () => {
    const events = sse<StockEvents>('/', { lastEventId: null })
    expect(events.lastEventId).type.toBe<string | null>()
    expect(sse<StockEvents>).type.toBeCallableWith('/', { lastEventId: events.lastEventId })
    expect<SSEError['lastEventId']>().type.toBe<string | null>()
  })

  test('sse() can be wrapped by a function that passes options on', () => {
    function typed<Events extends object> (path: string, options: SSEClientOptionsFor<Events>) {
      return sse<Events>(`/api${path}`, options)
    }
    expect(typed<StockEvents>('/', {})).type.toBe<SSEEvents<WithGap<StockEvents>>>()
    expect(typed<ChatEvents>('/', { text: ['token'] })).type.toBe<SSEEvents<WithGap<ChatEvents>>>()
    expect(typed<ChatEvents>).type.not.toBeCallableWith('/', {})
    expect(typed<StockEvents>).type.not.toBeCallableWith('/', { events: ['prices'] })

    function signedIn<Events extends object> (path: string, options: SSEClientOptionsFor<Events>) {
      return sse<Events>(path, { ...options, headers: { authorization: 'Bearer a' }, shouldRetry: ({ status }) => status === 401 || undefined })
    }
    expect(signedIn<StockEvents>('/', {})).type.toBe<SSEEvents<WithGap<StockEvents>>>()

    function arity<Events extends object> (path: string, ...options: SSEClientArguments<Events>) {
      return sse<Events>(path, ...options)
    }
    expect(arity<StockEvents>('/')).type.toBe<SSEEvents<WithGap<StockEvents>>>()
    expect(arity<ChatEvents>).type.not.toBeCallableWith('/')

    function optional<Events extends object> (path: string, options?: SSEClientOptionsFor<Events>) {
      return sse<Events>(path, options)
    }
    expect(optional<StockEvents>('/')).type.toBe<SSEEvents<WithGap<StockEvents>>>()

    function untyped (path: string, options?: SSEClientOptionsFor<Record<string, unknown>>) {
      return sse(path, options)
    }
    expect(untyped('/', { text: ['token'], method: 'POST' })).type.toBe<SSEEvents<Record<string, unknown>>>()

    function plain (path: string, options: SSEClientOptions) {
      return sse(path, options)
    }
    expect(plain('/', { end: '[DONE]' })).type.toBe<SSEEvents<Record<string, unknown>>>()
  })

  test('callbacks of sse() have typed parameters, and those that decide have typed results', () => {
    sse('/', { onInvalid: (event) => { expect(event).type.toBe<SSEMessage>() } })
    sse('/', { share: 'ann', onShare: ({ holds }) => { expect(holds).type.toBe<boolean>() } })
    expect(sse).type.not.toBeCallableWith('/', { share: true })
    sse('/', {
      shouldRetry: (error, attempt) => {
        expect(error).type.toBe<SSEError>()
        expect(attempt).type.toBe<number>()
      }
    })
    expect(sse).type.toBeCallableWith('/', { shouldRetry: () => true })
    expect(sse).type.toBeCallableWith('/', { shouldRetry: async () => {} })
    expect(sse).type.toBeCallableWith('/', { shouldRetry: async ({ status }: SSEError) => status === 401 || undefined })
    expect(sse).type.not.toBeCallableWith('/', { shouldRetry: () => 'yes' })
    expect(sse).type.not.toBeCallableWith('/', { onInvalid: (event: number) => event })
  })

  test('the option fetch of sse() accepts functions like the global fetch', () => {
    expect(sse).type.toBeCallableWith('/', { fetch })
    expect(sse).type.toBeCallableWith('/', { fetch: async (url: string | URL, init: RequestInit) => fetch(url, { ...init, keepalive: true }) })
    expect(sse).type.toBeCallableWith('/', { fetch: async () => new Response() })
    expect(sse).type.not.toBeCallableWith('/', { fetch: async () => 'data: 1' })
    expect(sse).type.not.toBeCallableWith('/', { fetch: (url: number) => fetch(String(url)) })
  })

  test('sse() refuses options by their earlier names', () => {
    expect(sse).type.not.toBeCallableWith('/', { silence: 1 })
    expect(sse).type.not.toBeCallableWith('/', { retry: { tries: 1 } })
  })

  test('sse() without type parameters has unknown data, or text with text: true', async () => {
    expect(sse('/')).type.toBe<SSEEvents<Record<string, unknown>>>()
    for await (const event of sse('/')) expect(event.data).type.toBe<unknown>()
    for await (const event of sse('/', { text: ['token'] })) expect(event.event).type.toBe<string>()
    for await (const event of sse('/', { text: true })) expect(event.data).type.toBe<string>()
    for await (const event of sse('/', { text: true, onGap: () => {} })) expect(event.data).type.toBe<string>()
  })

  test('sse() accepts the options of fetch', () => {
    expect(sse).type.toBeCallableWith(new URL('http://localhost/'), { headers: { a: 'b' }, credentials: 'include', body: new Uint8Array(), signal: AbortSignal.timeout(1) })
    expect(sse).type.toBeCallableWith('/', { headers: (attempt: number) => ({ attempt: String(attempt) }) })
    expect(sse).type.toBeCallableWith('/', { headers: async () => new Headers() })
    expect<SSEClientOptions>().type.toBeAssignableFrom({ retry: { delay: 1, maxDelay: 2, maxRetries: 3 }, inactivityTimeout: 0, reconnect: true, lastEventId: '1' })
    expect(sse).type.not.toBeCallableWith('/', { retry: 3 })
    expect(sse).type.not.toBeCallableWith('/', { headers: 'a: b' })
    expect(sse).type.not.toBeCallableWith('/', { credentials: 'sometimes' })
    expect(sse).type.not.toBeCallableWith('/', { reconect: true })
    expect(sse).type.not.toBeCallableWith(42)
  })
})
