import { cut, SSEError } from './errors.js'

/** A timer may be so late, ms, before that means that all has stood still, as in a computer that slept. */
const LATE = 1_000

/** How much is kept of an answer that is no event stream, characters: enough to tell what is wrong, whatever a server sends. */
const KEPT = 1_048_576

/** One request and the stream that answers it. What fails is in `failure`, and not thrown. */
export class Connection {
  /** Null after a clean end. */
  failure: SSEError | null = null
  readonly #silence: number
  readonly #request = new AbortController()
  readonly #decoder = new TextDecoder()
  #reader: ReadableStreamDefaultReader<Uint8Array> | undefined

  /** @param silence ms without a byte after which it counts as dead; 0: never */
  constructor (silence: number) {
    this.#silence = silence
  }

  /** The answer, if it is an event stream or says that there is none (204); else null. @param timed whether silence counts till then */
  async open (request: (signal: AbortSignal) => Promise<Response>, timed: boolean): Promise<Response | null> {
    return this.#try(timed, async () => {
      const response = await request(this.#request.signal)
      const { status, headers, body } = response
      if (status === 204) return response
      const type = headers.get('content-type')
      if (status !== 200 || body === null || !/^text\/event-stream *(;|$)/i.test(type ?? '')) {
        this.failure = await notAStream(response)
        return null
      }
      this.#reader = body.getReader()
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

  /** Has the server know that nobody listens any more. What is awaited comes to its end. */
  close (): void {
    this.#request.abort()
  }

  async #try<Result> (timed: boolean, work: () => Promise<Result>): Promise<Result | null> {
    let timer: ReturnType<typeof setTimeout> | undefined
    const listen = () => {
      const begun = Date.now()
      timer = setTimeout(() => {
        // what came while all stood still is there in a moment
        if (Date.now() - begun > this.#silence + LATE) listen()
        else this.#request.abort(new SSEError('SSE_ERR_SILENCE', `Nothing came for ${this.#silence} ms`))
      }, this.#silence)
    }
    if (timed && this.#silence > 0) listen()
    const result = await work().catch((cause: unknown) => {
      this.failure = cause instanceof SSEError ? cause : new SSEError('SSE_ERR_CONNECTION', `The connection failed: ${cause instanceof Error ? cause.message : cause}`, { cause })
      return null
    })
    clearTimeout(timer)
    return result
  }
}

async function notAStream (response: Response): Promise<SSEError> {
  const { status, headers } = response
  const message = `The answer is no event stream: status ${status}, content-type ${cut(String(headers.get('content-type')))}`
  return new SSEError('SSE_ERR_NO_STREAM', message, { status, headers, body: await beginningOf(response) })
}

async function beginningOf ({ body }: Response): Promise<string> {
  const reader = body?.getReader()
  const decoder = new TextDecoder()
  let text = ''
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    text += decoder.decode(part.value, { stream: true })
    if (text.length >= KEPT) break
  }
  return text.slice(0, KEPT)
}
