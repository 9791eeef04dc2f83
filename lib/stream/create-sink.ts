// Tested by test/integration/connections.test.ts
import { Socket } from 'node:net'
import type { Writable } from 'node:stream'
import { ChunkedSink, cork, isUntouchedHttp1 } from './chunked-sink.js'
import { isHttp2, type RawReply } from './connection.js'
import { Http2Sink, isUntouchedHttp2 } from './http2-sink.js'
import type { Sink } from './sink.js'
import { WritableSink } from './writable-sink.js'

/**
 * Returns the sink (destination for the bytes) of an event stream. If no other code has changed the response, the sink writes HTTP chunks
 * to the socket (HTTP/1.1), or to the HTTP/2 stream. Otherwise it writes to `destination`, the Node stream that Fastify piped to
 * (`inject`, a transform of an onSend hook, middleware that wraps `res.write`).
 */
export function createSink (raw: RawReply, destination: Writable): Sink {
  // no headers yet, because a transform sends them with its first bytes
  if (destination !== raw) return new WritableSink(raw, destination)
  const socket = !isHttp2(raw) && raw.socket instanceof Socket ? raw.socket : null
  if (socket !== null) cork(socket)
  if ('flushHeaders' in raw) raw.flushHeaders()
  if (isUntouchedHttp2(raw)) return new Http2Sink(raw)
  return socket !== null && isUntouchedHttp1(raw) ? new ChunkedSink(raw, socket) : new WritableSink(raw, destination)
}
