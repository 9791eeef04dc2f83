import { Type } from '@sinclair/typebox'
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import type { EventsOf, SSEInput, SSERun, SSERunContext } from '../../lib/index.js'

const app = Fastify().withTypeProvider<TypeBoxTypeProvider>()
const events = { token: Type.String(), usage: Type.Object({ tokens: Type.Number() }) }
const key = () => 'x'

describe('resumable and resume', () => {
  test('the items of a resumable source are the events of the route, and its key has the types of the request', () => {
    app.sseRoute({
      method: 'POST',
      url: '/chats/:id',
      schema: { params: Type.Object({ id: Type.String() }) },
      events,
      resumable: { key: ({ params }) => params.id, onBusy: 'restart' },
      async * source (_request, { signal }) {
        expect(signal).type.toBe<AbortSignal>()
        yield { event: 'token', data: 'a' }
        yield { event: 'usage', data: { tokens: 1 } }
      }
    })
    // @ts-expect-error: not assignable to type
    app.sseRoute({ url: '/', events, resumable: { key }, source: () => [{ event: 'token', data: 7 }] })
    // @ts-expect-error: Type 'number' is not assignable to type 'string'
    app.sseRoute({ url: '/', resumable: { key: () => 7 }, source: () => [] })
    // @ts-expect-error: Type '"wait"' is not assignable to type
    app.sseRoute({ url: '/', resumable: { key, onBusy: 'wait' }, source: () => [] })
  })

  test('a route with resume has the events of its option', () => {
    app.sseRoute({ url: '/chats/:id', schema: { params: Type.Object({ id: Type.String() }) }, events, resume: ({ params }) => params.id })
    expect<EventsOf<typeof events>>().type.toBeAssignableTo<{ token: string, usage: { tokens: number } }>()
    // @ts-expect-error: Type 'number' is not assignable to type 'string'
    app.sseRoute({ url: '/', resume: () => 7 })
  })
})

describe('app.sse', () => {
  test('start takes sources of events, and with items: \'data\' sources of any data', () => {
    expect(app.sse.start('x', ['a', { event: 'b', data: 1 }])).type.toBe<Promise<SSERun>>()
    expect(app.sse.start('x', [1, 2], { items: 'data' })).type.toBe<Promise<SSERun>>()
    app.sse.start('x', async function * (run) {
      expect(run).type.toBe<SSERunContext<SSEInput>>()
      yield 'a'
    }, { keep: 0, end: 'end' })
    // @ts-expect-error: Type 'number' is not assignable to type 'SSEInput'
    app.sse.start('x', [1, 2])
    // @ts-expect-error: 'ttl' does not exist in type
    app.sse.start('x', ['a'], { ttl: 1 })
    expect(app.sse.stop('x')).type.toBe<Promise<boolean>>()
    expect(app.sse.run('x')).type.toBe<Promise<SSERun | null>>()
  })
})
