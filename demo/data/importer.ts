import { setTimeout } from 'node:timers/promises'
import { createError } from '@fastify/error'
import { Type, type Static } from '@fastify/type-provider-typebox'

const STEP = 100
const ROWS_PER_STEP = 50
const BROKEN_ROW = 531

/** The files that can be imported, with their numbers of rows. */
const files = { 'customers.csv': 4_000, 'orders.csv': 6_000, 'broken.csv': 1_000 }

export const FileSchema = Type.Union([Type.Literal('customers.csv'), Type.Literal('orders.csv'), Type.Literal('broken.csv')])

export const ProgressSchema = Type.Object({
  rows: Type.Integer({ description: 'The rows that are imported' }),
  of: Type.Integer({ description: 'The rows of the file' })
})

const RowError = createError('ROW_ERROR', 'Row %d has 3 columns in place of 4', 422)

/** Imports a file, and returns its progress after each step. Rejects when `signal` aborts. */
export type Importer = (file: Static<typeof FileSchema>, signal: AbortSignal) => AsyncIterable<Static<typeof ProgressSchema>>

/** Creates a simulated importer, which imports one file at a time. An import waits until all earlier ones have ended. */
export function openImporter (): Importer {
  const queue: symbol[] = []
  return async function * (file, signal) {
    const of = files[file]
    const ticket = Symbol(file)
    queue.push(ticket)
    try {
      yield { rows: 0, of }
      while (queue[0] !== ticket) await setTimeout(STEP, undefined, { signal })
      for (let rows = 0; rows < of;) {
        await setTimeout(STEP, undefined, { signal })
        rows = Math.min(rows + ROWS_PER_STEP, of)
        if (file === 'broken.csv' && rows >= BROKEN_ROW) throw new RowError(BROKEN_ROW)
        yield { rows, of }
      }
    } finally {
      queue.splice(queue.indexOf(ticket), 1)
    }
  }
}
