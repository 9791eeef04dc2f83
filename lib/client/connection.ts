import { cut, messageOf, SSEError } from './errors.js'
import { LONGEST } from './retry.js'

/** A timer may be so late, ms, before that means that all has stood still, as in a computer that slept. */
const LATE = 1_000

/** How much is kept of an answer that is no event stream, characters: enough to tell what is wrong, whatever a server sends. */
const KEPT = 1_048_576

/** One request and the stream that answers it. What fails is in `failure`, and not thrown. */
export class Connection {
  /** Null after a clean end. */
  failure: SSEError | null = null
  readonly #timeout: number
  readonly #request = new AbortController()
  readonly #decoder = new TextDecoder()
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  /** @param inactivityTimeout ms without a byte after which it counts as dead; 0, or more than a timer can wait: never */
  constructor (inactivityTimeout: number) {
    this.#timeout = inactivityTimeout > LONGEST ? 0 : inactivityTimeout
  }

  /** The answer, if it is an event stream or says that there is none (204); else null. @param timed whether inactivity counts till then */
  async open (request: (signal: AbortSignal) => Promise<Response>, timed: boolean): Promise<Response | null> {
    return this.#try(timed, async () => {
      const response = await request(this.#request.signal)
      // a `fetch` of the application's may give anything
      if (typeof response?.headers?.get !== 'function') throw new SSEError('SSE_ERR_OPTION', `The option "fetch" takes a function that resolves to a Response, got ${typeof response}`)
      const { status, headers } = response
      if (status === 204) return response
      const isStream = status === 200 && /^text\/event-stream *(;|$)/i.test(headers.get('content-type') ?? '')
      this.#reader = isStream ? readerOf(response) : undefined
      if (this.#reader === undefined) throw await notAStream(response, isStream)
      // for a `fetch` that ignores its signal
      this.#request.signal.throwIfAborted()
      return response
    })
  }

  /** What comes next; null at the end. */
  async read (): Promise<string | null> {
    return this.#try(true, async () => {
      const part = await this.#reader?.read()
      return part?.value === undefined ? null : this.#decoder.decode(part.value, { stream: true })
    })
  }

  /** Aborts the request. Pending reads resolve to null. */
  close (reason?: SSEError): void {
    this.#request.abort(reason)
    // for a `fetch` that ignores its signal; rejects where it does not
    this.#reader?.cancel().catch(() => {})
  }

  async #try<Result> (timed: boolean, work: () => Promise<Result>): Promise<Result | null> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const listen = () => {
      const begun = Date.now()
      timer = setTimeout(() => {
        // what came while all stood still is there in a moment
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

/** Undefined where the body cannot be read as a stream, as with React Native's `fetch`. */
function readerOf ({ body }: Response): ReadableStreamDefaultReader<Uint8Array> | undefined {
  return typeof body?.getReader === 'function' ? body.getReader() : undefined
}

/** @param isStream whether all but the body is as it should be */
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
    if (text.length >= KEPT) break
  }
  return text.slice(0, KEPT)
}
