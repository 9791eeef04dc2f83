// Tested by test/issues/upstream-events-framed-twice.test.ts
import { EventParser } from '../client/event-parser.js'
import { SSE_ERR_SOURCE, SSE_ERR_UPSTREAM, describeValue } from '../errors.js'
import type { SSEMessage } from '../client/types.js'
import type { FetchResponse } from './fetch-response.js'

/** An event that another server sent and that a route passes on to a client. The data is written as it was received, also on routes that declare `events`. */
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

  /** Returns a copy without the id, for a stream whose ids come from the log of published events. Null if the event has neither data nor `retry`. */
  withoutId (): UpstreamEvent | null {
    const { event, data, retry } = this
    return data === undefined && retry === undefined ? null : new UpstreamEvent({ event, data, retry })
  }
}

/** Returns the error that says why a response cannot be passed on to the client; null if the response is an event stream and its body is unread. */
export function refusalOf ({ status, headers, bodyUsed }: FetchResponse): Error | null {
  // 502 for a status below 400, such as a 304, because Fastify answers 500 to an error with such a status
  if (status < 200 || status > 299) return Object.assign(new SSE_ERR_UPSTREAM(status), { statusCode: status >= 400 ? status : 502 })
  const type = headers.get('content-type')
  if (!/^text\/event-stream *(;|$)/i.test(type ?? '')) return new SSE_ERR_SOURCE(`a Response with content-type ${describeValue(type)}`)
  return bodyUsed ? new SSE_ERR_SOURCE('a Response whose body was read already') : null
}

/**
 * Parses the event stream that another server sends. Drops comments, because the stream to the client sends heartbeat
 * comments itself. Drops an event that is incomplete when the stream ends.
 */
export class UpstreamParser {
  readonly #parser = new EventParser(null)
  readonly #decoder = new TextDecoder()
  #id: string | null = null
  #retry: number | undefined

  constructor () {
    this.#parser.begin()
  }

  /** Parses the next part of the stream. Returns the events whose end is in this part. */
  read (part: unknown): UpstreamEvent[] {
    const text = part instanceof Uint8Array ? this.#decoder.decode(part, { stream: true }) : String(part)
    // parses one event at a time, because the parser does not report an event without data, but only sets `lastEventId` and `retry`
    return text.split(/(?<=\n\n|\r\r|\r\n\r\n)/).flatMap((event) => this.#readOne(event))
  }

  #readOne (text: string): UpstreamEvent[] {
    const events = Array.from(this.#parser.read(text)).flatMap(({ message }) => message === undefined ? [] : [upstreamEvent(message)])
    const { retry, lastEventId } = this.#parser
    if (retry !== this.#retry) events.unshift(new UpstreamEvent({ retry }))
    if (lastEventId !== this.#id && events.at(-1)?.id !== lastEventId) events.push(new UpstreamEvent({ id: String(lastEventId) }))
    this.#id = lastEventId
    this.#retry = retry
    return events
  }
}

function upstreamEvent ({ id, event, data }: SSEMessage): UpstreamEvent {
  return new UpstreamEvent({ id, event: event === 'message' ? undefined : event, data })
}
