import { EventSourceParserStream, type EventSourceMessage } from 'eventsource-parser/stream'

/** Reads the events of a response with a parser of another project. */
export function readEvents (response: Response): ReadableStream<EventSourceMessage> {
  if (response.body === null) throw new Error('The response has no body')
  return response.body.pipeThrough(new TextDecoderStream()).pipeThrough(new EventSourceParserStream())
}
