import { channel } from 'node:diagnostics_channel'
import type { Audience } from './backplane.js'
import type { CloseReason } from './stats.js'
import type { SSEStream } from './types.js'

/** The counts of one stream from its opening to its close, and the reason of the close. */
export interface StreamEnd {
  /** The reason why the stream closed. */
  closeReason: CloseReason
  /** Number of events written on the stream. */
  events: number
  /** Number of bytes written on the stream, without HTTP headers and framing. */
  bytes: number
  /** Time from the opening of the stream to its close, ms. */
  ms: number
}

/** The types of the messages that the plugin publishes by node:diagnostics_channel, by channel name. */
export interface SSEDiagnostics {
  /** Sent on this channel when an event stream has opened. */
  'fastify-sse-routes:open': { stream: SSEStream }
  /** Sent on this channel when an event stream that was open has closed, with the numbers of events and bytes written, and the duration. */
  'fastify-sse-routes:close': { stream: SSEStream } & StreamEnd
  /** Sent on this channel when an event that this process published is stored in the log. `names`: the topics, or one client id; empty if the event is for all streams. */
  'fastify-sse-routes:publish': { id: string, to: Audience, names: readonly string[], except: string | null, payload: unknown }
  /**
   * Sent on this channel when a client was sent a `gap` event, which says that it has missed events. `lastEventId`: the last id that
   * the client has; `oldestId`: the id of the oldest event that can be replayed. Each is null if there is no such id.
   */
  'fastify-sse-routes:gap': { stream: SSEStream, lastEventId: string | null, oldestId: string | null }
}

/** The channels of node:diagnostics_channel. Code that publishes on a channel first checks `hasSubscribers`, because most processes have no subscribers. */
export const channels = {
  open: channel('fastify-sse-routes:open'),
  close: channel('fastify-sse-routes:close'),
  publish: channel('fastify-sse-routes:publish'),
  gap: channel('fastify-sse-routes:gap')
}

/** Publishes a message on a channel of node:diagnostics_channel, with the type for that channel. */
export function tell<Name extends keyof typeof channels> (name: Name, message: SSEDiagnostics[`fastify-sse-routes:${Name}`]): void {
  channels[name].publish(message)
}
