import { randomInt } from 'node:crypto'

/** A position in the log: `<ms>-<n>`, two whole numbers of 64 bits, as the ids of Redis Streams are. */
const FORM = /^(0|[1-9]\d{0,19})-(0|[1-9]\d{0,19})$/
const GREATEST = '18446744073709551615'

/** Whether a text has the form of a log's id. */
export function isEventId (text: string): boolean {
  const [, ms, n] = FORM.exec(text) ?? []
  return ms !== undefined && n !== undefined && compareNumbers(ms, GREATEST) <= 0 && compareNumbers(n, GREATEST) <= 0
}

/** Below 0 where `a` comes before `b`, 0 where they are the same. Both have the form of a log's id. */
export function compareEventIds (a: string, b: string): number {
  const [dashA, dashB] = [a.indexOf('-'), b.indexOf('-')]
  return compareNumbers(a.slice(0, dashA), b.slice(0, dashB)) || compareNumbers(a.slice(dashA + 1), b.slice(dashB + 1))
}

/** Whole numbers without leading zeros: the longer is the greater; a double would not hold all of 64 bits. */
function compareNumbers (a: string, b: string): number {
  if (a.length !== b.length) return a.length - b.length
  return a < b ? -1 : Number(a > b)
}

/**
 * Ids that grow, also when the clock steps back or stands still. Those of one millisecond are counted from
 * a number of this process's own: an id of another process, or of an earlier one, must not pass for one of these.
 */
export class EventIds {
  readonly #least: number
  #ms = Date.now()
  #n: number

  constructor (least = randomInt(1_000_000_000)) {
    this.#least = this.#n = least
  }

  /** The id given last; before the first one that comes before it. */
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

/** The greatest position before an id: a reader that continues from it gets that entry next. */
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
