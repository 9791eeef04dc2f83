// Tested by test/client/reading.test.ts
import { cut, messageOf, SSEError } from './errors.js'
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

  /** @param inactivityTimeout ms without a byte after which the connection is closed. 0, or more than a timer can wait (2^31 - 1), turns this off */
  constructor (inactivityTimeout: number) {
    this.#timeout = inactivityTimeout > LONGEST ? 0 : inactivityTimeout
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
      if (typeof response?.headers?.get !== 'function') throw new SSEError('SSE_ERR_OPTION', `The option "fetch" takes a function that resolves to a Response, got ${typeof response}`)
      const { status, headers } = response
      if (status === 204) return response
      const isStream = status === 200 && /^text\/event-stream *(;|$)/i.test(headers.get('content-type') ?? '')
      this.#reader = isStream ? readerOf(response) : undefined
      if (this.#reader === undefined) throw await notAStream(response, isStream)
      // a `fetch` that ignores its signal gives a response even after `close()`, which is refused here
      this.#request.signal.throwIfAborted()
      return response
    })
  }

  /** Reads the next part of the stream, as text. Resolves to null at the end of the stream, and after a failure, which is in `failure`. */
  async read (): Promise<string | null> {
    return this.#try(true, async () => {
      const part = await this.#reader?.read()
      return part?.value === undefined ? null : this.#decoder.decode(part.value, { stream: true })
    })
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
}

/** Returns a reader of a response's body; undefined for a body that cannot be read as a stream, as with React Native's `fetch`. */
function readerOf ({ body }: Response): ReadableStreamDefaultReader<Uint8Array> | undefined {
  return typeof body?.getReader === 'function' ? body.getReader() : undefined
}

/** Creates the error for a response that is not an event stream. @param isStream true if status and content-type are right and only the body is wrong */
async function notAStream (response: Response, isStream: boolean): Promise<SSEError> {
  const { status, headers } = response
  const message = isStream
    ? 'The response has no body that can be read as a stream; the option "fetch" takes a function whose responses have one'
    : `The answer is no event stream: status ${status}, content-type ${cut(String(headers.get('content-type')))}`
  return new SSEError('SSE_ERR_NO_STREAM', message, { status, headers, body: await beginningOf(readerOf(response)) })
}

async function beginningOf (reader: ReadableStreamDefaultReader<Uint8Array> | undefined): Promise<string | undefined> {
  if (reader === undefined) return undefined
  const decoder = new TextDecoder()
  let text = ''
  for (let part = await reader.read(); part.value !== undefined; part = await reader.read()) {
    text += decoder.decode(part.value, { stream: true })
    if (text.length >= LONGEST_BODY) break
  }
  return text.slice(0, LONGEST_BODY)
}
