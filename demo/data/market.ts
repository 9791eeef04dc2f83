import { createError } from '@fastify/error'
import { Type, type Static } from '@fastify/type-provider-typebox'

/** A price at a time. */
export const PriceSchema = Type.Object({
  time: Type.Integer({ description: 'ms since 1970' }),
  price: Type.Number()
})
export type Price = Static<typeof PriceSchema>

/** A price, and how it moved since the day began (UTC). */
export const QuoteSchema = Type.Object({
  symbol: Type.String(),
  name: Type.String(),
  time: Type.Integer({ description: 'ms since 1970' }),
  price: Type.Number(),
  open: Type.Number({ description: 'The day’s first price' }),
  change: Type.Number({ description: 'price less open' }),
  changePercent: Type.Number()
})
export type Quote = Static<typeof QuoteSchema>

/** All prices of one second. */
export const SecondSchema = Type.Object({
  time: Type.Integer({ description: 'ms since 1970' }),
  shares: Type.Array(Type.Object({ symbol: Type.String(), price: Type.Number(), open: Type.Number({ description: 'The day’s first price' }) }))
})
export type Second = Static<typeof SecondSchema>

const companies = new Map([
  ['ACRE', { name: 'Acre Farms', seed: 11, base: 84, volatility: 1 }],
  ['BOLT', { name: 'Bolt Fasteners', seed: 23, base: 231, volatility: 1.6 }],
  ['CRUX', { name: 'Crux Analytics', seed: 37, base: 142, volatility: 2.4 }],
  ['DUNE', { name: 'Dune Glassworks', seed: 41, base: 17, volatility: 3 }]
])

/** The invented companies of this invented market. */
export const listing = [...companies].map(([symbol, { name }]) => ({ symbol, name }))

export const UnknownSymbol = createError('UNKNOWN_SYMBOL', 'No company is listed as %s', 404)

/** The company of a symbol. @throws UnknownSymbol */
export function company (symbol: string) {
  const found = companies.get(symbol)
  if (found === undefined) throw new UnknownSymbol(symbol)
  return found
}

/** The quote of a listed company at `time` (ms since 1970). */
export function quote (symbol: string, time = Date.now()): Quote {
  const second = Math.floor(time / 1_000)
  const price = priceAt(symbol, second)
  const open = openAt(symbol, second)
  const change = cents(price - open)
  return { symbol, name: company(symbol).name, time: second * 1_000, price, open, change, changePercent: cents(100 * change / open) }
}

/** All prices of the seconds after `then` (ms since 1970), of the last two minutes at most, oldest first. */
export function pricesAfter (then: number, time = Date.now()): Second[] {
  const now = Math.floor(time / 1_000)
  const first = Math.max(Math.floor(then / 1_000), now - 120) + 1
  return Array.from({ length: Math.max(0, now - first + 1) }, (_, index) => {
    const second = first + index
    const shares = Array.from(companies.keys(), (symbol) => ({ symbol, price: priceAt(symbol, second), open: openAt(symbol, second) }))
    return { time: second * 1_000, shares }
  })
}

/** The prices of the two minutes before `time`, oldest first. */
export function pastPrices (symbol: string, time = Date.now()): Price[] {
  const now = Math.floor(time / 1_000)
  return Array.from({ length: 120 }, (_, index) => {
    const second = now - 120 + index
    return { time: second * 1_000, price: priceAt(symbol, second) }
  })
}

function openAt (symbol: string, second: number): number {
  return priceAt(symbol, second - second % 86_400)
}

/**
 * The price of a company in a second since 1970: the same whenever and wherever it is asked for.
 * It adds up waves of noise, each four times as long and twice as high as the one before, which is how a random walk looks from afar.
 */
function priceAt (symbol: string, second: number): number {
  const { seed, base, volatility } = company(symbol)
  let drift = 0
  for (let length = 1, height = 0.0002; length < 1_000_000; length *= 4, height *= 2) {
    drift += height * noise(seed + length, second / length)
  }
  return cents(base * (1 + volatility * drift))
}

/** Smooth noise from −1 to 1: random at whole numbers, eased between them. */
function noise (seed: number, position: number): number {
  const whole = Math.floor(position)
  const part = position - whole
  const from = random(seed, whole)
  return from + (random(seed, whole + 1) - from) * part * part * (3 - 2 * part)
}

/** A number from −1 to 1 that depends on the two alone: they are mixed by multiplying and shifting. */
function random (seed: number, n: number): number {
  let mixed = Math.imul(n, 0x9e3779b1) ^ Math.imul(seed, 0x85ebca6b)
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x45d9f3b)
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d)
  return ((mixed ^ (mixed >>> 16)) >>> 0) / 2 ** 31 - 1
}

function cents (amount: number): number {
  return Math.round(amount * 100) / 100
}
