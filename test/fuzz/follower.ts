import { once } from 'node:events'
import { type ClientRequest, type IncomingMessage, request } from 'node:http'

/** A received event, and the client's last event id before and after it. */
export interface Got {
  /** `gap` and its data, or the first word of the data. */
  readonly text: string
  readonly before: string
  readonly after: string
}

/** A client with a real socket that can stop reading. It parses the format like an EventSource. */
export class Follower {
  readonly got: Got[] = []
  lastEventId: string
  /** The response has ended or was aborted. */
  over = false
  readonly #request: ClientRequest
  readonly #response: IncomingMessage
  #text = ''

  constructor (request: ClientRequest, response: IncomingMessage, lastEventId: string, paused: boolean) {
    this.#request = request
    this.#response = response
    this.lastEventId = lastEventId
    response.setEncoding('utf8').on('error', () => {}).on('close', () => { this.over = true })
    response.on('data', (text: string) => { this.#read(text) })
    if (paused) response.pause()
  }

  /** @param lastEventId `''` for the first connection */
  static async open (socketPath: string, path: string, headers: Record<string, string>, lastEventId: string, paused: boolean): Promise<Follower> {
    const asked = request({ socketPath, path, agent: false, headers: lastEventId === '' ? headers : { ...headers, 'last-event-id': lastEventId } }).end()
    const [response] = await once(asked, 'response') as [IncomingMessage]
    asked.on('error', () => {})
    if (response.statusCode !== 200) throw new Error(`${path} answered ${response.statusCode}`)
    return new Follower(asked, response, lastEventId, paused)
  }

  pause (): void {
    this.#response.pause()
  }

  resume (): void {
    this.#response.resume()
  }

  leave (): void {
    this.#request.destroy()
  }

  #read (text: string): void {
    const blocks = (this.#text + text).split('\n\n')
    this.#text = blocks.pop() ?? ''
    for (const block of blocks) this.#dispatch(block)
  }

  #dispatch (block: string): void {
    const before = this.lastEventId
    const fields = new Map(block.split('\n').map((line): [string, string] => {
      const colon = line.indexOf(': ')
      return [line.slice(0, colon), line.slice(colon + 2)]
    }))
    const after = this.lastEventId = fields.get('id') ?? before
    const data = fields.get('data')
    if (data === undefined) return
    const text = fields.get('event') === 'gap' ? `gap ${data}` : data.replace(/ .*/, '')
    this.got.push({ text, before, after })
  }
}
