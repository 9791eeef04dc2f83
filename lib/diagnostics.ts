import { channel } from 'node:diagnostics_channel'
import type { Audience } from './backplane.js'
import type { CloseReason } from './stats.js'
import type { SSEStream } from './types.js'

/** A stream at its end. */
export interface StreamEnd {
  closeReason: CloseReason
  /** Events written. */
  events: number
  /** Bytes written, without those of HTTP. */
  bytes: number
  /** Time from the opening of the stream to its close, ms. */
  ms: number
}

/** The messages of the channels of node:diagnostics_channel. */
export interface SSEDiagnostics {
  'fastify-sse-routes:open': { stream: SSEStream }
  'fastify-sse-routes:close': { stream: SSEStream } & StreamEnd
  /** The log has an event that this process published: `name` is the topic or client id, `''` for all streams. */
  'fastify-sse-routes:publish': { id: string, to: Audience, name: string, payload: unknown }
  /** A gap event is written: with the id that the client has, and the oldest event that can be replayed. */
  'fastify-sse-routes:gap': { stream: SSEStream, lastEventId: string | null, oldestId: string | null }
}

// a message is made only where `hasSubscribers` says that something takes it
export const channels = {
  open: channel('fastify-sse-routes:open'),
  close: channel('fastify-sse-routes:close'),
  publish: channel('fastify-sse-routes:publish'),
  gap: channel('fastify-sse-routes:gap')
}

/** Publishes a message on a channel that has subscribers. */
export function tell<Name extends keyof typeof channels> (name: Name, message: SSEDiagnostics[`fastify-sse-routes:${Name}`]): void {
  channels[name].publish(message)
}
