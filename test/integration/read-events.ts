import { EventSourceParserStream, type EventSourceMessage } from 'eventsource-parser/stream'

/** The events of a response, read with a parser that is not ours. */
export function readEvents (response: Response): ReadableStream<EventSourceMessage> {
  if (response.body === null) throw new Error('The response has no body')
  return response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
}
