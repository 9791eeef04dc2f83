import { type as arktype } from 'arktype'
import Fastify from 'fastify'
import { describe, expect, test } from 'tstyche'
import { Type, type Static } from 'typebox'
import type { TypeBoxTypeProvider } from 'type-provider-typebox-1'
import type { z } from 'zod'
import type { EventsOf } from '../../lib/index.js'

describe('EventsOf', () => {
  test('EventsOf works with ArkType', () => {
    const events = { price: arktype({ symbol: 'string', 'tags?': 'string[]' }), text: arktype('string') }
    expect<EventsOf<typeof events>>().type.toBe<{ price: { symbol: string, tags?: string[] }, text: string }>()
    Fastify().sseRoute({ url: '/', events, source: () => [{ event: 'price', data: { symbol: 'ACME' } }] })
    // @ts-expect-error Type '"nope"' is not assignable to type
    Fastify().sseRoute({ url: '/', events, source: () => [{ event: 'nope', data: 'text' }] })
  })

  test('EventsOf works with zod', () => {
    type Price = z.ZodObject<{ symbol: z.ZodString, at: z.ZodOptional<z.ZodDate> }>
    expect<EventsOf<{ price: Price, text: z.ZodString }>>().type.toBe<{ price: { symbol: string, at?: Date | undefined }, text: string }>()
  })

  test('EventsOf works with TypeBox 1, with and without its type provider', () => {
    const Price = Type.Object({
      symbol: Type.String(),
      price: Type.Optional(Type.Number()),
      at: Type.Readonly(Type.Integer()),
      note: Type.Readonly(Type.Optional(Type.Null())),
      side: Type.Union([Type.Literal('buy'), Type.Literal('sell')]),
      tags: Type.Array(Type.String()),
      pair: Type.Tuple([Type.Number(), Type.Boolean()]),
      kind: Type.Enum(['a', 'b']),
      limits: Type.Record(Type.String(), Type.Number()),
      both: Type.Intersect([Type.Object({ a: Type.String() }), Type.Object({ b: Type.Number() })]),
      anything: Type.Unknown()
    })
    const events = { price: Price, text: Type.String(), list: Type.Array(Price) }
    Fastify().withTypeProvider<TypeBoxTypeProvider>().sseRoute({ url: '/', events, topics: [] })
    type Expected = { price: Static<typeof Price>, text: string, list: Array<Static<typeof Price>> }
    expect<EventsOf<typeof events, TypeBoxTypeProvider>>().type.toBe<Expected>()
    expect<EventsOf<typeof events>>().type.toBeAssignableTo<Expected>()
    expect<Expected>().type.toBeAssignableTo<EventsOf<typeof events>>()
    expect<EventsOf<typeof events>['price']['side']>().type.toBe<'buy' | 'sell'>()
    expect<EventsOf<typeof events>['price']['price']>().type.toBe<number | undefined>()
    expect<EventsOf<typeof events>['price']['pair']>().type.toBe<[number, boolean]>()
    expect<EventsOf<typeof events>['price']['both']>().type.toBe<{ a: string } & { b: number }>()
  })

  test('EventsOf is unknown for plain JSON Schema without a type provider', () => {
    expect<EventsOf<{ price: { type: 'object' } }>>().type.toBe<{ price: unknown }>()
  })
})
