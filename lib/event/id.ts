import { randomInt } from 'node:crypto'

/** Matches an id of the log of published events: `<ms>-<n>`, two unsigned integers of 64 bits, like the ids of Redis Streams. */
const FORM = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/
const GREATEST = '18446744073709551615'

/** Returns true if a text has the form of an id of the log of published events: `<ms>-<n>`, two unsigned integers of 64 bits. */
export function isEventId (text: string): boolean {
  const [, ms, n] = FORM.exec(text) ?? []
  return ms !== undefined && n !== undefined && compareNumbers(ms, GREATEST) <= 0 && compareNumbers(n, GREATEST) <= 0
}

/** Compares two ids of the log of published events. The result is negative if `a` is before `b`, 0 if they are equal, positive if `a` is after `b`. */
export function compareEventIds (a: string, b: string): number {
  const [dashA, dashB] = [a.indexOf('-'), b.indexOf('-')]
  return compareNumbers(a.slice(0, dashA), b.slice(0, dashB)) || compareNumbers(a.slice(dashA + 1), b.slice(dashB + 1))
}

/** Returns the later of two ids. @param b undefined: `a` is returned */
export function latestId (a: string, b: string | undefined): string {
  return b !== undefined && compareEventIds(b, a) > 0 ? b : a
}

/** Compares two unsigned integers, given as text without leading zeros: the longer text is the greater integer. A double has too few bits for them (53). */
function compareNumbers (a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}

/**
 * Generates event ids `<ms>-<n>`. Each id is greater than the one before, even if the clock steps back or stands still.
 * In each millisecond `n` counts from a random number, so that an id of another process, or of an earlier process, is
 * not mistaken for an id of this generator.
 */
export class EventIds {
  readonly #least: number
  readonly #first: string
  #ms = Date.now()
  #n: number
  #greatest: number

  constructor (least = randomInt(1_000_000_000)) {
    this.#least = this.#n = this.#greatest = least
    this.#first = this.last
  }

  /** The id that `next()` returned last. Before the first call: a text in the form of an id that is less than all ids that `next()` will return. */
  get last (): string {
    return `${this.#ms}-${this.#n}`
  }

  next (): string {
    const now = Date.now()
    if (now > this.#ms) {
      this.#ms = now
      this.#n = this.#least
    } else {
      this.#greatest = Math.max(this.#greatest, ++this.#n)
    }
    return this.last
  }

  /** Returns whether an id can be one that this generator has returned, or its first `last`. An id of another generator has another random number. */
  issued (id: string): boolean {
    const n = Number(id.slice(id.indexOf('-') + 1))
    return n >= this.#least && n <= this.#greatest && compareEventIds(id, this.#first) >= 0 && compareEventIds(id, this.last) <= 0
  }
}

/** Returns the greatest value in the form of an id that is less than `id`. A read of the log after the returned value starts with the event `id`. */
export function previousId (id: string): string {
  const [ms, n] = numbers(id)
  return n > 0n ? `${ms}-${n - 1n}` : `${ms - 1n}-${GREATEST}`
}

/** Returns the smallest id that is greater than the id `position`. */
export function nextId (position: string): string {
  const [ms, n] = numbers(position)
  return n < BigInt(GREATEST) ? `${ms}-${n + 1n}` : `${ms + 1n}-0`
}

function numbers (id: string): [ms: bigint, n: bigint] {
  const dash = id.indexOf('-')
  return [BigInt(id.slice(0, dash)), BigInt(id.slice(dash + 1))]
}
