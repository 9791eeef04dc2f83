// Tested by test/client/reading.test.ts
import { cut, messageOf, optionError, SSEError } from './errors.js'
import { LONGEST } from './retry.js'

/** The lateness of a timer, ms, above which the client assumes that the process was suspended, as on a computer that slept. */
const LATE = 1_000

/** The longest `body` of an error, in characters. The rest of the response is not read, because the server may send any amount. */
const LONGEST_BODY = 1_048_576

/** One request and the event stream of its response. `open` and `read` do not reject: they store a failure in `failure`. */
export class Connection {
  /** The error with which the request or the stream failed; null before a failure, and if the server ended the stream without an error. */
  failure: SSEError | null = null
  readonly #timeout: number
  readonly #request = new AbortController()
  readonly #decoder = new TextDecoder()
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  /**
   * @param inactivityTimeout ms without a byte after which the connection is closed. 0, or more than a timer can wait (2^31 - 1), turns this off
   * @param signal closes the connection when it aborts
   */
  constructor (inactivityTimeout: number, signal: AbortSignal) {
    this.#timeout = inactivityTimeout > LONGEST ? 0 : inactivityTimeout
    signal.addEventListener('abort', () => this.close(), { signal: this.#request.signal })
  }

  /**
   * Sends the request. Resolves to the response if it is an event stream or a 204, otherwise to null.
   * @param request a function that sends the request; its argument is a signal that aborts the request
   * @param timed true to apply the inactivity timeout to the wait for the response too
   */
  async open (request: (signal: AbortSignal) => Promise<Response>, timed: boolean): Promise<Response | null> {
    return this.#try(timed, async () => {
      const response = await request(this.#request.signal)
      // `fetch` may be a function of the application, which may resolve to anything
      if (typeof response?.headers?.get !== 'function') throw optionError('fetch', 'a function that resolves to a Response', typeof response)
      const { status, headers, body } = response
      if (status === 204) return response
      const isStream = status === 200 && /^text\/event-stream *(;|$)/i.test(headers.get('content-type') ?? '')
      // undefined for a body that cannot be read as a stream, as with the `fetch` of React Native
      this.#reader = body?.getReader?.()
      if (this.#reader === undefined || !isStream) {
        const message = isStream ? 'The response has no readable body; the option "fetch" takes a function whose responses have one' : `The answer is no event stream: status ${status}, content-type ${cut(String(headers.get('content-type')))}`
        throw new SSEError('SSE_ERR_NO_STREAM', message, { status, headers, body: this.#reader && await this.#readBody() })
      }
      // a `fetch` that ignores its signal gives a response even after `close()`, which is refused here
      this.#request.signal.throwIfAborted()
      return response
    })
  }

  /** Reads the next part of the stream, as text. Resolves to null at the end of the stream, and after a failure, which is in `failure`. */
  async read (): Promise<string | null> {
    return this.#try(true, () => this.#readPart())
  }

  /** Aborts the request, with `reason` as its error. Pending calls of `open` and `read` resolve to null. */
  close (reason?: SSEError): void {
    this.#request.abort(reason)
    // for a `fetch` that ignores its signal; after any other `fetch` this call rejects, because the stream was aborted
    this.#reader?.cancel().catch(() => {})
  }

  async #try<Result> (timed: boolean, work: () => Promise<Result>): Promise<Result | null> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const listen = () => {
      const begun = Date.now()
      timer = setTimeout(() => {
        // a timer this late shows that the computer slept: starts a new timeout, because bytes that arrived meanwhile are read in a moment
        if (Date.now() - begun > this.#timeout + LATE) listen()
        else this.close(this.failure = new SSEError('SSE_ERR_INACTIVITY_TIMEOUT', `Nothing came for ${this.#timeout} ms`))
      }, this.#timeout)
    }
    if (timed && this.#timeout > 0) listen()
    const result = await work().catch((cause: unknown) => {
      this.failure ??= cause instanceof SSEError ? cause : new SSEError('SSE_ERR_CONNECTION', `The connection failed: ${messageOf(cause)}`, { cause })
      return null
    })
    clearTimeout(timer)
    return result
  }

  async #readPart (): Promise<string | null> {
    const part = await this.#reader?.read()
    return part?.value === undefined ? null : this.#decoder.decode(part.value, { stream: true })
  }

  /** Reads the body of a response that is not an event stream, up to `LONGEST_BODY`. */
  async #readBody (): Promise<string> {
    let [text, part]: [string, string | null] = ['', null]
    do {
      part = await this.#readPart()
      text += part ?? ''
    } while (part !== null && text.length < LONGEST_BODY)
    return text.slice(0, LONGEST_BODY)
  }
}
