// Tested by test/integration/writes.test.ts
/** Size, bytes, from which a batch (one stream's events of a tick) is encoded to one Buffer for all streams. Node would encode a string again for each stream. */
const LARGE = 16_384

/** Length of the longest string that Node writes to a socket without allocating a buffer for it, bytes (stack_storage in its stream_base.cc). */
const LONGEST_STRING = 16_384

/**
 * The encoded events that one stream sends in a tick of the event loop, as one text that never changes. If `append` gets the same text
 * as in its last call, it returns the same batch, so that streams that send the same events share one string, byte count and HTTP chunk. Hot path.
 */
export class Batch {
  readonly text: string
  readonly bytes: number
  #chunk: string | Buffer | null = null
  #encoded: Buffer | null = null
  #added = ''
  #next: Batch | null = null

  constructor (text: string, bytes: number) {
    this.text = text
    this.bytes = bytes
  }

  /** Returns a batch that has the text of this batch and then `text`, one encoded event. Does not change the text of this batch. */
  append (text: string): Batch {
    if (text === '') return this
    // usually the same string object, so that `!==` compares no characters
    if (this.#next === null || this.#added !== text) {
      this.#next = new Batch(this.text + text, this.bytes + Buffer.byteLength(text))
      this.#added = text
    }
    return this.#next
  }

  /** Forgets the batch that `append` returned. Called at the end of a tick, because the next tick has other events. */
  reset (): void {
    this.#next = null
    this.#added = ''
  }

  /**
   * Returns the text of the batch as a chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1): size, text, line ends. The first
   * call returns ASCII as a string, which Node writes in the encoding `latin1` without a Buffer. Later calls return one Buffer, which all other streams share.
   */
  takeChunk (): string | Buffer {
    if (this.#chunk === null) {
      const chunk = `${this.bytes.toString(16)}\r\n${this.text}\r\n`
      this.#chunk = this.bytes === this.text.length && chunk.length <= LONGEST_STRING ? chunk : Buffer.from(chunk)
    } else if (typeof this.#chunk === 'string') {
      this.#chunk = Buffer.from(this.#chunk)
    }
    return this.#chunk
  }

  /** The text of the batch as a Buffer, encoded once for all streams. */
  get buffer (): Buffer {
    this.#encoded ??= Buffer.from(this.text)
    return this.#encoded
  }

  /** The text of the batch, for `write()` of a Node stream. It is a string below 16 KiB; from 16 KiB on it is a Buffer, encoded once for all streams. */
  get data (): string | Buffer {
    return this.bytes < LARGE ? this.text : this.buffer
  }
}
