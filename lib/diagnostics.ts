import { channel } from 'node:diagnostics_channel'
import type { Audience } from './backplane.js'
import type { CloseReason } from './stats.js'
import type { SSEStream } from './types.js'

/** The summary of a stream that has closed. */
export interface StreamEnd {
  /** Why it was closed. */
  closeReason: CloseReason
  /** Events written. */
  events: number
  /** Bytes written, without those of HTTP. */
  bytes: number
  /** Time from the opening of the stream to its close, ms. */
  ms: number
}

/** The messages on the plugin's channels of node:diagnostics_channel, by channel name. */
export interface SSEDiagnostics {
  /** A stream has opened. */
  'fastify-sse-routes:open': { stream: SSEStream }
  /** A stream that opened has closed. */
  'fastify-sse-routes:close': { stream: SSEStream } & StreamEnd
  /** An event that this process published is in the log. `name` is the topic or the client id, `''` for all streams. */
  'fastify-sse-routes:publish': { id: string, to: Audience, name: string, payload: unknown }
  /** A gap event was written. `lastEventId`: the last id that the client has; `oldestId`: the oldest event that can be replayed. */
  'fastify-sse-routes:gap': { stream: SSEStream, lastEventId: string | null, oldestId: string | null }
}

/** The channels. Callers check `hasSubscribers` before they create a message, because most processes have no subscriber. */
export const channels = {
  open: channel('fastify-sse-routes:open'),
  close: channel('fastify-sse-routes:close'),
  publish: channel('fastify-sse-routes:publish'),
  gap: channel('fastify-sse-routes:gap')
}

/** Publishes a message on a channel. */
export function tell<Name extends keyof typeof channels> (name: Name, message: SSEDiagnostics[`fastify-sse-routes:${Name}`]): void {
  channels[name].publish(message)
}
