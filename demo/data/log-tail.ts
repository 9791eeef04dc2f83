import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Type, type Static } from '@fastify/type-provider-typebox'
import TailFile from '@logdna/tail-file'
import { levels } from 'pino'

/** A line of pino's, with whatever else it holds. */
export const LogLineSchema = Type.Object({
  seq: Type.Optional(Type.Integer({ description: 'Grows from line to line, also over a restart of the server' })),
  time: Type.Integer({ description: 'ms since 1970' }),
  level: Type.Integer({ description: '10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal' }),
  msg: Type.Optional(Type.String()),
  reqId: Type.Optional(Type.String())
}, { additionalProperties: true })
export type LogLine = Static<typeof LogLineSchema>

/** Lines that a client missed are no longer in the file. */
export const GapSchema = Type.Object({
  lastEventId: Type.String({ description: 'Of the client' }),
  oldestId: Type.String({ description: 'Of the oldest line there is' })
})

/** The name of the least level to read. */
export const LevelSchema = Type.String({ enum: Object.keys(levels.values), default: 'trace' })

interface TailOptions {
  level?: string
  /** The `seq` of the last line that the reader has. */
  lastEventId: string | null
  signal: AbortSignal
}

const BACK = 64 * 1_024
const FARTHER_BACK = 4 * BACK
const POLL = 200

/** For pino's `mixin`: numbers the lines of a log, going on above those of an earlier process. */
export function numberLines (): () => { seq: number } {
  let seq = Date.now() * 1_000
  return () => ({ seq: ++seq })
}

/**
 * The last 64 KiB of a pino log, or what of the last 256 came after a line, then what is added, until `signal` is aborted:
 * the lines of `level` and above, `trace` by default, as events whose ids are the lines' numbers.
 * A file that takes its place is followed from its start; what is still written to the old one after that was noticed is missed.
 */
export async function * tailLog (file: string, { level = 'trace', lastEventId, signal }: TailOptions) {
  const least = levels.values[level] ?? 0
  const last = Number(lastEventId) || 0
  const { size } = await stat(file)
  const tail = new TailFile(file, { encoding: 'utf8', pollFileIntervalMs: POLL, startPos: Math.max(0, size - (last ? FARTHER_BACK : BACK)) })
  const lines = createInterface({ input: tail, signal })
  let first = true
  try {
    tail.start().catch((error) => tail.destroy(error))
    for await (const text of lines) {
      const line = parse(text)
      if (line === null) continue
      const { seq } = line
      if (first && last && seq && seq > last + 1) yield { event: 'gap' as const, data: { lastEventId: String(last), oldestId: String(seq) } }
      first = false
      if (line.level >= least && !(seq && seq <= last)) yield { id: seq, event: 'line' as const, data: line }
    }
  } finally {
    // It polls until told to quit, and told while it has more to read it would fail: let it run to the end of the file first.
    tail.on('error', ignore).resume().once('flush', () => tail.quit().catch(ignore))
  }
}

/** The first line may be the end of one that began before the 64 KiB: no JSON, and left out. */
function parse (text: string): LogLine | null {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}

/** For what fails after the reader has left. */
function ignore (): void {}
