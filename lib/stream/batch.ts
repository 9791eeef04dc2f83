// Tested by test/integration/writes.test.ts
/** Size from which a Buffer that streams share costs less than a string that Node encodes for each stream, bytes. */
const LARGE = 16_384

/**
 * The encoded events that one stream sends in a tick. Immutable: appending the same text to the same batch returns the same
 * object, so that the streams of a fan-out share one string, one byte count and one HTTP chunk. Hot path.
 */
export class Batch {
  readonly text: string
  readonly bytes: number
  #chunk: Buffer | null = null
  #encoded: Buffer | null = null
  #added = ''
  #next: Batch | null = null

  constructor (text: string, bytes: number) {
    this.text = text
    this.bytes = bytes
  }

  /** Returns the batch with one more event. */
  append (text: string): Batch {
    if (text === '') return this
    // usually the same string object, which needs no comparison of characters
    if (this.#next === null || this.#added !== text) {
      this.#next = new Batch(this.text + text, this.bytes + Buffer.byteLength(text))
      this.#added = text
    }
    return this.#next
  }

  /** Drops the batches that were appended, because the next tick has other events. */
  reset (): void {
    this.#next = null
    this.#added = ''
  }

  /** The batch as a chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1). */
  get chunk (): Buffer {
    this.#chunk ??= Buffer.from(`${this.bytes.toString(16)}\r\n${this.text}\r\n`)
    return this.#chunk
  }

  /** The batch for `write()` of a Node stream, which encodes each string that it buffers: large text as a Buffer, encoded once for all streams. */
  get data (): string | Buffer {
    if (this.bytes < LARGE) return this.text
    this.#encoded ??= Buffer.from(this.text)
    return this.#encoded
  }
}
