import { real } from '../clock.js'

/** What `work` resolves to; rejects with what `late` gives once `ms` are over. */
export async function within<Result> (ms: number, work: Promise<Result>, late: () => Error): Promise<Result> {
  let over = false
  let timer: NodeJS.Timeout | undefined
  const overdue = new Promise<never>((_resolve, reject) => {
    // where the event loop was kept busy, the answer may be there, and is read in this turn
    timer = real.setTimeout(() => real.setImmediate(() => { if (!over) reject(late()) }), ms)
  })
  try {
    return await Promise.race([work, overdue])
  } finally {
    over = true
    real.clearTimeout(timer)
  }
}
