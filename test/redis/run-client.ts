import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'
import { createParser } from 'eventsource-parser'

/** An event as a client receives it. */
export interface Message {
  id: string
  event: string
  data: string
}

/** A client of an event stream over a real socket. It reads only when the test asks for a message. */
export class SSEMessages {
  readonly status: number
  readonly #request: ClientRequest
  readonly #response: IncomingMessage
  readonly #messages: Message[] = []
  #wake: (() => void) | null = null
  #over = false

  private constructor (request: ClientRequest, response: IncomingMessage) {
    this.status = Number(response.statusCode)
    this.#request = request
    this.#response = response
    const parser = createParser({ onEvent: ({ id = '', event = 'message', data }) => { this.#messages.push({ id, event, data }) } })
    response.setEncoding('utf8').on('data', (text: string) => {
      parser.feed(text)
      // stops the socket while the test does not read
      if (this.#messages.length > 0) response.pause()
      this.#wake?.()
    })
    for (const event of ['end', 'error', 'close']) {
      response.on(event, () => {
        this.#over = true
        this.#wake?.()
      })
    }
  }

  /** Opens a stream. Rejects if the status is neither 200 nor 204. @param reads false: reads nothing until `resume()` */
  static async open (port: number, path: string, { method = 'GET', lastEventId, reads = true }: { method?: string, lastEventId?: string, reads?: boolean } = {}): Promise<SSEMessages> {
    const sent = request({ host: '127.0.0.1', port, path, method, agent: false, headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId } }).end()
    const [response] = await once(sent, 'response') as [IncomingMessage]
    sent.on('error', () => {})
    const stream = new SSEMessages(sent, response)
    if (!reads) response.pause()
    if (stream.status === 200 || stream.status === 204) return stream
    stream.leave()
    throw new Error(`status ${stream.status}`)
  }

  /** Resolves to the next message; null at the end of the stream. */
  async next (): Promise<Message | null> {
    while (this.#messages.length === 0) {
      if (this.#over) return null
      this.#response.resume()
      await new Promise<void>((resolve) => { this.#wake = resolve })
    }
    return this.#messages.shift() ?? null
  }

  resume (): void {
    this.#response.resume()
  }

  leave (): void {
    this.#request.destroy()
  }
}
