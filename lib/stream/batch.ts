/** Text of so many bytes costs less as a buffer that streams share than as a string, bytes. */
const LARGE = 16_384

/**
 * Events that go out together. Streams that are written the same ones, one after the other, share it, so that
 * a fan-out joins, counts and frames them once. Hot path.
 */
export class Batch {
  readonly text: string
  readonly bytes: number
  #chunk: Buffer | null = null
  #encoded: Buffer | null = null
  #added = ''
  #next: Batch | null = null

  private constructor (text: string, bytes: number) {
    this.text = text
    this.bytes = bytes
  }

  /** Where every batch begins. */
  static readonly empty = new Batch('', 0)

  /** This batch and one more event. */
  append (text: string): Batch {
    if (text === '') return this
    // the same string as a rule, so that nothing is compared
    if (this.#next === null || this.#added !== text) {
      this.#next = new Batch(this.text + text, this.bytes + Buffer.byteLength(text))
      this.#added = text
    }
    return this.#next
  }

  /** What was shared so far is not shared any more, and not kept. */
  reset (): void {
    this.#next = null
    this.#added = ''
  }

  /** As a chunk of HTTP/1.1's chunked coding (RFC 9112, section 7.1). */
  get chunk (): Buffer {
    this.#chunk ??= Buffer.from(`${this.bytes.toString(16)}\r\n${this.text}\r\n`)
    return this.#chunk
  }

  /** For a stream of Node's, which encodes and keeps each string that waits in it: large text as bytes, encoded once for all streams. */
  get data (): string | Buffer {
    if (this.bytes < LARGE) return this.text
    this.#encoded ??= Buffer.from(this.text)
    return this.#encoded
  }
}
