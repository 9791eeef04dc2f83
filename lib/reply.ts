import { STATUS_CODES } from 'node:http'
import type { FastifyError, FastifyReply } from 'fastify'
import { taken } from './door.js'
import { SSE_ERR_REPLY_SENT, SSE_ERR_SOURCE, show } from './errors.js'
import { validClientId } from './names.js'
import { readStreamOptions, streamOptions } from './options.js'
import type { Owner } from './roles.js'
import type { Plugin } from './route.js'
import { isSource, Source } from './source.js'
import { EventStream } from './stream.js'
import type { SSEStream, SSEStreamOptions } from './types.js'

/** `reply.sse()`: a stream to write by hand, or a source to stream to its end. */
export function replyWithStream (plugin: Plugin, reply: FastifyReply, first?: unknown, second?: SSEStreamOptions): SSEStream | Promise<void> {
  if (reply.sent || taken.has(reply)) throw new SSE_ERR_REPLY_SENT()
  const source = isSource(first) ? new SourceOwner(first, reply) : null
  if (source === null && first !== undefined && (typeof first !== 'object' || first === null)) throw new SSE_ERR_SOURCE(show(first))
  try {
    return respond(plugin, reply, source, source === null ? first as SSEStreamOptions | undefined ?? second : second)
  } catch (error) {
    source?.refused()
    throw error
  }
}

function respond (plugin: Plugin, reply: FastifyReply, source: SourceOwner | null, own: SSEStreamOptions | undefined): SSEStream | Promise<void> {
  const options = own === undefined ? plugin.stream : streamOptions(readStreamOptions(plugin.settings.stream, own))
  plugin.limits.admit(reply)
  const { clientId } = plugin.settings
  const id = clientId === undefined ? clientId : validClientId(clientId(reply.request))
  const stream = new EventStream(plugin.hub, source ?? byHand, reply, options, id)
  source?.belongsTo(stream)
  taken.add(reply)
  stream.start()
  // or else Fastify would send what an async handler returns, while onSend hooks still run
  reply.hijack()
  return source === null ? stream : Promise.resolve()
}

/** The answer to a request whose onSend hook refused the stream, or cannot pass it on: Fastify cannot give it, since the reply is taken. */
export function answerRefused (reply: FastifyReply, error: FastifyError): void {
  if (!taken.has(reply) || reply.raw.headersSent) return
  const { statusCode = 500, code, message } = error
  reply.raw.statusCode = statusCode
  for (const [name, value] of Object.entries(reply.getHeaders())) {
    if (value !== undefined && name !== 'content-length' && name !== 'content-encoding') setHeader(reply, name, value)
  }
  reply.raw.setHeader('content-type', 'application/json; charset=utf-8')
  reply.raw.end(JSON.stringify({ statusCode, code, error: STATUS_CODES[statusCode], message }))
}

/** A header that Node refuses may be what the error is about. */
function setHeader ({ raw, log }: FastifyReply, name: string, value: string | number | string[]): void {
  try {
    raw.setHeader(name, value)
  } catch (error) {
    log.debug({ err: error }, 'a header is left out of the answer to a failed event stream')
  }
}

/** Of a stream that a handler writes to by itself: what it says of topics right away counts as part of the greeting. */
const byHand: Owner<EventStream> = {
  opened: (stream) => process.nextTick(begin, stream),
  closed: () => {}
}

function begin (stream: EventStream): void {
  if (!stream.closed) stream.begin()
}

/** Streams a source that was given to `reply.sse`, and stops it if the stream does not open. */
class SourceOwner implements Owner<EventStream> {
  readonly #source: Source

  constructor (given: unknown, { log }: FastifyReply) {
    this.#source = new Source(given, (error) => log.debug({ err: error }, 'failed after its event stream was closed'))
  }

  belongsTo (stream: EventStream): void {
    if (stream.closed) this.#source.stop()
    else stream.producer = this.#source
  }

  refused (): void {
    this.#source.stop()
  }

  async opened (stream: EventStream): Promise<void> {
    const replay = stream.begin()
    if (replay !== null) await replay
    try {
      await this.#source.pump(stream)
      stream.close()
    } catch (error) {
      stream.fail(error)
    }
  }

  closed (): void {}
}
