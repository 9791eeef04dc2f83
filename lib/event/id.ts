import { randomInt } from 'node:crypto'

/** A position in the log: `<ms>-<n>`, two unsigned integers of 64 bits, like the ids of Redis Streams. */
const FORM = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/
const GREATEST = '18446744073709551615'

/** True for text in the form of a log's id. */
export function isEventId (text: string): boolean {
  const [, ms, n] = FORM.exec(text) ?? []
  return ms !== undefined && n !== undefined && compareNumbers(ms, GREATEST) <= 0 && compareNumbers(n, GREATEST) <= 0
}

/** Compares two ids of a log: negative if `a` is before `b`, 0 if they are equal. */
export function compareEventIds (a: string, b: string): number {
  const [dashA, dashB] = [a.indexOf('-'), b.indexOf('-')]
  return compareNumbers(a.slice(0, dashA), b.slice(0, dashB)) || compareNumbers(a.slice(dashA + 1), b.slice(dashB + 1))
}

/** Compares unsigned integers without leading zeros: the longer one is greater. As strings, because a double has 53 bits. */
function compareNumbers (a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}

/**
 * Generates ids that grow, also when the clock steps back or stands still. The ids of one millisecond are counted from a
 * random number, so that no id of another process, or of an earlier one, is taken for one of these.
 */
export class EventIds {
  readonly #least: number
  #ms = Date.now()
  #n: number

  constructor (least = randomInt(1_000_000_000)) {
    this.#least = this.#n = least
  }

  /** The last id; before the first `next()` a position before that id. */
  get last (): string {
    return `${this.#ms}-${this.#n}`
  }

  next (): string {
    const now = Date.now()
    if (now > this.#ms) {
      this.#ms = now
      this.#n = this.#least
    } else {
      this.#n++
    }
    return this.last
  }
}

/** The greatest position before an id: a reader that continues from it gets the event with that id next. */
export function previousId (id: string): string {
  const [ms, n] = numbers(id)
  return n > 0n ? `${ms}-${n - 1n}` : `${ms - 1n}-${GREATEST}`
}

/** The smallest id after a position. */
export function nextId (position: string): string {
  const [ms, n] = numbers(position)
  return n < BigInt(GREATEST) ? `${ms}-${n + 1n}` : `${ms + 1n}-0`
}

function numbers (id: string): [ms: bigint, n: bigint] {
  const dash = id.indexOf('-')
  return [BigInt(id.slice(0, dash)), BigInt(id.slice(dash + 1))]
}
