import { stat } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { Type, type Static } from '@fastify/type-provider-typebox'
import TailFile from '@logdna/tail-file'
import { levels } from 'pino'

/** A line of pino's, with whatever else it holds. */
export const LogLineSchema = Type.Object({
  time: Type.Integer({ description: 'ms since 1970' }),
  level: Type.Integer({ description: '10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal' }),
  msg: Type.Optional(Type.String()),
  reqId: Type.Optional(Type.String())
}, { additionalProperties: true })
export type LogLine = Static<typeof LogLineSchema>

/** The name of the least level to read. */
export const LevelSchema = Type.String({ enum: Object.keys(levels.values), default: 'trace' })

const BACK = 64 * 1_024
const POLL = 200

/** The last 64 KiB of a pino log, then what is added to it, until `signal` is aborted: the lines of `level` and above, `trace` by default.
 * A file that takes its place is followed from its start; what is still written to the old one after that was noticed is missed. */
export async function * tailLog (file: string, { level = 'trace', signal }: { level?: string, signal: AbortSignal }): AsyncGenerator<LogLine> {
  const least = levels.values[level] ?? 0
  const { size } = await stat(file)
  const tail = new TailFile(file, { encoding: 'utf8', pollFileIntervalMs: POLL, startPos: Math.max(0, size - BACK) })
  const lines = createInterface({ input: tail, signal })
  try {
    tail.start().catch((error) => tail.destroy(error))
    for await (const text of lines) {
      const line = parse(text)
      if (line !== null && line.level >= least) yield line
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
