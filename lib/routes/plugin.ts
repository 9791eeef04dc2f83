// Tested by test/routes/route.test.ts
import type { PluginSettings } from '../options/read.js'
import type { StreamOwner } from '../stream/contracts.js'
import type { EventStream } from '../stream/event-stream.js'
import type { StreamRegistry } from '../stream/registry.js'
import type { CompiledSettings } from '../stream/settings.js'
import type { Callbacks } from './callbacks.js'
import type { Limits } from './limits.js'
import type { PendingRequests } from './pending-requests.js'

/** The parts of one registration of the plugin that its routes use. */
export interface Plugin {
  registry: StreamRegistry
  limits: Limits
  /** Requests that await the topics of their stream. */
  pendingRequests: PendingRequests
  settings: PluginSettings
  /** The settings of a stream without options. */
  streamSettings: CompiledSettings
  /** The owner of streams that handlers write to without options. */
  manualStreamOwner: StreamOwner<EventStream> & { readonly callbacks: Callbacks }
}
