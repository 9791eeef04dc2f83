// Tested by test/options/read.test.ts
import { type DataWriter, plainData } from '../event/encode.js'
import type { SSEPublication, SSEStreamOptions } from '../types.js'

/** The options of a stream with their defaults; times in ms, sizes in bytes. `retry` may be undefined: no `retry:` line. */
export type StreamSettings = Required<Omit<SSEStreamOptions, 'retry' | 'heartbeat'>> & { retry: number | undefined, heartbeat: number }

/** The settings of a stream with the functions that write its data. */
export interface CompiledSettings extends StreamSettings {
  writeData: DataWriter
  /** Writes the data of an event that another server sent, which is text already. */
  writeText: DataWriter
}

/** The option `drain` with its defaults, ms. */
export interface DrainSettings {
  spread: number
  event: SSEPublication | undefined
  timeout: number
}

/** Compiles the settings of a stream that declares no events. */
export function compileSettings (settings: StreamSettings): CompiledSettings {
  const writeData = plainData(settings.serializer)
  return { ...settings, writeData, writeText: writeData }
}
