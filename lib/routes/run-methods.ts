// Tested by test/runs/start.test.ts
import type { FastifyBaseLogger } from 'fastify'
import { encode } from '../event/encode.js'
import { readStartOptions } from '../options/runs.js'
import type { RunMethods } from '../pubsub/facade.js'
import type { SSERunContext } from '../runs/store.js'
import type { Begun, Runs } from '../runs/runs.js'
import type { CompiledSettings } from '../stream/settings.js'
import { runSource } from './run-source.js'
import { Source } from './source.js'

/** Implements the methods of `app.sse` for runs. */
export function runMethods (runs: Runs, settings: CompiledSettings, log: FastifyBaseLogger): RunMethods {
  return {
    async start (key: string, source: unknown, options: unknown = {}) {
      const { items, end, onError, ...limits } = readStartOptions(options, settings)
      const given = typeof source === 'function' ? null : new Source(source, { log })
      const { log: run, produce } = await begun(runs.begin(key, limits), given)
      produce?.(runSource({ items, end }, settings, {
        open: (context) => given ?? new Source((source as (run: SSERunContext) => unknown)(context), { log }),
        async onError (error) {
          if (onError === undefined) {
            log.error(error)
            return
          }
          try {
            const payload = await onError(error)
            return payload === undefined ? payload : encode(payload, settings.writeData)
          } catch (second) {
            log.error(error)
            log.error(second, 'onError of a run failed')
          }
        }
      }))
      return run.info
    },

    stop: (key) => runs.stop(key),

    run: (key) => runs.info(key)
  }
}

/** Stops a given source if no run reads it: its run was going on, or could not be started. */
async function begun (run: Promise<Begun>, given: Source | null): Promise<Begun> {
  try {
    const result = await run
    if (result.produce === null) given?.stop()
    return result
  } catch (error) {
    given?.stop()
    throw error
  }
}
