// Tested by test/routes/route.test.ts
import type { PluginSettings } from '../options/read.js'
import type { StreamOwner } from '../stream/contracts.js'
import type { EventStream } from '../stream/event-stream.js'
import type { StreamRegistry } from '../stream/registry.js'
import type { CompiledSettings } from '../stream/settings.js'
import type { Callbacks } from './callbacks.js'
import type { Limits } from './limits.js'
import type { PendingRequests } from './pending-requests.js'
import type { Runs } from '../runs/runs.js'

/** The objects of one registration of the plugin. All its routes and all calls of `reply.sse()` share them. */
export interface Plugin {
  registry: StreamRegistry
  limits: Limits
  /** Requests whose stream opens once the promise of the route's function `topics` has resolved. */
  pendingRequests: PendingRequests
  settings: PluginSettings
  runs: Runs
  /** The settings of a stream of `reply.sse()` without options. */
  streamSettings: CompiledSettings
  /** Handles the opening and closing of streams that handlers make by `reply.sse()` without options. */
  manualStreamOwner: StreamOwner<EventStream> & { readonly callbacks: Callbacks }
}
