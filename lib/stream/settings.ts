// Tested by test/options/read.test.ts
import { type DataWriter, plainData } from '../event/encode.js'
import type { SSEPublication } from '../topics/types.js'
import type { SSEStreamOptions } from '../types.js'

/** The options of a stream, with defaults for options that were not given. Times in ms, sizes in bytes. `retry` is undefined if no `retry:` line is sent. */
export type StreamSettings = Required<Omit<SSEStreamOptions, 'retry' | 'heartbeat'>> & { retry: number | undefined, heartbeat: number }

/** The settings of a stream, and the functions that turn the data of its events into text. */
export interface CompiledSettings extends StreamSettings {
  writeData: DataWriter
  /** Encodes the data of an event that a source received from another SSE server. That data is text already. */
  writeText: DataWriter
}

/** The option `drain`, which sets how streams end at shutdown, with its defaults. Times in ms. */
export interface DrainSettings {
  spread: number
  event: SSEPublication | undefined
  timeout: number
}

/** Returns `settings` with functions that turn the data of events into text, for a stream whose route declares no events (no schemas of their data). */
export function compileSettings (settings: StreamSettings): CompiledSettings {
  const writeData = plainData(settings.serializer)
  return { ...settings, writeData, writeText: writeData }
}
