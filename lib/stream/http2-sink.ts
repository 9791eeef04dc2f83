// Tested by test/integration/connections.test.ts
import { constants, Http2ServerResponse, type ServerHttp2Stream } from 'node:http2'
import type { Batch } from './batch.js'
import { type RawReply, watchStall } from './connection.js'
import type { Sink } from './sink.js'

/** Returns whether a response is an HTTP/2 response that no other code has changed, so that `res.write` would only write to its HTTP/2 stream. */
export function isUntouchedHttp2 (raw: RawReply): raw is Http2ServerResponse {
  return raw instanceof Http2ServerResponse && raw.write === Http2ServerResponse.prototype.write && !raw.hasHeader('content-encoding')
}

/**
 * Writes to the HTTP/2 stream itself, not to Node's response object, because that checks its state at each write. Node writes
 * the frames of all HTTP/2 streams of a session at the end of the turn, in one write to its socket.
 */
export class Http2Sink implements Sink {
  readonly #res: Http2ServerResponse
  readonly #stream: ServerHttp2Stream

  constructor (res: Http2ServerResponse) {
    this.#res = res
    this.#stream = res.stream
  }

  write (batch: Batch): boolean {
    return this.#stream.write(batch.buffer)
  }

  get ended (): boolean {
    // true after `res.end()` as well. Read from the HTTP/2 stream alone, because reading the response object as well makes each write slower.
    return !this.#stream.writable
  }

  get buffered (): number {
    return this.#stream.writableLength
  }

  onceDrained (callback: () => void): void {
    this.#stream.once('drain', callback)
  }

  watchStall (ms: number, onStall: () => void): void {
    watchStall(this.#res, ms, onStall)
  }

  end (): boolean {
    this.#res.end()
    return false
  }

  abort (): void {
    this.#stream.write('', () => this.#stream.close(constants.NGHTTP2_INTERNAL_ERROR))
  }
}
