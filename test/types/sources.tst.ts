import { Readable } from 'node:stream'
import { Type, type TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify, { type FastifyReply } from 'fastify'
import { describe, expect, test } from 'tstyche'
import { fetch as undiciFetch } from 'undici'
import type { SSEInput, SSESource } from '../../lib/index.js'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
const reply = {} as FastifyReply
const events = { price: Type.Object({ price: Type.Number() }) }
const bytes = {} as ReadableStream<Uint8Array>

describe('a Response', () => {
  test('a Response is a source of every route and of reply.sse()', () => {
    app.sseRoute({ url: '/', source: () => fetch('https://example.org') })
    app.sseRoute({ url: '/', source: async (request) => await fetch('https://example.org', { body: request.id }) })
    app.sseRoute({ url: '/', source: (_request, { signal }) => fetch('https://example.org', { signal }) })
    app.sseRoute({ url: '/', source: () => undiciFetch('https://example.org') })
    app.sseRoute({ url: '/', events, source: () => fetch('https://example.org') })
    app.sseRoute({ url: '/', items: 'data', source: () => fetch('https://example.org'), end: '[DONE]' })
    app.sseRoute('/', { openOn: 'first-event', source: async () => new Response('') })
    expect(reply.sse).type.toBeCallableWith(new Response(''))
    expect(reply.sse).type.toBeCallableWith(fetch('https://example.org'), { openOn: 'first-event' })
    expect(reply.sse).type.toBeCallableWith(() => fetch('https://example.org'))
    expect<Response>().type.toBeAssignableTo<SSESource>()
  })
})

describe('a web stream', () => {
  test('a web stream of bytes is a source', () => {
    app.sseRoute({ url: '/', source: () => bytes })
    app.sseRoute({ url: '/', source: async () => bytes })
    app.sseRoute({ url: '/', events, source: () => bytes })
    expect(reply.sse).type.toBeCallableWith(bytes)
    expect<ReadableStream<Uint8Array>>().type.toBeAssignableTo<SSESource>()
  })

  test('a web stream of payloads is a source, and its payloads are checked', () => {
    app.sseRoute({ url: '/', source: () => new ReadableStream({ start: (controller) => controller.enqueue('x') }) })
    app.sseRoute({ url: '/', events, source: () => ({}) as ReadableStream<{ event: 'price', data: { price: number } }> })
    expect<ReadableStream<SSEInput>>().type.toBeAssignableTo<SSESource>()
    // @ts-expect-error Type 'ReadableStream<{ event: "nope"; }>' is not assignable to type
    app.sseRoute({ url: '/', events, source: () => ({}) as ReadableStream<{ event: 'nope' }> })
    // @ts-expect-error Type 'ReadableStream<{ choices: []; }>' is not assignable to type
    app.sseRoute({ url: '/', source: () => ({}) as ReadableStream<{ choices: [] }> })
  })
})

test('a value that cannot be streamed is refused as a source', () => {
  app.sseRoute({ url: '/', source: () => Readable.from([]) })
  // @ts-expect-error Type 'number' is not assignable
  app.sseRoute({ url: '/', source: () => 5 })
  expect(reply.sse).type.not.toBeCallableWith({ status: 200, body: null })
})
