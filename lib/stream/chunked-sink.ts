// Tested by test/integration/writes.test.ts
import { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { real } from '../clock.js'
import type { Batch } from './batch.js'
import { type RawReply, watchStall } from './connection.js'
import type { Sink } from './sink.js'

/** Returns whether `res.write` would only write chunks to the socket. False after Express' compression, which replaces `res.write` and sets `content-encoding`. */
export function isUntouchedHttp1 (raw: RawReply): raw is ServerResponse {
  return raw instanceof ServerResponse && raw.chunkedEncoding && raw.write === ServerResponse.prototype.write && !raw.hasHeader('content-encoding')
}

// Sockets that were corked in this turn of the event loop. All streams share the list, because one setImmediate uncorks them all.
let corked: Socket[] = []

/** Corks a socket for the rest of this turn of the event loop, so that Node sends headers, first events and perhaps the end in one write. */
export function cork (socket: Socket): void {
  if (corked.length === 0) real.setImmediate(uncorkAll)
  socket.cork()
  corked.push(socket)
}

function uncorkAll (): void {
  const sockets = corked
  corked = []
  for (const socket of sockets) socket.uncork()
}

/**
 * Writes HTTP/1.1 chunks to the socket itself, because `res.write` spends as long on its bookkeeping as the kernel does on a small
 * write. `createSink` has sent the headers before; `res.end` sends the last chunk.
 */
export class ChunkedSink implements Sink {
  readonly #res: ServerResponse
  readonly #socket: Socket

  constructor (res: ServerResponse, socket: Socket) {
    this.#res = res
    this.#socket = socket
  }

  write (batch: Batch): boolean {
    const socket = this.#socket
    if (socket.write(batch.takeChunk(), 'latin1')) return true
    // a corked socket returns false also for bytes that only the cork holds back
    if (socket.writableCorked === 0) return false
    socket.uncork()
    return !socket.writableNeedDrain
  }

  get ended (): boolean {
    return this.#res.writableEnded || this.#res.destroyed
  }

  get buffered (): number {
    return this.#socket.writableLength
  }

  onceDrained (callback: () => void): void {
    this.#socket.once('drain', callback)
  }

  watchStall (ms: number, onStall: () => void): void {
    watchStall(this.#res, ms, onStall)
  }

  end (): boolean {
    this.#res.end()
    return this.#socket.writableLength === 0
  }

  abort (): void {
    this.#socket.destroySoon()
  }
}
