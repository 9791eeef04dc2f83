// Tested by test/options/runs.test.ts
import { SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION, describeValue, list } from '../errors.js'
import type { RunSettings } from '../runs/runs.js'
import type { SSEItems } from '../event/types.js'
import { encode } from '../event/encode.js'
import type { CompiledSettings } from '../stream/settings.js'
import type { SSERunOptions, SSEStartOptions } from '../types.js'
import { checkEvent, isOptions, replyRules, type Rule, runRules } from './rules.js'

/**
 * Checks the limits of a run and adds the defaults.
 * @param call the option or method that takes them, for error messages
 * @param others names of further options, which the caller checks
 * @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION
 */
export function readRunOptions (call: string, options: SSERunOptions, others: readonly string[]): RunSettings {
  const rules: Record<string, Rule> = { ...runRules }
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined || others.includes(name)) continue
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) throw new SSE_ERR_UNKNOWN_OPTION(call, name, `it takes ${list([...others, ...Object.keys(runRules)])}`)
    if (!rule.test(value)) throw new SSE_ERR_OPTION(name, rule.takes, describeValue(value))
  }
  const { keep = 300_000, maxBytes = 16_777_216, maxDuration = 3_600_000, abandonAfter = 0, onBusy = 'join' } = options
  return { keep, maxBytes, maxDuration, abandonAfter, onBusy }
}

/** Returns the function in the option `resumable.key`. @throws SSE_ERR_OPTION */
export function readRunKey<Key> (key: Key): Key & Function {
  if (typeof key !== 'function') throw new SSE_ERR_OPTION('resumable.key', 'a function that returns the key of a request\'s run', describeValue(key))
  return key
}

/** The options of `app.sse.start` after they were checked. */
export type StartSettings = RunSettings & { items: SSEItems } & Pick<SSEStartOptions, 'end' | 'onError'>

/** Checks the options of `app.sse.start` and adds the defaults. @throws SSE_ERR_OPTION, SSE_ERR_UNKNOWN_OPTION */
export function readStartOptions (options: unknown, { writeData }: Pick<CompiledSettings, 'writeData'>): StartSettings {
  if (!isOptions(options)) throw new SSE_ERR_OPTION('options', 'an object of options', describeValue(options))
  const given: SSEStartOptions = options
  const { items, end, onError } = given
  for (const name of START_OPTIONS) {
    const [value, { takes, test }] = [given[name], replyRules[name]]
    if (value !== undefined && !test(value)) throw new SSE_ERR_OPTION(name, takes, describeValue(value))
  }
  checkEvent('end', end, (event) => encode(event, writeData))
  return { items: items ?? 'payload', end, onError, ...readRunOptions('app.sse.start', given, START_OPTIONS) }
}

const START_OPTIONS = ['items', 'end', 'onError'] as const
