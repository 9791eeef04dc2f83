// Tested by test/issues/upstream-events-framed-twice.test.ts
import { EventParser } from '../client/event-parser.js'
import { SSE_ERR_SOURCE, SSE_ERR_UPSTREAM, describeValue } from '../errors.js'
import type { FetchResponse } from './fetch-response.js'

/** An event of another server. Its data is written as text, also on routes that declare `events`. */
export class UpstreamEvent {
  readonly id: string | undefined
  readonly event: string | undefined
  readonly data: string | undefined
  readonly retry: number | undefined

  constructor ({ id, event, data, retry }: { id?: string, event?: string, data?: string, retry?: number }) {
    this.id = id
    this.event = event
    this.data = data
    this.retry = retry
  }

  /** The event for a stream whose ids are the log's; null if nothing but an id was in it. */
  withoutId (): UpstreamEvent | null {
    const { event, data, retry } = this
    return data === undefined && retry === undefined ? null : new UpstreamEvent({ event, data, retry })
  }
}

/** Why a response cannot be passed on; null where it is an event stream that nobody has read. */
export function refusalOf ({ status, headers, bodyUsed }: FetchResponse): Error | null {
  // Fastify answers 500 to an error with a status below 400, such as a 304
  if (status < 200 || status > 299) return Object.assign(new SSE_ERR_UPSTREAM(status), { statusCode: status >= 400 ? status : 502 })
  const type = headers.get('content-type')
  if (!/^text\/event-stream *(;|$)/i.test(type ?? '')) return new SSE_ERR_SOURCE(`a Response with content-type ${describeValue(type)}`)
  return bodyUsed ? new SSE_ERR_SOURCE('a Response whose body was read already') : null
}

/**
 * Parses the text of an event stream. Comments are dropped, because the stream sends its own heartbeats. So is an event
 * that is incomplete at the end.
 */
export class UpstreamParser {
  readonly #parser = new EventParser(null)
  readonly #decoder = new TextDecoder()
  #id: string | null = null
  #retry: number | undefined

  constructor () {
    this.#parser.begin()
  }

  /** Returns the events that this part of the stream completes. */
  read (part: unknown): UpstreamEvent[] {
    const text = part instanceof Uint8Array ? this.#decoder.decode(part, { stream: true }) : String(part)
    // one event at a time, because an event without data shows only in the parser's `lastEventId` and `retry`
    return text.split(/(?<=\n\n|\r\r|\r\n\r\n)/).flatMap((event) => this.#readOne(event))
  }

  #readOne (text: string): UpstreamEvent[] {
    const events = Array.from(this.#parser.read(text), ({ id, event, data }) => new UpstreamEvent({ id, event: event === 'message' ? undefined : event, data }))
    const { retry, lastEventId } = this.#parser
    if (retry !== this.#retry) events.unshift(new UpstreamEvent({ retry }))
    if (lastEventId !== this.#id && events.at(-1)?.id !== lastEventId) events.push(new UpstreamEvent({ id: String(lastEventId) }))
    this.#id = lastEventId
    this.#retry = retry
    return events
  }
}
